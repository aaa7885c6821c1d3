"""Finite-time Lyapunov exponents of the net along its trajectories."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from rnnbench.diagnostics.jacobians import share_above
from rnnbench.diagnostics.jacobians_in_turn import BYTES_AT_ONCE
from rnnbench.diagnostics.lyapunov import lyapunov_spectrum
from rnnbench.metrics import Metric
from rnnbench.models.base import Model
from rnnbench.probes.base import Probe, Reading, View
from rnnbench.probes.figures import to_png
from rnnbench.probes.jacobian_figures import draw_lyapunov
from rnnbench.probes.trajectories import ends


@dataclass(frozen=True)
class Lyapunov(Probe):
    """Lyapunov exponents of the state along whole sequences: growth per step, by direction.

    Attributes:
        num_sequences: Number of sequences that are followed.
        picture_every: Draw at every k-th logged update; 0: never.
    """

    num_sequences: int
    picture_every: int

    needed = ("state_jacobians",)
    metrics = (
        Metric(
            "lyapunov/largest",
            "largest finite-time Lyapunov exponent, by QR along the followed sequences, mean over them",
            "natural logarithm per step",
            "near 0 (edge of chaos); below: perturbations decay and the net forgets; above: chaos",
        ),
        Metric(
            "lyapunov/mean",
            "mean of all exponents: of ln |det dh_t/dh_{t-1}| / s over the steps; -inf where one is singular",
            "natural logarithm per step",
            "0 in an orthogonal net with linear units; well below lyapunov/largest otherwise",
        ),
        Metric(
            "lyapunov/share_kept",
            "share of the exponents above -1 / (steps followed): directions that shrink by less than a factor of e",
            "1",
            "a few directions in a trained net; 0: the net has forgotten its first state at the end",
        ),
    )

    @override
    def num_bytes(self, model: Model, num_steps: int, num_replicas: int) -> int:
        return BYTES_AT_ONCE + 8 * num_replicas * self.num_sequences * model.state_size**2 * 8

    @override
    def capture(self, view: View) -> Callable[[], Reading]:
        visited, num_steps = ends(view, self.num_sequences)
        draw = self.picture_every > 0 and view.num_logged % self.picture_every == 0

        def read() -> Reading:
            own = num_steps.cpu()
            jacobians = visited.on_host().jacobians_in_turn()
            spectrum = lyapunov_spectrum(jacobians, begins=len(jacobians) - own.unsqueeze(1))  # (R, b, s)

            def picture(replica: int) -> bytes:
                return to_png(draw_lyapunov(spectrum[replica], int(own[replica])))

            return Reading(exponent_scalars(spectrum, own), pictures={"lyapunov/spectrum": picture} if draw else {})

        return read


def exponent_scalars(spectrum: Tensor, num_steps: Tensor) -> dict[str, Tensor]:
    """Return the scalars of Lyapunov exponents, by tag, (R,) each.

    Args:
        spectrum: Exponents of the followed sequences, largest first, (R, b, s).
        num_steps: Number of steps that were followed, (R,).
    """
    kept = share_above(spectrum, -1 / num_steps.view(-1, 1, 1))
    columns = (spectrum[..., 0], spectrum.mean(-1), kept)
    tags = (metric.tag for metric in Lyapunov.metrics)
    return {tag: column.mean(1) for tag, column in zip(tags, columns, strict=True)}
