import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnnbench.tasks.base import Stream
from rnnbench.tasks.latch import TARGET, Latch
from rnnbench.tasks.random_numbers import normal


def test_the_first_steps_show_the_class_and_the_others_noise_alone() -> None:
    task = Latch(8, num_positions=3, num_noise_inputs=2)
    batch = task.batch([1, 2], Stream.GRADIENT, 0, 50, dtype=torch.float64)
    is_first = batch.targets[0, :, :, 0] == TARGET
    assert set(batch.targets.unique().tolist()) == {-TARGET, TARGET}
    shown = torch.zeros(2, 50, 8, 6, dtype=torch.float64)
    for step in range(3):
        shown[is_first, step, step] = 1
        shown[~is_first, step, 3 + step] = 1
    assert torch.equal(batch.inputs[..., :6].permute(1, 2, 0, 3), shown)
    assert not batch.inputs[:3, ..., 6:].any()
    assert batch.inputs[3:, ..., 6:].unique().numel() == 5 * 2 * 50 * 2  # no number twice


@pytest.mark.parametrize("noise", [0.0, 0.2, 1.5])
def test_the_noise_is_normal_with_its_standard_deviation(noise: float) -> None:
    batch = Latch(50, noise=noise).batch([3], Stream.GRADIENT, 0, 2000, dtype=torch.float64)
    drawn = batch.inputs[3:, 0, :, 6]
    error = noise / math.sqrt(drawn.numel())
    assert abs(float(drawn.mean())) <= 4.5 * error
    assert abs(float(drawn.std()) - noise) <= 4.5 * error / math.sqrt(2)
    beyond = float((drawn.abs() > 1.959964 * noise).double().mean()) if noise else 0.05
    assert abs(beyond - 0.05) < 4.5 * math.sqrt(0.05 * 0.95 / drawn.numel())


@given(word=st.integers(-(2**31), 2**31 - 1))
def test_a_normal_number_is_the_quantile_of_its_word(word: int) -> None:
    value = float(normal(torch.tensor([word], dtype=torch.int32), 1.0))
    share = 0.5 * math.erfc(-value / math.sqrt(2))
    assert share == pytest.approx((word + 0.5) / 2**32 + 0.5, rel=1e-5, abs=1e-16)


def test_more_noise_inputs_keep_the_class() -> None:
    one, two = (Latch(10, num_noise_inputs=count).batch([5], Stream.GRADIENT, 2, 30) for count in (1, 2))
    assert torch.equal(one.targets, two.targets)
    assert torch.equal(one.inputs[..., :6], two.inputs[..., :6])
