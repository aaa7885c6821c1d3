import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnnbench.tasks.base import Stream
from rnnbench.tasks.latch import TARGET, Latch
from rnnbench.tasks.normal_numbers import normal
from rnnbench.tasks.random_numbers import random_words


def test_the_first_steps_show_the_class_and_the_others_noise_alone():
    task = Latch(8, num_positions=3, num_noise_inputs=2)
    batch = task.replica_batch([1, 2], Stream.GRADIENT, 0, 50, dtype=torch.float64)
    is_first = batch.targets[0, :, :, 0] == TARGET
    assert set(batch.targets.unique().tolist()) == {-TARGET, TARGET}
    shown = torch.zeros(2, 50, 8, 6, dtype=torch.float64)
    for step in range(3):
        shown[is_first, step, step] = 1
        shown[~is_first, step, 3 + step] = 1
    assert torch.equal(batch.inputs[..., :6].permute(1, 2, 0, 3), shown)
    assert not batch.inputs[:3, ..., 6:].any()
    assert bool(batch.inputs[3:, ..., 6:].all())  # no quantile is 0


@pytest.mark.parametrize("noise", [0.0, 0.2, 1.5])
def test_the_noise_is_normal_with_its_standard_deviation(noise):
    batch = Latch(50, noise=noise).replica_batch([3], Stream.GRADIENT, 0, 2000, dtype=torch.float64)
    drawn = batch.inputs[3:, 0, :, 6]
    error = noise / math.sqrt(drawn.numel())
    assert abs(float(drawn.mean())) <= 4.5 * error
    assert abs(float(drawn.std()) - noise) <= 4.5 * error / math.sqrt(2)
    beyond = float((drawn.abs() > 1.959964 * noise).double().mean()) if noise else 0.05
    assert abs(beyond - 0.05) < 4.5 * math.sqrt(0.05 * 0.95 / drawn.numel())


@pytest.mark.parametrize("num_steps", [4, 7, 8])
def test_steps_of_a_pair_share_words(num_steps):
    """Word 0 is the class's, then a pair has one for each noise input; the lower half is for the earlier step."""
    task = Latch(num_steps, noise=0.3, num_noise_inputs=2)
    inputs = task.replica_batch([4, 9], Stream.PROBE, 6, 3, first_row=5).inputs
    words = random_words([4, 9], Stream.PROBE, 6, 7, 3, first_row=5)
    numbers = normal(words, 0.3, torch.empty((14, 2, 3))).view(7, 2, 2, 3)
    for step in range(num_steps - 3):
        for j in range(2):
            assert torch.equal(inputs[3 + step, :, :, 6 + j], numbers[1 + 2 * (step // 2) + j, step % 2])


@given(data=st.data(), num_steps=st.integers(4, 9), num_noise_inputs=st.integers(1, 4))
def test_a_row_is_the_same_in_any_batch(data, num_steps, num_noise_inputs):
    task = Latch(num_steps, num_noise_inputs=num_noise_inputs)
    size = data.draw(st.integers(1, 9))
    start = data.draw(st.integers(0, size - 1))
    stop = data.draw(st.integers(start + 1, size))
    whole = task.replica_batch([1, 8], Stream.GRADIENT, 3, size, first_row=2)
    part = task.replica_batch([8], Stream.GRADIENT, 3, stop - start, first_row=2 + start)
    assert torch.equal(part.inputs, whole.rows(start, stop).inputs[:, 1:])
    assert torch.equal(part.targets, whole.rows(start, stop).targets[:, 1:])


def test_more_noise_inputs_keep_the_class():
    one, two = (Latch(10, num_noise_inputs=count).replica_batch([5], Stream.GRADIENT, 2, 30) for count in (1, 2))
    assert torch.equal(one.targets, two.targets)
    assert torch.equal(one.inputs[..., :6], two.inputs[..., :6])
