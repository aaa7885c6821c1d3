"""Singular values of the state-transition Jacobian, and how far they are from its eigenvalues."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from rnnbench.diagnostics.jacobians import departure_from_normality, eigenvalues, singular_values
from rnnbench.metrics import Metric
from rnnbench.models.base import Model
from rnnbench.probes.base import Probe, Reading, View
from rnnbench.probes.figures import to_png
from rnnbench.probes.jacobian_figures import draw_moduli
from rnnbench.probes.trajectories import sample


@dataclass(frozen=True)
class JacobianNormality(Probe):
    """Singular values of dh_t/dh_{t-1} and its departure from normality, at states that the net visits.

    Eigenvalues describe the growth of a perturbation over many steps with one constant Jacobian, singular values its
    growth in one step. For a normal matrix the singular values are the moduli of the eigenvalues.

    Attributes:
        num_sequences: Number of sequences that are sampled.
        num_steps: Number of sampled steps per sequence, evenly spaced over the length of the replica's shortest one.
        picture_every: Draw at every k-th logged update; 0: never.
    """

    num_sequences: int
    num_steps: int
    picture_every: int

    needed = ("state_jacobians",)
    metrics = (
        Metric(
            "jacobian/largest_singular_value",
            "largest singular value of dh_t/dh_{t-1}, mean over the sampled states",
            "1",
            "above jacobian/spectral_radius: one step can amplify more than the eigenvalues say",
        ),
        Metric(
            "jacobian/smallest_singular_value",
            "smallest singular value of dh_t/dh_{t-1}, mean over the sampled states",
            "1",
            "near 1 in an orthogonal net; near 0: a direction is forgotten in one step",
        ),
        Metric(
            "jacobian/departure_from_normality",
            "Henrici's: sqrt(||J||_F^2 - sum of |lambda|^2) / ||J||_F, J = dh_t/dh_{t-1}, mean over the sampled states",
            "1, from 0 (orthogonal eigenvectors) to 1 (no eigenvalue but 0)",
            "0 for orthogonal and symmetric matrices; about 0.7 for a random one: a push may grow before it decays",
        ),
        Metric(
            "jacobian/departure_from_normality_absolute",
            "Henrici's departure from normality, sqrt(||J||_F^2 - sum of |lambda|^2), not divided by ||J||_F",
            "1",
            "falls with ||J||_F where the units saturate",
        ),
    )

    @override
    def num_bytes(self, model: Model, num_steps: int, num_replicas: int) -> int:
        # The Jacobians, and the copies that the decompositions make; half of these are complex.
        return 6 * num_replicas * self.num_sequences * min(self.num_steps, num_steps) * model.state_size**2 * 8

    @override
    def capture(self, view: View) -> Callable[[], Reading]:
        visited, _ = sample(view, self.num_sequences, self.num_steps)
        draw = self.picture_every > 0 and view.num_logged % self.picture_every == 0

        def read() -> Reading:
            jacobians = visited.on_host().jacobians().transpose(0, 1).flatten(1, 2)  # (R, samples, s, s)
            values, sizes = eigenvalues(jacobians), singular_values(jacobians)
            scalars = normality_scalars(jacobians, values, sizes)

            def picture(replica: int) -> bytes:
                return to_png(draw_moduli(values[replica].abs(), sizes[replica]))

            pictures = {"jacobian/singular_values": picture} if draw else {}
            return Reading(scalars, {"jacobian/singular_value": sizes.flatten(1)}, pictures)

        return read


def normality_scalars(jacobians: Tensor, eigenvalues: Tensor, singular_values: Tensor) -> dict[str, Tensor]:
    """Return the scalars of Jacobians (R, samples, s, s), by tag, (R,) each.

    Args:
        jacobians: The Jacobians.
        eigenvalues: Their eigenvalues, (R, samples, s).
        singular_values: Their singular values, largest first, (R, samples, s).
    """
    absolute, relative = departure_from_normality(jacobians, eigenvalues)
    columns = (singular_values[..., 0], singular_values[..., -1], relative, absolute)
    tags = (metric.tag for metric in JacobianNormality.metrics)
    return {tag: column.mean(1) for tag, column in zip(tags, columns, strict=True)}
