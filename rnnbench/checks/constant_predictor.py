"""The score of the best predictor that ignores its inputs but knows the step, measured on sequences of a task.

Letters: S outputs of a sequence, B sequences, o output units.
"""

import math

import torch
from torch import Tensor

from rnnbench.checks.law import LawError
from rnnbench.losses import Loss, loss_of
from rnnbench.tasks.base import Batch, Stream, Task

STANDARD_ERRORS = 4.5
"""Largest deviation of a measured mean; a true claim exceeds it once in 150,000 checks."""

MAX_SEQUENCES, NUMBERS_AT_ONCE = 40_000, 2**22
"""Number of sequences on which the constant predictor is measured, and of input values that are drawn for it."""


def check_constant_predictor(task: Task) -> None:
    """Check that `baseline_loss` and `baseline_error_rate` are those of the best constant, on many sequences.

    Raises:
        LawError: The claimed score is not the measured one.
    """
    loss, count = loss_of(task.loss), _num_sequences(task)

    def batches() -> list[Batch]:
        rows = max(1, NUMBERS_AT_ONCE // (task.num_steps * task.input_size * 8))
        starts = range(0, count, min(rows, count))
        return [
            task.replica_batch(
                [1], Stream.EVALUATION, 0, min(rows, count - start), first_row=start, dtype=torch.float64
            )
            for start in starts
        ]

    drawn = batches()
    constant = best_constant(task, torch.cat([batch.targets for batch in drawn], dim=2))
    losses, misses = [], []
    for batch in drawn:
        outputs = constant.expand(task.num_outputs, 1, batch.size, task.output_size)
        values = loss.values(outputs, batch.targets)
        losses.append(values.mean(0)[0])
        misses.append(task.misses(outputs, batch)[0])
        scores = task.scores(outputs, values, batch)
        tags = {metric.tag for metric in task.evaluation_metrics}
        if scores.keys() != tags or any(score.shape != (1, batch.size) for score in scores.values()):
            raise LawError(f"scores must return (R, B) for each of {sorted(tags)}, got {sorted(scores)}")
    measured = torch.cat(losses)
    mean, error = float(measured.mean()), float(measured.std()) / math.sqrt(count)
    # The best constant of a sample fits it better than that of all sequences, by about one part in count per unit.
    slack = task.output_size / count * max(1.0, abs(mean))
    if not abs(mean - task.baseline_loss) < STANDARD_ERRORS * error + slack:
        raise LawError(
            f"baseline_loss is {task.baseline_loss:.6g}, but the best constant has {mean:.6g} +- {error:.1g}"
        )
    rate, claimed = float(torch.cat(misses).double().mean()), task.baseline_error_rate
    error = math.sqrt(claimed * (1 - claimed) / count)
    if not abs(rate - claimed) < STANDARD_ERRORS * error + 2e-3:
        raise LawError(f"baseline_error_rate is {claimed:.4g}, but the best constant has {rate:.4g} +- {error:.1g}")


def _num_sequences(task: Task) -> int:
    """Number of sequences whose inputs, or outputs, have about `NUMBERS_AT_ONCE` values."""
    per_sequence = max(task.num_steps * task.input_size, task.num_outputs * task.output_size)
    return max(500, min(MAX_SEQUENCES, NUMBERS_AT_ONCE // per_sequence))


def best_constant(task: Task, targets: Tensor) -> Tensor:
    """The outputs of the best predictor that knows the step only, for the targets of a sample.

    Args:
        task: The task.
        targets: Targets of B sequences of one replica, as in `Batch`.

    Returns:
        (S, 1, 1, o), float64.
    """
    if task.loss == "squared_error":
        return targets.mean(2, keepdim=True)
    if task.loss == "sigmoid_cross_entropy":
        return torch.logit(targets.mean(2, keepdim=True))
    if task.loss == "softmax_cross_entropy":
        counts = torch.zeros(len(targets), task.output_size, dtype=torch.float64)
        counts.scatter_add_(1, targets[:, 0], torch.ones_like(targets[:, 0], dtype=torch.float64))
        return counts.log()[:, None, None]  # -inf for a class that is never asked for
    return _minimizer(loss_of(task.loss), task.output_size, targets)


def _minimizer(loss: Loss, output_size: int, targets: Tensor) -> Tensor:
    """The constant outputs of least mean loss, by L-BFGS: (S, 1, 1, o)."""
    constant = torch.zeros(len(targets), 1, 1, output_size, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([constant], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss.values(constant.expand(*targets.shape[:3], output_size), targets).mean()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    return constant.detach()
