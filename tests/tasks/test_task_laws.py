"""Laws that hold for every task and variant; the `task` fixture runs over them."""

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnnbench.config.packaged_tasks import packaged_tasks, variants
from rnnbench.losses import LOSSES
from rnnbench.tasks.base import Batch, Stream
from rnnbench.tasks.memorization import MAX_BALANCED_PATTERNS

SEEDS = [0, 7, 2**40 + 3]
LAW = settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def assert_equal(left, right):
    if left.output_steps is None or right.output_steps is None:
        assert left.output_steps is right.output_steps
    else:
        assert torch.equal(left.output_steps, right.output_steps)
    for ours, theirs in [
        (left.inputs, right.inputs),
        (left.lengths, right.lengths),
        (left.targets, right.targets),
    ]:
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, theirs)


def test_shapes_and_types(task):
    batch = task.replica_batch(SEEDS, Stream.GRADIENT, 2, 5)
    assert batch.inputs.shape == (task.num_steps, 3, 5, task.input_size)
    assert batch.inputs.is_contiguous()
    assert batch.inputs.dtype == torch.float32
    assert batch.lengths.shape == (3, 5)
    assert batch.lengths.dtype == torch.int64
    if batch.output_steps is None:
        assert task.num_outputs == task.num_steps
        assert bool((batch.lengths == task.num_steps).all())
    else:
        assert batch.output_steps.dtype == torch.int64
        # The last outputs of a sequence, at its end.
        lags = torch.arange(task.num_outputs, 0, -1).view(-1, 1, 1)
        assert torch.equal(batch.output_steps, batch.lengths - lags)
    if task.loss == "softmax_cross_entropy":
        assert batch.targets.shape == (task.num_outputs, 3, 5)
        assert batch.targets.dtype == torch.int64
        assert 0 <= int(batch.targets.min()) <= int(batch.targets.max()) < task.output_size
    else:
        assert batch.targets.shape == (task.num_outputs, 3, 5, task.output_size)
        assert batch.targets.dtype == torch.float32


@LAW
@given(data=st.data())
def test_a_row_is_the_same_in_any_batch(task, data):
    size = data.draw(st.integers(1, 12))
    start = data.draw(st.integers(0, size - 1))
    stop = data.draw(st.integers(start + 1, size))
    offset = data.draw(st.integers(0, 100))
    whole = task.replica_batch(SEEDS, Stream.CURVATURE, 3, size, first_row=offset)
    part = task.replica_batch(SEEDS, Stream.CURVATURE, 3, stop - start, first_row=offset + start)
    assert_equal(part, whole.rows(start, stop))


@LAW
@given(seeds=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=4), update=st.integers(0, 2**32 - 1))
def test_a_replica_is_the_one_of_its_seed_alone(task, seeds, update):
    together = task.replica_batch(seeds, Stream.GRADIENT, update, 6)
    for replica, seed in enumerate(seeds):
        alone = task.replica_batch([seed], Stream.GRADIENT, update, 6)
        assert_equal(alone, together.replicas(slice(replica, replica + 1)))


def test_float32_is_float64_rounded(task):
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


def test_the_default_dtype_changes_nothing(task):
    before = task.replica_batch(SEEDS, Stream.GRADIENT, 1, 5)
    torch.set_default_dtype(torch.float64)
    try:
        after = task.replica_batch(SEEDS, Stream.GRADIENT, 1, 5)
    finally:
        torch.set_default_dtype(torch.float32)
    assert_equal(before, after)


def test_inputs_end_with_the_sequence(task):
    batch = task.replica_batch(SEEDS, Stream.GRADIENT, 1, 50)
    steps = torch.arange(task.num_steps).view(-1, 1, 1)
    assert bool((batch.inputs[(steps >= batch.lengths).expand(batch.inputs.shape[:3])] == 0).all())
    assert bool((batch.lengths <= task.num_steps).all())


@pytest.mark.parametrize("other", ["seed", "stream", "update", "row"])
@pytest.mark.parametrize("name", packaged_tasks())
def test_data_differ_with_everything_they_depend_on(name, other):
    for variant in variants(name):
        assert_differs(packaged_tasks()[name](50, variant), other)


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
        assert_equal(base, changed)  # all there are, in their order
        return
    assert not bool((base.inputs == changed.inputs).all(-1).all(0).any())


def best_constant(task, batch):
    """The outputs of the predictor that `baseline_loss` speaks of, from a large sample.

    Under squared error the mean target; else, at each output, whatever is ever asked for there with equal probability.
    """
    if task.loss == "squared_error":
        return batch.targets.mean(dim=(0, 1, 2)).expand(batch.targets.shape)
    if task.loss == "sigmoid_cross_entropy":
        assert batch.targets.unique().tolist() == [0, 1]
        return torch.zeros_like(batch.targets)
    outputs = torch.full((len(batch.targets), 1, 1, task.output_size), -math.inf, dtype=torch.float64)
    for output, targets in zip(outputs, batch.targets, strict=True):
        output[..., targets.unique()] = 0
    return outputs.expand(*batch.targets.shape, task.output_size)


def test_the_constant_predictor_scores_as_its_closed_form(task):
    """Monte Carlo over 40,000 sequences, fewer of many outputs: within 4.5 standard errors."""
    num_rows = 400 if task.num_outputs > 1 else 40_000 if task.num_steps < 20 else 8_000
    # Of each batch only the targets are kept: the inputs of all at once would be gigabytes.
    targets = torch.cat(
        [
            task.replica_batch([seed], Stream.EVALUATION, 0, num_rows, dtype=torch.float64).targets
            for seed in range(1, 6)
        ],
        dim=2,
    )
    batch = Batch(torch.empty(0), torch.empty(0), None, targets)
    outputs = best_constant(task, batch)
    all_losses = LOSSES[task.loss].values(outputs, targets)
    losses = all_losses.mean(0)[0]
    error = float(losses.std()) / len(losses) ** 0.5
    assert abs(float(losses.mean()) - task.baseline_loss) < 4.5 * error + 1e-9, (losses.mean(), task.baseline_loss)
    rate = float(task.misses(outputs, batch).double().mean())
    error = math.sqrt(task.baseline_error_rate * (1 - task.baseline_error_rate) / len(losses))
    # The sample's mean is not the true one, which moves the rate by less than 1e-3.
    assert abs(rate - task.baseline_error_rate) < 4.5 * error + 1e-3, (rate, task.baseline_error_rate)
    scores = task.scores(outputs, all_losses, batch)
    assert set(scores) == {metric.tag for metric in task.evaluation_metrics}
    assert all(score.shape == (1, targets.shape[2]) for score in scores.values())


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
