"""Random weight guessing: which guess is kept, what it costs, and what it solves."""

import json

import pytest
import torch
from cases import make_case

from rnnbench.cli import main
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.optim.random_guessing import RandomGuessing


def test_the_best_of_all_guesses_and_the_weights_kept_is_kept():
    _, theta, _, objective, _ = make_case(SimpleRnn(2, 2, 3), num_replicas=3, num_sequences=5)
    optimizer = RandomGuessing(batch_size=5, guesses=6, bound=torch.tensor([[0.1], [1.0], [10.0]]).double())
    state = optimizer.initial_state(theta)
    for number in range(3):
        guesses = optimizer.draw(theta, state, number)
        assert (guesses.abs() <= optimizer.bound).all()
        update = optimizer.update(theta, state, number, lambda stream, size: objective)
        losses = torch.stack([objective.loss(point) for point in (theta, *guesses)])
        expected = torch.stack([theta, *guesses])[losses.argmin(0), torch.arange(3)]
        assert torch.equal(update.theta, expected)
        assert update.sequences.tolist() == [5 * 7] * 3
        theta = update.theta
    assert len({tuple(row) for row in guesses.flatten(0, 1).tolist()}) == 6 * 3  # all differ


def test_guesses_are_uniform():
    theta = torch.randn(2, 5000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    optimizer = RandomGuessing(batch_size=1, guesses=4, bound=torch.tensor([[1.0], [2.0]]).double())
    guesses = optimizer.draw(theta, optimizer.initial_state(theta), 0) / optimizer.bound
    assert guesses.mean().abs() < 0.02
    assert guesses.square().mean().item() == pytest.approx(1 / 3, rel=0.02)


def test_it_solves_a_short_latch(tmp_path):
    words = ["task=latch", "task.sequence_length=8", "task.noise=0.1", "model=latch", "optim=random_guessing"]
    words += ["optim.bound=5", "optim.guesses=50", "budget.updates=20", "record.evaluate_every=5", "threads=1"]
    assert main(["train", "-q", "probe=none", *words, f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    assert json.loads((tmp_path / "run/summary.json").read_text())["solved"]
