"""How often a run is recorded where nobody says: often enough for its budget, whatever the optimizer."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnbench.config.cadence import MIN_EVALUATIONS, default_interval
from rnnbench.config.compose import Composer
from rnnbench.config.request import Request
from rnnbench.config.schema import Budget
from rnnbench.config.stored import with_overrides


@pytest.fixture(scope="module")
def record():
    """The record of a configuration with some overrides."""
    with Composer(Request()) as composer:
        yield lambda *words: composer.compose(words).config.record


@given(
    cadence=st.integers(1, 1000),
    updates=st.integers(1, 10**6),
    sequences=st.none() | st.integers(1, 10**8),
    batch_size=st.none() | st.integers(1, 1000),
)
def test_a_budget_has_twenty_evaluations(cadence, updates, sequences, batch_size):
    found = default_interval(cadence, Budget(updates, sequences), batch_size)
    if sequences is not None and batch_size is not None:
        updates = min(updates, math.ceil(sequences / batch_size))
    assert 1 <= found <= cadence
    assert found == 1 or updates // found >= MIN_EVALUATIONS
    assert found == cadence or (found + 1) * MIN_EVALUATIONS > updates


@pytest.mark.parametrize("optim", ["sgd", "nag", "adam", "hf"])
def test_whatever_the_optimizer(record, optim):
    found = record(f"optim={optim}", "budget.updates=300")
    assert 300 // found.evaluate_every >= MIN_EVALUATIONS
    assert 300 // found.log_every >= MIN_EVALUATIONS


def test_what_is_given_stays(record):
    found = record("optim=nag", "budget.updates=300", "record.evaluate_every=70", "record.log_every=80")
    assert (found.evaluate_every, found.log_every) == (70, 80)
    assert record("optim=nag", "optim.cadence.evaluate_every=3").evaluate_every == 3


def test_sequences_count_where_every_update_has_as_many(record):
    words = ("budget.sequences=30000", "budget.updates=1000000")
    assert record("optim=nag", "optim.batch_size=100", *words).evaluate_every == 15
    assert record("optim=nag", "optim.batch_size=10", *words).evaluate_every == 150
    assert record("optim=hf", *words).evaluate_every == 1


def test_replicas_share_it_and_a_run_that_goes_on_keeps_it(record):
    words = ("optim=nag", "budget.updates=300")
    assert record(*words, "optim.lr=3", "seed=7") == record(*words)
    with Composer(Request()) as composer:
        config = composer.compose(words).config
    assert with_overrides(config, ["budget.updates=50000"]).record == dataclasses.replace(config).record
