"""The product of state-transition Jacobians, dh_T/dh_t, against the lag T - t."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.diagnostics.jacobian_products import ProductNorms, log_singular_values, product_norms
from rnnbench.diagnostics.jacobians_in_turn import BYTES_AT_ONCE
from rnnbench.metrics import Metric
from rnnbench.models.base import Model
from rnnbench.probes.base import Probe, Reading, View
from rnnbench.probes.figures import to_png
from rnnbench.probes.jacobian_figures import draw_product_norms, draw_product_singular_values
from rnnbench.probes.state_gradient import lags
from rnnbench.probes.trajectories import ends
from rnnbench.tasks.base import Task

NUM_PICTURED_LAGS = 12


@dataclass(frozen=True)
class JacobianProduct(Probe):
    """dh_L/dh_t, h the full state, against the lag L - t, where t = L is the sequence's last step.

    The product is computed in logarithms, so that nothing underflows; the logarithms are averaged over sequences. The
    lags of a replica end at the length of its shortest sequence.

    Attributes:
        num_sequences: Number of sequences that are followed.
        picture_every: Draw at every k-th logged update; 0: never. The singular values drawn are those of the first
            sequence.
    """

    num_sequences: int
    picture_every: int

    needed = ("state_jacobians",)
    metrics = (
        Metric(
            "jacobian/product_log_norm_lag_K",
            "ln of the largest singular value of dh_L/dh_t at t = L - K, mean over the followed sequences",
            "natural logarithm",
            "above -5 at the lag of the dependency; at -20 a change of the state is reduced to 2e-9 of its size",
        ),
        Metric(
            "jacobian/product_log_norm_per_step",
            "slope of the least-squares line through product_log_norm against the lag, over all lags",
            "natural logarithm per step",
            "near 0; the lower, the shorter the memory; above 0: gradients may explode",
        ),
        Metric(
            "jacobian/product_stable_rank_lag_K",
            "(Frobenius norm / largest singular value)^2 of dh_L/dh_t at t = L - K, mean over the followed sequences",
            "1, from 1 to the size of the state",
            "falls to 1: the past is visible along a single direction; constant in an orthogonal net",
        ),
    )

    @override
    def columns(self, model: Model, task: Task) -> list[str]:
        wanted = lags(task.num_steps, task.dependency)[1:]
        norms = [f"jacobian/product_log_norm_lag_{lag}" for lag in wanted]
        ranks = [f"jacobian/product_stable_rank_lag_{lag}" for lag in wanted]
        return [*norms, "jacobian/product_log_norm_per_step", *ranks]

    @override
    def num_bytes(self, model: Model, num_steps: int, num_replicas: int) -> int:
        matrix = model.state_size**2 * 8
        # One step of all replicas with its decomposition, and the drawn lags of one sequence.
        return BYTES_AT_ONCE + (8 * num_replicas * self.num_sequences + 10 * NUM_PICTURED_LAGS) * matrix

    @override
    def capture(self, view: View) -> Callable[[], Reading]:
        visited, own_steps = ends(view, self.num_sequences)
        wanted = lags(view.num_steps, view.dependency)[1:]
        draw = self.picture_every > 0 and view.num_logged % self.picture_every == 0

        def read() -> Reading:
            along = visited.on_host()
            norms, own = product_norms(along.jacobians_in_turn()), own_steps.cpu()
            scalars = product_scalars(norms, own, wanted)

            def draw_values(replica: int) -> bytes:
                followed = int(own[replica])
                chosen = pictured_lags(followed)
                values = log_singular_values(along.first_of(replica, followed).jacobians_in_turn(), chosen)
                return to_png(draw_product_singular_values(chosen, values[:, 0, 0]))

            def draw_norms(replica: int) -> bytes:
                steps = int(own[replica]) + 1
                return to_png(draw_product_norms(range(steps), norms.log_spectral[:steps, replica]))

            pictures = {
                "jacobian/product_against_lag": draw_norms,
                "jacobian/product_singular_values": draw_values,
            }
            return Reading(scalars, pictures=pictures if draw else {})

        return read


def product_scalars(norms: ProductNorms, num_steps: Tensor, shown: Sequence[int]) -> dict[str, Tensor]:
    """Return the scalars of products of Jacobians, by tag, (R,) each; NaN at a lag that was not computed.

    Args:
        norms: Norms at lags of the followed sequences, (lags, R, b).
        num_steps: Number of steps that were followed, (R,); norms at larger lags are ignored.
        shown: Lags that have scalars.
    """
    lag = torch.tensor(norms.lags).unsqueeze(1)
    means = (norms.log_spectral.mean(-1), norms.stable_rank.mean(-1))  # (lags, R)
    logarithm, rank = (mean.masked_fill(lag > num_steps, torch.nan) for mean in means)
    missing = torch.full_like(logarithm[0], torch.nan)

    def at(curve: Tensor, lag: int) -> Tensor:
        return curve[norms.lags.index(lag)] if lag in norms.lags else missing

    scalars = {f"jacobian/product_log_norm_lag_{lag}": at(logarithm, lag) for lag in shown}
    scalars["jacobian/product_log_norm_per_step"] = slope_against_lag(logarithm, lag)
    return scalars | {f"jacobian/product_stable_rank_lag_{lag}": at(rank, lag) for lag in shown}


def slope_against_lag(logarithm: Tensor, lag: Tensor) -> Tensor:
    """Return the slope, (R,), of the least-squares line through finite values (lags, R) against their lag (lags, 1)."""
    usable = logarithm.isfinite()
    weight, known = usable.to(logarithm.dtype), torch.where(usable, logarithm, 0.0)
    total = weight.sum(0)
    centred = (lag - (weight * lag).sum(0) / total) * weight
    return torch.where(total > 1, (centred * known).sum(0) / centred.square().sum(0), torch.nan)


def pictured_lags(num_steps: int) -> Sequence[int]:
    """Return about `NUM_PICTURED_LAGS` lags from 0 to num_steps, evenly spaced."""
    return sorted({round(k * num_steps / (NUM_PICTURED_LAGS - 1)) for k in range(NUM_PICTURED_LAGS)})
