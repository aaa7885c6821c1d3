"""Two processes: prints, from the first, how far a batch in shares is from the whole one."""

import json

import torch

from rnnbench.config.build import build
from rnnbench.config.compose import Composer
from rnnbench.config.request import Request
from rnnbench.objective.engine import Engine
from rnnbench.run.single_run import this_world
from rnnbench.tasks.base import Stream
from rnnbench.training.problem import Problem, draw_parameters
from rnnbench.training.world import ALONE, joined

SMALL = ["task=temporal_order", "task.sequence_length=12", "model.hidden_size=9", "dtype=float64"]


def difference(first, second):
    return float((first - second).abs().max() / first.abs().max())


def main():
    with Composer(Request()) as composer:
        config = composer.compose(SMALL).config
    built = build([config])
    engine = Engine(built.model, 1, torch.device("cpu"), torch.float64)
    world = this_world()
    with joined(torch.device("cpu")):
        problems = [Problem(built.task, engine, [3], one) for one in (ALONE, world)]
        theta = draw_parameters(built.model, built.inits, [3], engine)
        vector = torch.randn(theta.shape, dtype=theta.dtype, generator=torch.Generator().manual_seed(0))
        found = {}
        for batch_size in (2, 41, 400):
            whole, shares = [problem.draw(5)(Stream.GRADIENT, batch_size) for problem in problems]
            found[f"loss {batch_size}"] = difference(whole.loss(theta), shares.loss(theta))
            gradients = [one.loss_and_gradient(theta) for one in (whole, shares)]
            found[f"gradient {batch_size}"] = difference(*[one.gradient for one in gradients])
            assert gradients[0].num_sequences == gradients[1].num_sequences == batch_size
            assert gradients[1].batch.size < batch_size
            squares = [one.mean_squared_gradient(theta) for one in (whole, shares)]
            found[f"mean squared gradient {batch_size}"] = difference(*squares)
            for weight, normalization in ((0.0, "batch"), (2.0, "batch"), (2.0, "batch_time"), (2.0, "loss")):
                damping = torch.full((1, 1), weight, dtype=torch.float64)
                rows = [one.rows(0, batch_size - batch_size // 3) for one in (whole, shares)]
                parts = [one.linearize(theta, damping, normalization) for one in rows]
                forms = [one.quadratic_form(vector) for one in parts]
                found[f"quadratic form {batch_size} {weight} {normalization}"] = difference(*forms)
                found[f"curvature loss {batch_size} {weight}"] = difference(*[one.loss for one in parts])
                found[f"product {batch_size} {weight} {normalization}"] = difference(
                    *[one.product(vector) for one in parts]
                )
        evaluations = [problem.evaluate(theta) for problem in problems]
        for column in evaluations[0]:
            found[column] = difference(*[one[column] for one in evaluations])
        found["confirmation"] = difference(*[problem.confirm(theta) for problem in problems])
        assert world.first(float(world.rank + 7)) == 7.0
        assert world.largest(world.rank) == 1
    if world.rank == 0:
        print(json.dumps(found), flush=True)
