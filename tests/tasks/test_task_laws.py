"""Laws that hold for every task and variant; the `task` fixture runs over them."""

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnnbench.checks.law import Size
from rnnbench.checks.task_laws import CONFIGURED, TASK_LAWS, TaskCase, assert_same_batch
from rnnbench.config.packaged_tasks import packaged_tasks, shortest, variants
from rnnbench.tasks.base import Stream
from rnnbench.tasks.memorization import MAX_BALANCED_PATTERNS

SEEDS = [0, 7, 2**40 + 3]
SHAPES = [Size(1, 1, None, 1), Size(3, 5, None, 1), Size(2, 12, None, 1)]


@pytest.mark.parametrize("law", TASK_LAWS, ids=lambda law: law.statement)
def test_laws(task, law):
    for size in SHAPES[-1:] if law.sizes == CONFIGURED else SHAPES:
        law.check(TaskCase(task, size))


def test_outputs_are_the_last_steps(task):
    batch = task.replica_batch(SEEDS, Stream.GRADIENT, 2, 5)
    assert batch.inputs.is_contiguous()
    if batch.output_steps is not None:
        lags = torch.arange(task.num_outputs, 0, -1).view(-1, 1, 1)
        assert torch.equal(batch.output_steps, batch.lengths - lags)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(seeds=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=4), update=st.integers(0, 2**32 - 1))
def test_a_replica_is_the_one_of_its_seed_alone(task, seeds, update):
    together = task.replica_batch(seeds, Stream.GRADIENT, update, 6)
    for replica, seed in enumerate(seeds):
        alone = task.replica_batch([seed], Stream.GRADIENT, update, 6)
        assert_same_batch(alone, together.replicas(slice(replica, replica + 1)), f"replica {replica}")


def test_float32_is_float64_rounded_once(task):
    single = task.replica_batch(SEEDS, Stream.GRADIENT, 1, 50)
    double = task.replica_batch(SEEDS, Stream.GRADIENT, 1, 50, dtype=torch.float64)
    assert double.inputs.dtype == torch.float64
    assert torch.equal(single.inputs.double(), double.inputs)
    assert torch.equal(single.lengths, double.lengths)
    if single.targets.is_floating_point():
        assert double.targets.dtype == torch.float64
        assert torch.equal(single.targets, double.targets.float())
    else:
        assert torch.equal(single.targets, double.targets)


@pytest.mark.parametrize("other", ["seed", "stream", "update", "row"])
@pytest.mark.parametrize("name", packaged_tasks())
def test_data_differ_with_everything_they_depend_on(name, other):
    for variant in variants(name):
        assert_differs(packaged_tasks()[name](max(shortest(name, variant), 50), variant), other)


def assert_differs(task, other):
    is_balanced = getattr(task, "num_patterns", math.inf) <= MAX_BALANCED_PATTERNS
    base = task.replica_batch([1], Stream.GRADIENT, 0, 20)
    changed = {
        "seed": lambda: task.replica_batch([2], Stream.GRADIENT, 0, 20),
        "stream": lambda: task.replica_batch([1], Stream.EVALUATION, 0, 20),
        "update": lambda: task.replica_batch([1], Stream.GRADIENT, 1, 20),
        "row": lambda: task.replica_batch([1], Stream.GRADIENT, 0, 20, first_row=21),
    }[other]()
    if is_balanced and other in ("seed", "stream"):
        assert_same_batch(base, changed, "all")  # all there are, in their order
        return
    assert not bool((base.inputs == changed.inputs).all(-1).all(0).any())


def test_exact_answers_are_hits_and_nan_is_a_miss(task):
    batch = task.replica_batch([1, 2], Stream.GRADIENT, 0, 6)
    exact = batch.targets
    if task.loss == "softmax_cross_entropy":
        exact = 10.0 * torch.nn.functional.one_hot(batch.targets, task.output_size)
    elif task.loss == "sigmoid_cross_entropy":
        exact = batch.targets - 0.5
    assert task.misses(exact, batch).shape == (2, 6)
    assert not bool(task.misses(exact, batch).any())
    only_this = torch.zeros((2, 6), dtype=torch.bool)
    only_this[1, 2] = True
    for unit in range(task.output_size):
        broken = exact.clone()
        broken[-1, 1, 2, unit] = math.nan
        assert torch.equal(task.misses(broken, batch), only_this)


def test_the_dependency_is_where_the_answer_comes_from(task):
    """In the shortest sequences what is marked, or is a symbol to be remembered, lies at its lags, first and last."""
    batch = task.replica_batch(list(range(12)), Stream.GRADIENT, 0, 300)
    lengths = batch.lengths.flatten()
    assert 0 <= task.dependency[0] <= task.dependency[-1] < int(lengths.min())
    steps, places = told_steps(task, batch)
    if steps is None:
        return
    lags = places.lengths[0] - 1 - torch.arange(task.num_steps)[:, None]
    shown = steps.flatten(1) & (lengths == places.lengths[0])
    found = lags.expand(shown.shape)[shown].tolist()
    assert {*found} <= {*task.dependency}
    is_cue_first = 0 in getattr(places, "cues", ()) and task.dependency[-1] == places.lengths[0] - 1
    if len(found) > 20 * len(task.dependency):  # at step 0 of hs97 the cue hides the mark
        assert (min(found), max(found) + is_cue_first) == (task.dependency[0], task.dependency[-1])


def told_steps(task, batch):
    """Which steps show what the answer depends on, (T, R, B), and what places them; None: they cannot be told."""
    if hasattr(task, "places"):
        return batch.inputs[..., 1 - task.places.value_channel] == 1, task.places
    if hasattr(task, "arrangement"):
        return batch.inputs[..., 4:6].sum(-1) == 1, task.arrangement
    return None, None


def test_bad_places_are_refused(task):
    with pytest.raises(ValueError, match="seed"):
        task.replica_batch([-1], Stream.GRADIENT, 0, 4)
    with pytest.raises(ValueError, match="update"):
        task.replica_batch([1], Stream.GRADIENT, -1, 4)
    with pytest.raises(ValueError, match="batch_size"):
        task.replica_batch([1], Stream.GRADIENT, 0, 0)
