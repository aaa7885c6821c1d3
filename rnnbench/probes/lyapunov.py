"""Finite-time Lyapunov exponents of the net along its trajectories."""

from collections.abc import Callable
from dataclasses import dataclass

from typing_extensions import override

from rnnbench.diagnostics.jacobians import share_above
from rnnbench.diagnostics.lyapunov import lyapunov_spectrum
from rnnbench.metrics import Metric
from rnnbench.models.base import Model
from rnnbench.probes.base import Probe, Reading, View
from rnnbench.probes.jacobian_figures import draw_lyapunov
from rnnbench.probes.trajectories import BYTES_AT_ONCE, JacobiansInTurn, ends


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
            own = num_steps.cpu().unsqueeze(1)  # (R, 1)
            jacobians = JacobiansInTurn(visited.on_host())
            spectrum = lyapunov_spectrum(jacobians, begins=len(jacobians) - own)  # (R, b, s)
            kept = share_above(spectrum, -1 / own.unsqueeze(2))
            columns = (spectrum[..., 0], spectrum.mean(-1), kept)
            scalars = {metric.tag: column.mean(1) for metric, column in zip(self.metrics, columns, strict=True)}
            pictures = (
                {"lyapunov/spectrum": lambda replica: draw_lyapunov(spectrum[replica], int(own[replica]))}
                if draw
                else {}
            )
            return Reading(scalars, pictures=pictures)

        return read
