"""Hessian-free with its default choices on every task: many seeds in one run, and every number finite."""

from dataclasses import replace

import pytest
import torch

from rnnbench.config.build import build
from rnnbench.config.compose import Composer
from rnnbench.config.packaged_tasks import packaged_tasks, shortest, variants
from rnnbench.config.request import Request
from rnnbench.objective.engine import Engine
from rnnbench.optim import hessian_free_step
from rnnbench.optim.hessian_free_step import DAMPING_RULE
from rnnbench.training.problem import Problem, draw_parameters

NUM_SEEDS, NUM_UPDATES = 32, 10
SMALL = [
    "model.hidden_size=8",
    "optim.gradient_batch_size=40",
    "optim.curvature_batch_size=10",
]


def updates_of(overrides):
    """The updates of one batched run of many seeds, whatever they come to."""
    with Composer(Request()) as composer:
        config = composer.compose([*SMALL, *overrides]).config
    built = build([config] * NUM_SEEDS)
    engine, seeds = Engine(built.model, 1), range(NUM_SEEDS)
    problem = Problem(built.task, engine, seeds)
    theta = draw_parameters(built.model, built.inits, seeds, engine)
    state = built.optimizer.initial_state(theta)
    for k in range(NUM_UPDATES):
        update = built.optimizer.update(theta, state, k, problem.draw(k))
        theta, state = update.theta, update.state
        yield update


@pytest.mark.slow
@pytest.mark.parametrize("name", packaged_tasks())
def test_every_number_is_finite_on_every_task(name):
    length = max(15, *(shortest(name, variant) for variant in variants(name)))
    for update in updates_of([f"task={name}", f"task.sequence_length={length}"]):
        assert update.theta.isfinite().all()
        assert update.gradient.loss.isfinite().all()
        assert all(values.isfinite().all() for values in update.metrics.values())
        assert all(values.isfinite().all() for values in update.state.values())
        damping = update.state["damping"]
        assert (damping >= DAMPING_RULE.lowest).all()
        assert (damping <= DAMPING_RULE.highest).all()


def test_an_unstable_net_stays_finite_and_its_damping_inside_its_limits(monkeypatch):
    """Unbounded units far beyond the edge of stability: losses overflow at nearly every step that is tried."""
    wild = ["model.nonlinearity=relu", "init.spectral_radius=30", "task.sequence_length=20"]
    monkeypatch.setattr(hessian_free_step, "DAMPING_RULE", replace(DAMPING_RULE, highest=0.5))
    dampings, failures = [], []
    for update in updates_of(wild):
        finite = update.gradient.loss.isfinite()
        assert update.theta[finite].isfinite().all()
        known = finite & update.gradient.gradient.isfinite().all(1)
        assert all(values[known].isfinite().all() for values in update.metrics.values())
        dampings.append(update.state["damping"])
        failures.append(update.metrics["hf/failures"])
    assert torch.cat(dampings).isfinite().all()
    assert torch.cat(dampings).max() == 0.5
    assert torch.cat(failures).max() > 3
