"""Average of the weights over updates, which is evaluated beside the weights themselves.

Letters: R replicas, P parameters of one replica.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.metrics import Metric
from rnnbench.optim.per_replica import PerReplica

AVERAGE_LOSS = Metric(
    "loss/average",
    "loss of the sequences of loss/eval, at the average of the weights (optim.average_decay)",
    "that of loss/eval",
    "below loss/eval where single updates are noisy",
)
AVERAGE_ERROR_RATE = Metric(
    "error_rate/average",
    "share of the sequences of error_rate/eval that are wrong at the average of the weights",
    "1",
    "below error_rate/eval where single updates are noisy; it does not decide whether the task is solved",
)


def columns_of_average(evaluation: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The columns that record an evaluation of the average of the weights.

    Args:
        evaluation: Column -> values, (R,), of an evaluation there.
    """
    return {
        AVERAGE_LOSS.tag: evaluation["loss/eval"],
        AVERAGE_ERROR_RATE.tag: evaluation["error_rate/eval"],
    }


@dataclass(frozen=True, eq=False, kw_only=True)
class WeightAverage(PerReplica):
    """The average that torch.optim.swa_utils.AveragedModel keeps if it is called after every update.

    Until update `start` + 1 it is theta. Afterwards each update moves it towards theta: by the share 1 - decay, as
    get_ema_multi_avg_fn does; or, if decay is 1, by 1 / k at the k-th averaged theta, which is the mean of all of them.

    Attributes:
        decay: (R, 1), float64, in [0, 1].
        start: (R, 1), float64, number of first updates whose theta is not averaged.

    Sources: Polyak and Juditsky (1992); Izmailov et al. (2018), UAI.
    """

    decay: Tensor
    start: Tensor

    def after(self, average: Tensor, theta: Tensor, update: int | Tensor) -> Tensor:
        """The average after an update, (R, P).

        Args:
            average: The average before it, (R, P); not changed.
            theta: Parameters after the update, (R, P).
            update: Index of the update, from 0; an int, or a scalar int64 tensor on theta's device.
        """
        own = self.on(theta.device)
        count = (update - own.start).clamp(min=0)  # of thetas averaged so far
        share = torch.where(own.decay == 1, 1 / (count + 1), 1 - own.decay)
        return torch.lerp(average, theta, torch.where(count == 0, 1, share).to(theta.dtype))
