"""The weight gradient as a sum over the lags of the time steps."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.metrics import Metric
from rnnbench.models.base import Model
from rnnbench.objective.step_gradients import NUMBERS_AT_ONCE, NUMBERS_KEPT, LagShares, StepGradients
from rnnbench.probes.base import Probe, Reading, View
from rnnbench.probes.figures import to_png
from rnnbench.probes.gradient_figures import draw_gradient_by_lag
from rnnbench.probes.state_gradient import lags
from rnnbench.tasks.base import Task

REACHES = (50, 99)
"""Percentages of the gradient for which the reach is recorded."""

OF_DEPENDENCY = "gradient_by_lag/share_of_dependency"


@dataclass(frozen=True)
class GradientByLag(Probe):
    """The gradient with respect to the step's weights (recurrent, input, bias), as a sum over the lags of the steps.

    The lag of step t is counted from the end of its sequence, L - t. The gradient is that of the mean loss over the
    sampled sequences. The contribution of each lag is exact: the gradient of separate weights for each step. The
    weights of the readout and the initial state are not included.

    Attributes:
        num_sequences: Number of sequences of each replica, at most as many as are traced.
        picture_every: Draw shares and norms at every k-th logged update; 0: never.
    """

    num_sequences: int
    picture_every: int

    needed = ("step",)
    metrics = (
        Metric(
            "gradient_by_lag/share_from_K",
            "share of the gradient from lag K up to the lag of the next column: component of these steps' gradient "
            "along the whole gradient, divided by the norm of the whole; the shares of all columns sum to 1",
            "1",
            "a few percent at the lags of the dependency; if all of it is below lag 5, only the last steps are learned",
        ),
        Metric(
            OF_DEPENDENCY,
            "share of the gradient from the lags of the task's dependency, such as 26 to 49 for the adding problem at "
            "T = 50; it is part of the shares above",
            "1",
            "well above 0; near 0 the net learns nothing of the dependency",
        ),
        Metric(
            "gradient_by_lag/norm_K",
            "norm of the gradient from the steps of lag K alone",
            "loss per unit of theta",
            "falls more slowly than state_gradient/lag_K if the states at these lags are large",
        ),
        Metric(
            "gradient_by_lag/reach_QQ",
            "smallest number of last steps whose gradient stays within 50 % or 1 % of the whole, however many earlier "
            "steps are added",
            "steps",
            "reach_99 beyond the lag of the dependency",
        ),
    )

    @override
    def columns(self, model: Model, task: Task) -> list[str]:
        return [
            *(f"gradient_by_lag/share_from_{lag}" for lag in lags(task.num_steps)),
            *([] if task.dependency is None else [OF_DEPENDENCY]),
            *(f"gradient_by_lag/norm_{lag}" for lag in lags(task.num_steps, task.dependency)),
            *(f"gradient_by_lag/reach_{percent}" for percent in REACHES),
        ]

    @override
    def num_bytes(self, model: Model, num_steps: int, num_replicas: int) -> int:
        states = 4 * num_replicas * num_steps * self.num_sequences * model.state_size
        terms = num_steps * num_replicas * model.num_parameters
        kept = terms if terms <= NUMBERS_KEPT else 0
        return 8 * (states + kept + 3 * max(NUMBERS_AT_ONCE, num_replicas * model.num_parameters))

    @override
    def capture(self, view: View) -> Callable[[], Reading]:
        gradient, model, num_steps, dependency = view.update.gradient, view.model, view.num_steps, view.dependency
        count = min(gradient.trace.num_sequences, self.num_sequences)
        states, state_gradients = gradient.trace.states(count), gradient.trace.state_gradients(count)
        scale = gradient.num_sequences / count  # from the mean over the batch to that over the sample
        batch, theta = gradient.batch.rows(0, count), gradient.theta
        draw = self.picture_every > 0 and view.num_logged % self.picture_every == 0

        def read() -> Reading:
            inputs, lengths, scaled = batch.inputs.cpu(), batch.lengths.cpu(), state_gradients.cpu() * scale
            by_lag = StepGradients(model, theta.cpu(), states.cpu(), inputs, scaled, lengths).by_lag()
            scalars = by_lag_scalars(by_lag, num_steps, dependency)

            def picture(replica: int) -> bytes:
                return to_png(draw_gradient_by_lag(by_lag.shares[replica], by_lag.norms[replica]))

            return Reading(scalars, pictures={"gradient_by_lag/shares": picture} if draw else {})

        return read


def by_lag_scalars(by_lag: LagShares, num_steps: int, dependency: range | None = None) -> dict[str, Tensor]:
    """Return the scalars of a gradient by lag, by tag, (R,) each.

    Args:
        by_lag: The gradient by lag.
        num_steps: T.
        dependency: Lags of the task's dependency; None: not known.
    """
    scalars = {
        f"gradient_by_lag/share_from_{start}": by_lag.shares[:, start:stop].sum(1)
        for start, stop in itertools.pairwise([*lags(num_steps), num_steps])
    }
    if dependency is not None:
        scalars[OF_DEPENDENCY] = by_lag.shares[:, dependency.start : dependency.stop].sum(1)
    scalars |= {f"gradient_by_lag/norm_{lag}": by_lag.norms[:, lag] for lag in lags(num_steps, dependency)}
    return scalars | {f"gradient_by_lag/reach_{percent}": reach(by_lag.shares, percent / 100) for percent in REACHES}


def reach(shares: Tensor, part: float) -> Tensor:
    """Return the smallest number of first lags after which the sum of shares stays within 1 - part of 1.

    Args:
        shares: Shares of the lags, lag 0 first, (R, T); they sum to 1.
        part: Share of the gradient, in 0 .. 1.

    Returns:
        (R,), 1 .. T, float64; NaN for a replica with a share that is not finite.
    """
    outside = (shares.cumsum(1) - 1).abs() > 1 - part + 1e-9
    numbers = torch.arange(1, shares.shape[1] + 1, dtype=torch.float64, device=shares.device)
    last_outside = (outside * numbers).amax(1)
    return torch.where(shares.isfinite().all(1), last_outside + 1, torch.nan)
