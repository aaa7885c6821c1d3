"""The gradient with respect to the state, against the lag from the end of each sequence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.metrics import Metric
from rnnbench.models.base import Model
from rnnbench.probes.base import Probe, Reading, View
from rnnbench.probes.figures import draw_lag_decay, to_png
from rnnbench.tasks.base import Task

NUM_SEQUENCES = 8
"""Number of sequences of each replica's batch that are averaged. Few, since there may be hundreds of replicas; the
means have an error of about a quarter, similar at all lags."""

AT_DEPENDENCY = "state_gradient/at_dependency"


@dataclass(frozen=True)
class StateGradient(Probe):
    """||dL/dh_t|| against the lag L - t, where t = L is the sequence's last step.

    h is the full state (for an LSTM, its memory too). L in dL is the loss of one sequence. The norms are averaged over
    those of the batch's first 8 sequences that are long enough for the lag.

    Attributes:
        picture_every: Draw the whole curve at every k-th logged update; 0: never.
    """

    picture_every: int

    metrics = (
        Metric(
            "state_gradient/lag_K",
            "mean over sequences of ||dL/dh_t|| at t = K steps before the sequence's own end",
            "loss per unit of state",
            "within a factor of 100 of lag_0 at the lags of the dependency; if far below, the net cannot learn it",
        ),
        Metric(
            AT_DEPENDENCY,
            "mean over sequences of ||dL/dh_t|| at the largest lag of the task's dependency that every sequence has: "
            "49 for the adding problem at T = 50",
            "loss per unit of state",
            "within a factor of 100 of lag_0; it rises when the loss leaves that of the constant predictor",
            overview=5,
        ),
        Metric(
            "state_gradient/decay_per_step",
            "slope of the least-squares line through ln(mean ||dL/dh_t||) against the lag, means of 0 left out",
            "natural logarithm per step",
            "near 0; -0.1 is a factor of 150 over 50 steps; above 0: the gradient explodes",
        ),
    )

    @override
    def columns(self, model: Model, task: Task) -> list[str]:
        at_lags = [f"state_gradient/lag_{lag}" for lag in lags(task.num_steps, task.dependency)]
        at_dependency = [] if task.dependency is None else [AT_DEPENDENCY]
        return [*at_lags, *at_dependency, "state_gradient/decay_per_step"]

    @override
    def capture(self, view: View) -> Callable[[], Reading]:
        gradient = view.update.gradient
        count = min(gradient.trace.num_sequences, NUM_SEQUENCES)
        state_gradients = gradient.trace.state_gradients(count)
        lengths, size = gradient.batch.lengths[:, :count], gradient.num_sequences
        shown, dependency = lags(view.num_steps, view.dependency), view.dependency
        draw = self.picture_every > 0 and view.num_logged % self.picture_every == 0

        def read() -> Reading:
            curve = (lag_curve(state_gradients, lengths) * size).cpu()
            scalars = curve_scalars(curve, shown, dependency)

            def picture(replica: int) -> bytes:
                return to_png(draw_lag_decay(curve[replica]))

            return Reading(scalars, pictures={"state_gradient/against_lag": picture} if draw else {})

        return read


def lags(num_steps: int, dependency: range | None = None) -> Sequence[int]:
    """Return the lags that have a column, ascending.

    Args:
        num_steps: Number of steps of the longest sequence.
        dependency: Lags of the task's dependency; None: not known.

    Returns:
        0, 1, 2, 5, 10, 20, 50, ... below num_steps / 1.1, with the first and last lag of the dependency.
    """
    chosen, decade = [0], 1
    while decade < num_steps:
        chosen += [decade, 2 * decade, 5 * decade]
        decade *= 10
    chosen = [lag for lag in chosen if lag < num_steps / 1.1]
    return chosen if dependency is None else sorted({*chosen, dependency[0], dependency[-1]})


def curve_scalars(curve: Tensor, shown: Sequence[int], dependency: range | None = None) -> dict[str, Tensor]:
    """Return the scalars of a curve ||dL/dh_t|| against the lag, by tag, (R,) each.

    Args:
        curve: Mean over sequences at each lag, (R, T).
        shown: Lags that have a scalar.
        dependency: Lags of the task's dependency; None: not known.
    """
    scalars = {f"state_gradient/lag_{lag}": curve[:, lag] for lag in shown}
    if dependency is not None:
        scalars[AT_DEPENDENCY] = curve[:, dependency[-1]]
    return {**scalars, "state_gradient/decay_per_step": decay_per_step(curve)}


def lag_curve(state_gradients: Tensor, lengths: Tensor) -> Tensor:
    """Return the mean over sequences of the norm of dL/dh_t at each lag from the sequence's end.

    Args:
        state_gradients: dL/dh_t for t = 1 .. T, (T, R, b, n).
        lengths: Lengths of the sequences, (R, b), in 1 .. T.

    Returns:
        (R, T), lag 0 first, float64; NaN at a lag if no sequence is long enough.
    """
    norms = torch.linalg.vector_norm(state_gradients, dim=-1, dtype=torch.float64)  # (T, R, b)
    num_steps = norms.shape[0]
    lag = torch.arange(num_steps, device=norms.device).view(-1, 1, 1)
    step = lengths - 1 - lag  # (T, R, b), 0-based step of each lag
    values = torch.where(step >= 0, norms.gather(0, step.clamp(min=0)), torch.nan)
    return values.nanmean(dim=2).T


def decay_per_step(curve: Tensor) -> Tensor:
    """Return the slope of ln(curve) against the lag, (R,), over positive finite values; NaN with fewer than two."""
    lag = torch.arange(curve.shape[1], dtype=curve.dtype, device=curve.device)
    usable = curve.isfinite() & (curve > 0)
    weight = usable.to(curve.dtype)
    logarithm = torch.where(usable, curve, 1.0).log()
    total = weight.sum(1, keepdim=True)
    centred = (lag - (weight * lag).sum(1, keepdim=True) / total) * weight
    return torch.where(total.squeeze(1) > 1, (centred * logarithm).sum(1) / (centred * centred).sum(1), torch.nan)
