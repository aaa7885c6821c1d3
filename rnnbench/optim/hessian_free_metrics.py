"""The metrics of a Hessian-free update.

Letters: R replicas.
"""

from enum import IntEnum

import torch
from torch import Tensor

from rnnbench.metrics import Metric


class Outcome(IntEnum):
    """Result of the step of an update; the numbers appear in the records."""

    ACCEPTED = 0
    WITHIN_ROUNDING = 1
    REJECTED = 2
    NO_FALL_PREDICTED = 3


def outcome_of(accepted: Tensor, unknown: Tensor, predicted: Tensor) -> Tensor:
    """`Outcome` of each replica, (R,), float64."""
    good = torch.where(unknown, float(Outcome.WITHIN_ROUNDING), float(Outcome.ACCEPTED))
    bad = torch.where(predicted < 0, float(Outcome.REJECTED), float(Outcome.NO_FALL_PREDICTED))
    return torch.where(accepted, good, bad).double()


METRICS = (
    Metric(
        "hf/damping",
        "lambda of this update",
        "loss per squared unit of theta",
        "falls by orders of magnitude as the quadratic model improves; if it rises at every update, the steps fail",
        overview=7,
    ),
    Metric(
        "hf/structural_damping",
        "mu of this update: weight of structural damping, before it is multiplied by lambda",
        "1",
        "constant",
    ),
    Metric(
        "hf/cg_iterations",
        "conjugate-gradient iterations",
        "1",
        "usually max_cg_iterations; up to max_cg_factor times as many at a low damping",
    ),
    Metric(
        "hf/cg_termination",
        "why the iterations stopped: 0 limit, 1 relative progress, 2 residual, 3 no positive curvature, 4 not finite",
        "1",
        "0 or 1",
        is_detail=True,
    ),
    Metric(
        "hf/cg_backtracked",
        "number of kept iterates dropped by backtracking because an earlier one was better",
        "1",
        "0 to 3; if more, the curvature batch is too small",
    ),
    Metric(
        "hf/reduction_ratio",
        "change of the loss on the curvature batch divided by the change that the quadratic model predicts, before the "
        "line search; at most 0 if the model predicts no decrease, clipped to +-1e6",
        "1",
        "0.25 to 1.2; if often below 0, the batches are too small or the net is chaotic",
    ),
    Metric(
        "hf/predicted_reduction",
        "decrease of the loss that the quadratic model predicts, with damping unless reduction_ratio=undamped",
        "loss",
        "above 0",
    ),
    Metric(
        "hf/actual_reduction",
        "decrease of the loss on the curvature batch; -1e30 if the loss after the step is not finite",
        "loss",
        "above 0",
    ),
    Metric(
        "hf/step_size",
        "factor of the step that the line search accepted; 0: rejected",
        "1",
        "1; 0 now and then on a plateau",
    ),
    Metric(
        "hf/outcome",
        "result of the step: 0 accepted; 1 accepted, but the change of the loss is within rounding (the damping "
        "stays); 2 rejected, since no step size lowers the loss of the line search; 3 rejected, and no decrease was "
        "predicted",
        "1",
        "0; 1 at the end of a run that has solved its task; 2 now and then on a plateau",
        is_detail=True,
    ),
    Metric(
        "hf/failures",
        "number of consecutive updates, this one included, that were rejected or had a reduction ratio <= 0",
        "updates",
        "0, rarely above 3; if it grows with the damping, the batches are too small or the net is chaotic",
    ),
)
