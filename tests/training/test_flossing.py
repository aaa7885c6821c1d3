"""Gradient flossing (Engelken 2023): its gradient, its rounds in a run, and what it refuses."""

import json

import pytest
import torch

from rnnbench.cli import main
from rnnbench.models.latch import Latch
from rnnbench.models.lstm import Lstm
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.models.stack import Stack
from rnnbench.objective.engine import Engine
from rnnbench.run.single_run import resume_run
from rnnbench.tasks.delayed_copy import DelayedCopy
from rnnbench.training.checkpoint import load_checkpoint
from rnnbench.training.flossing import Flossing, exponents_of, penalty_and_gradient
from rnnbench.training.problem import Problem

ROUND = Flossing(exponents=2, updates=5, rounds=3, every=10, lr=0.01)


def normal(*size, seed):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def case(model, num_replicas=2, num_steps=15):
    return 0.5 * normal(num_replicas, model.num_parameters, seed=1), normal(
        num_steps, num_replicas, 1, model.input_size, seed=2
    )


NETS = {
    "rnn": SimpleRnn(2, 1, 3),
    "lstm": Lstm(2, 1, 3),
    "cell": Latch(4, 1, 3),
    "stack": Stack([SimpleRnn(2, 1, 2), SimpleRnn(2, 1, 2)]),
}


@pytest.mark.parametrize("model", NETS.values(), ids=NETS)
def test_the_gradient_is_that_of_finite_differences_with_respect_to_the_step(model):
    theta, inputs = case(model)
    _, gradient = penalty_and_gradient(model, theta, inputs, 2)
    moved = torch.cat([torch.full((e.size,), name in model.step_parameters) for name, e in model.layout.items()])
    assert not gradient[:, ~moved].any()
    direction = normal(model.num_parameters, seed=3) * moved
    above, below = (penalty_and_gradient(model, theta + h * direction, inputs, 2)[0] for h in (1e-6, -1e-6))
    assert torch.allclose(gradient @ direction, (above - below) / 2e-6, rtol=1e-6)


def test_all_exponents_add_up_to_the_mean_logarithm_of_the_determinants():
    model = SimpleRnn(2, 1, 3)
    theta, inputs = case(model, num_steps=3)  # so few that none only aligns
    state, logs = model.initial_state(model.parameters(theta), 1)[0], []
    for now in inputs:
        logs.append(torch.linalg.det(model.state_jacobians(theta, state, now)).abs().log())
        state = model.next_states(theta, state, now)
    exponents = exponents_of(model, theta, inputs, 3)
    assert torch.allclose(exponents.sum(-1), torch.stack(logs).mean(0)[:, 0], rtol=1e-12)


def test_a_round_lowers_the_penalty_of_each_replica_as_alone():
    task, model = DelayedCopy(12, delay=3), SimpleRnn(1, 1, 6)
    problem = Problem(task, Engine(model, dtype=torch.float64), [3, 4])
    theta, inputs = 0.3 * normal(2, model.num_parameters, seed=1), normal(10, 2, 1, 1, seed=2)
    flossed = ROUND.floss(problem, theta, 0)
    before, after = (penalty_and_gradient(model, point, inputs, 2)[0] for point in (theta, flossed))
    assert (after < before).all()
    assert torch.allclose(flossed[1:], ROUND.floss(problem.replicas([1]), theta[1:], 0), rtol=1e-12)
    assert not torch.equal(flossed, ROUND.floss(problem, theta, 10))  # other sequences


def test_rounds_are_due_before_training_and_at_intervals():
    assert [update for update in range(100) if ROUND.is_due(update)] == [0, 10, 20]


SMALL = ("task=delayed_copy", "task.sequence_length=10", "task.delay=3", "model.hidden_size=5", "init=gaussian")
SGD = (*SMALL, "optim=sgd", "optim.batch_size=4", "probe=none", "threads=1", "record.log_every=2", "-q")
FLOSSING = ("flossing.exponents=2", "flossing.updates=3", "flossing.rounds=3", "flossing.every=2")


def train(folder, *words):
    assert main(["train", *SGD, *words, f"hydra.run.dir={folder}"]) == 0
    return json.loads((folder / "summary.json").read_text())


def test_a_run_resumes_to_the_same_bits_and_counts_what_flossing_costs(tmp_path):
    whole = train(tmp_path / "whole", *FLOSSING, "budget.updates=5")
    train(tmp_path / "short", *FLOSSING, "budget.updates=3")
    assert resume_run(tmp_path / "short", ["budget.updates=5"], quiet=True) == 0
    thetas = [load_checkpoint(tmp_path / name / "checkpoint.pt")["theta"] for name in ("whole", "short")]
    assert torch.equal(*thetas)
    assert whole["sequences"] == 5 * 4 + 3 * 3 * (1 + 2)  # three rounds: before training, after updates 2 and 4
    assert "flossing" in whole["config"]


def test_a_run_without_it_records_no_flossing(tmp_path):
    assert "flossing" not in train(tmp_path / "plain", "budget.updates=1")["config"]


def test_a_singular_jacobian_ends_the_replica(tmp_path):
    summary = train(tmp_path / "chain", "init=chain", "flossing.exponents=5", "flossing.updates=1", "budget.updates=3")
    assert (summary["status"], summary["updates"]) == ("diverged", 0)
    assert "a Jacobian is singular" in summary["message"]
    assert load_checkpoint(tmp_path / "chain/checkpoint.pt")["theta"].isfinite().all()


def test_more_exponents_than_the_state_has_are_refused(tmp_path, capsys):
    assert main(["train", *SGD, "flossing.exponents=6", f"hydra.run.dir={tmp_path / 'none'}"]) == 2
    err = capsys.readouterr().err
    assert err == "rnnbench: flossing.exponents must be at most 5, the size of the net's state, got 6\n"
    assert not (tmp_path / "none").exists()
