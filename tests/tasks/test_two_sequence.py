import math

import pytest
import torch

from rnnbench.tasks import TwoSequence
from rnnbench.tasks.base import Stream
from rnnbench.tasks.two_sequence import NOISE

LENGTHS = {"hs97": range(100, 111), "hs97_noise": range(100, 111), "bengio94": range(50, 101)}


@pytest.mark.parametrize("variant", TwoSequence.variants)
def test_the_first_steps_show_the_class_and_the_others_noise_alone(variant):
    task = TwoSequence(100, variant)
    batch = task.replica_batch([1], Stream.GRADIENT, 0, 3000, dtype=torch.float64)
    lengths, targets = batch.lengths[0], batch.targets[0, 0, :, 0]
    assert set(lengths.tolist()) == set(LENGTHS[variant])
    assert abs(float(targets.mean()) - 0.5) < 4 * 0.5 / math.sqrt(3000)
    signal, noise = 2 * targets - 1, batch.inputs[:, 0, :, 0].clone()
    noise[:3] -= signal
    if variant != "hs97_noise":
        assert not noise[:3].any()
        noise = noise[3:]
    for row, length in enumerate((lengths - (task.num_steps - len(noise))).tolist()):
        assert not noise[length:, row].any()
    drawn = noise[: task.lengths[0] - 3]
    error = NOISE / math.sqrt(drawn.numel())
    assert abs(float(drawn.mean())) < 4 * error
    assert abs(float(drawn.square().mean()) - 0.2) < 4 * 0.2 * math.sqrt(2 / drawn.numel())


def test_criteria():
    """Correct is an error below 0.2; solved are fewer than 1, or with noise fewer than 6, misses in 256 sequences."""
    task = TwoSequence(10)
    batch = task.replica_batch([1], Stream.GRADIENT, 0, 4)
    errors = torch.tensor([0.19, -0.19, 0.21, -0.21]).view(1, 1, 4, 1)
    assert task.misses(batch.targets + errors, batch).tolist() == [[False, False, True, True]]
    assert [task.is_solved(misses / 256) for misses in (0, 1)] == [True, False]
    assert [TwoSequence(10, "hs97_noise").is_solved(misses / 256) for misses in (5, 6)] == [True, False]
