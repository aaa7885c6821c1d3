"""Eigenvalues and singular values of the recurrent weights."""

from collections.abc import Callable

from typing_extensions import override

from rnnbench.linear_algebra import eigvals, spectral_norm
from rnnbench.metrics import Metric
from rnnbench.probes.base import Probe, Reading, View


class RecurrentWeight(Probe):
    """The spectrum of W_hh, independent of the states; for a gated cell, the spectrum of the candidate's block."""

    needed = ("recurrent_weight",)
    metrics = (
        Metric(
            "recurrent_weight/spectral_radius",
            "largest eigenvalue modulus of W_hh",
            "1",
            "0.9 to 1.3; with tanh the state-transition Jacobians are smaller: see jacobian/spectral_radius",
        ),
        Metric(
            "recurrent_weight/largest_singular_value",
            "largest singular value of W_hh: the most that one step can amplify",
            "1",
            "below 1 every product of Jacobians vanishes; about twice the spectral radius for a random matrix",
        ),
    )

    @override
    def capture(self, view: View) -> Callable[[], Reading]:
        model, theta = view.model, view.update.theta

        def read() -> Reading:
            recurrent = model.recurrent_weight(theta).cpu()
            modulus = eigvals(recurrent).abs()
            return Reading(
                {
                    "recurrent_weight/spectral_radius": modulus.amax(-1),
                    "recurrent_weight/largest_singular_value": spectral_norm(recurrent),
                },
                {"recurrent_weight/eigenvalue_modulus": modulus},
            )

        return read
