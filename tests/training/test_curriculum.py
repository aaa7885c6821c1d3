"""Training that starts with shorter sequences."""

import math

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnnbench.cli import main
from rnnbench.run.single_run import resume_run
from rnnbench.tasks.random_permutation import RandomPermutation
from rnnbench.tasks.xor import Xor
from rnnbench.training.checkpoint import load_checkpoint
from rnnbench.training.curriculum import GROWTH, LEARNED, Curriculum
from rnnbench.training.problem import Problem
from rnnbench.training.replica import Replica

KEYS = (
    *("task=xor", "task.variant=thesis", "model.hidden_size=6", "threads=1"),
    *("optim=nag", "optim.batch_size=20", "record.log_every=1", "record.evaluate_every=50", "probe=default"),
)


def train(folder, *overrides):
    assert main(["train", "-q", *KEYS, *overrides, f"hydra.run.dir={folder}"]) == 0
    return pd.read_csv(folder / "metrics.csv").drop(columns="time/seconds")


@given(st.integers(12, 400), st.integers(0, 400), st.floats(0, 1) | st.just(math.nan))
def test_the_length_grows_by_a_tenth_where_a_batch_is_learned(first, more, share):
    curriculum = Curriculum(first, first + more, Xor)
    found = curriculum.next_length(first, share)
    if share < LEARNED:
        assert found == first if not more else first < found <= first + more
        assert found == first + more or GROWTH * first - 1 <= found <= max(first + 1, GROWTH * first)
    else:
        assert found == first


@pytest.mark.parametrize(("wrong", "length"), [(0.014, 22), (0.016, 20), (math.nan, 20)])
def test_among_unpredictable_outputs_the_share_of_wrong_sequences_decides(monkeypatch, wrong, length):
    """The constant predictor of random permutation has half of the sequences wrong."""
    seen = []

    def evaluate(problem, theta):
        seen.append((problem.task.num_steps, theta))
        return {"error_rate/eval": torch.tensor([wrong])}

    monkeypatch.setattr(Problem, "evaluate", evaluate)
    curriculum = Curriculum(20, 30, RandomPermutation)
    full, replica = Problem(RandomPermutation(30), engine=None, seeds=[0]), Replica()
    curriculum.advance(full, replica, loss=0.0, theta=None)
    assert (replica.length, seen) == (None, [])
    curriculum.advance(full, replica, loss=5.0, theta="theta")
    assert (replica.length, seen) == (length, [(20, "theta")])


@pytest.fixture
def learns_at_once(monkeypatch):
    """Every batch counts as learned."""
    monkeypatch.setattr("rnnbench.training.curriculum.LEARNED", math.inf)


def test_batches_grow_to_the_full_length(learns_at_once, tmp_path):
    found = train(tmp_path, "task.sequence_length=20", "task.first_length=12", "budget.updates=9")
    assert found["task/training_length"].dropna().tolist() == [12, 13, 14, 15, 16, 17, 18, 19, 20]
    last = found.iloc[-1]
    assert last.notna().all()
    assert found["state_gradient/at_dependency"].notna().tolist() == [False] * 9 + [True]
    assert found["state_gradient/lag_5"].notna().tolist() == [False] + [True] * 9


def test_a_resumed_run_keeps_its_length(learns_at_once, tmp_path):
    overrides = ("task.sequence_length=20", "task.first_length=12")
    whole = train(tmp_path / "whole", *overrides, "budget.updates=7")
    train(tmp_path / "short", *overrides, "budget.updates=3")
    assert load_checkpoint(tmp_path / "short/checkpoint.pt")["replicas"][0]["length"] == 15
    assert resume_run(tmp_path / "short", ["budget.updates=7"], quiet=True) == 0
    resumed = pd.read_csv(tmp_path / "short/metrics.csv").drop(columns="time/seconds")
    evaluated = ["loss/eval", "error_rate/eval"]  # the end of a budget adds an evaluation
    pd.testing.assert_frame_equal(whole.drop(columns=evaluated), resumed.drop(columns=evaluated), check_exact=True)


def test_the_full_length_from_the_start_is_no_curriculum(tmp_path):
    plain = train(tmp_path / "plain", "task.sequence_length=20", "budget.updates=5")
    found = train(tmp_path / "full", "task.sequence_length=20", "task.first_length=20", "budget.updates=5")
    pd.testing.assert_frame_equal(plain, found.drop(columns="task/training_length"), check_exact=True)
