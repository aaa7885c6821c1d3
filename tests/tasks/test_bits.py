"""Parity, delayed copy and delayed xor against their definitions, by plain loops over sequences."""

import pytest
import torch

from rnnbench.tasks import DelayedCopy, DelayedXor, Parity
from rnnbench.tasks.base import Stream


def rows_of(task):
    batch = task.replica_batch([3, 8], Stream.GRADIENT, 5, 40)
    ones, total = int((batch.inputs[..., -1] == 1).sum()), int(batch.lengths.sum())
    assert abs(ones - total / 2) < 2 * total**0.5  # 4 standard deviations
    for replica in range(2):
        for row in range(batch.size):
            steps = (
                batch.output_steps[:, replica, row].tolist()
                if batch.output_steps is not None
                else range(task.num_steps)
            )
            length, answers = int(batch.lengths[replica, row]), batch.targets[:, replica, row, 0].tolist()
            yield batch.inputs[:length, replica, row], dict(zip(steps, answers, strict=True))


@pytest.mark.parametrize("sequence_length", [2, 9, 33])
@pytest.mark.parametrize("variant", Parity.variants)
def test_parity(variant, sequence_length):
    task, lengths = Parity(sequence_length, variant), set()
    for inputs, answers in rows_of(task):
        lengths.add(len(inputs))
        bits = [int(value[-1] == 1) for value in inputs]
        shown = [[2.0 * bit - 1] if variant == "bengio94" else [1.0 - bit, bit] for bit in bits]
        assert inputs.tolist() == shown
        expected = {step: sum(bits[: step + 1]) % 2 for step in range(len(bits))}
        if variant != "every_step":
            expected = {len(bits) - 1: expected[len(bits) - 1]}
        assert answers == expected
    assert lengths == set(
        range(sequence_length // 2, sequence_length + 1) if variant == "bengio94" else [sequence_length]
    )


@pytest.mark.parametrize(("sequence_length", "delay"), [(3, 1), (9, 4), (40, 10)])
def test_delays(sequence_length, delay):
    for inputs, answers in rows_of(DelayedCopy(sequence_length, delay=delay)):
        bits = inputs[:, 0].int().tolist()
        assert answers == {step: bits[step - delay] for step in range(delay, sequence_length)}
    for inputs, answers in rows_of(DelayedXor(sequence_length, delay=delay)):
        bits = inputs[:, 0].int().tolist()
        expected = {step: bits[step - delay] ^ bits[step - 2 * delay] for step in range(2 * delay, sequence_length)}
        assert answers == expected


def test_no_delay_and_too_long_a_delay_are_refused():
    with pytest.raises(ValueError, match=r"^task\.delay must be at least 1, got 0$"):
        DelayedXor(50, delay=0)
    with pytest.raises(
        ValueError, match=r"at least 21 for variant engelken23 of DelayedXor with task\.delay=10, got 20$"
    ):
        DelayedXor(20)


def test_a_sequence_with_one_wrong_answer_is_a_miss_and_its_share_is_recorded():
    task = DelayedCopy(12, delay=2)
    batch = task.replica_batch([1], Stream.EVALUATION, 0, 3)
    outputs = batch.targets - 0.5
    outputs[4, 0, 1] *= -1
    assert task.misses(outputs, batch).tolist() == [[False, True, False]]
    shares = task.scores(outputs, torch.zeros(10, 1, 3), batch)["wrong_outputs/eval"]
    assert shares.tolist() == [[0, 0.1, 0]]
