"""Eigenvalues of the state-transition Jacobian along real trajectories."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.diagnostics.jacobians import share_above
from rnnbench.linear_algebra import eigvals
from rnnbench.metrics import Metric
from rnnbench.models.base import Model
from rnnbench.probes.base import Probe, Reading, View
from rnnbench.probes.figures import draw_eigenvalues, to_png
from rnnbench.probes.trajectories import sample
from rnnbench.tasks.base import Task

QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class StateJacobian(Probe):
    """Eigenvalues of dh_t/dh_{t-1}, h the full state, at states that the net visits on the training batch.

    Attributes:
        num_sequences: Number of sequences that are sampled.
        num_steps: Number of sampled steps per sequence, evenly spaced over the length of the replica's shortest one.
        picture_every: Draw the eigenvalues at every k-th logged update; 0: never.
    """

    num_sequences: int
    num_steps: int
    picture_every: int

    needed = ("state_jacobians",)
    metrics = (
        Metric(
            "jacobian/spectral_radius",
            "largest eigenvalue modulus of dh_t/dh_{t-1}, mean over the sampled states",
            "1",
            "near 1; well below 1 products of Jacobians vanish, above 1 they may explode",
            overview=6,
        ),
        Metric(
            "jacobian/spectral_radius_max",
            "largest eigenvalue modulus over all sampled states",
            "1",
            "above 1: at some states small perturbations may grow",
        ),
        Metric(
            "jacobian/modulus_qQQ",
            "quantile (10 %, 50 %, 90 %) of all eigenvalue moduli at all sampled states",
            "1",
            "q90 near 1 while q10 is small: few directions remember, most forget",
            is_detail=True,
        ),
        Metric(
            "jacobian/share_above_one",
            "share of all eigenvalues, at all sampled states, of modulus above 1",
            "1",
            "0 to 0.1",
        ),
    )

    @override
    def columns(self, model: Model, task: Task) -> list[str]:
        quantiles = [f"jacobian/modulus_q{round(100 * q)}" for q in QUANTILES]
        return ["jacobian/spectral_radius", "jacobian/spectral_radius_max", *quantiles, "jacobian/share_above_one"]

    @override
    def num_bytes(self, model: Model, num_steps: int, num_replicas: int) -> int:
        # The Jacobians and the complex copies that the decomposition makes.
        return 4 * num_replicas * self.num_sequences * min(self.num_steps, num_steps) * model.state_size**2 * 8

    @override
    def capture(self, view: View) -> Callable[[], Reading]:
        visited, _ = sample(view, self.num_sequences, self.num_steps)
        draw = self.picture_every > 0 and view.num_logged % self.picture_every == 0

        def read() -> Reading:
            jacobians = visited.jacobians().cpu()
            eigenvalues = eigvals(jacobians).transpose(0, 1).flatten(1, 2)  # (R, samples, s)

            def picture(replica: int) -> bytes:
                return to_png(draw_eigenvalues(eigenvalues[replica].flatten()))

            histograms = {"jacobian/eigenvalue_modulus": eigenvalues.abs().flatten(1)}
            pictures = {"jacobian/eigenvalues": picture} if draw else {}
            return Reading(spectrum_scalars(eigenvalues), histograms, pictures)

        return read


def spectrum_scalars(eigenvalues: Tensor) -> dict[str, Tensor]:
    """Return the scalars of Jacobians' eigenvalues, (R, samples, s), by tag, (R,) each."""
    modulus = eigenvalues.abs()
    radius, flat = modulus.amax(-1), modulus.flatten(1)
    quantiles = torch.quantile(flat, torch.tensor(QUANTILES, dtype=flat.dtype), dim=1)
    return {
        "jacobian/spectral_radius": radius.mean(1),
        "jacobian/spectral_radius_max": radius.amax(1),
        **{f"jacobian/modulus_q{round(100 * q)}": row for q, row in zip(QUANTILES, quantiles, strict=True)},
        "jacobian/share_above_one": share_above(flat, 1.0),
    }
