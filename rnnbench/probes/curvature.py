"""Curvature of the loss: extreme eigenvalues, the gradient along the eigenvectors, and the steps taken along them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.diagnostics.lanczos import BREAKDOWN, lanczos, random_start
from rnnbench.diagnostics.steps import (
    components,
    explained_share,
    gradient_descent_step,
    momentum_step,
    newton_step,
    progress,
    rayleigh_quotient,
)
from rnnbench.metrics import Metric
from rnnbench.models.base import Model
from rnnbench.probes.base import Probe, Reading, View
from rnnbench.probes.figures import to_png
from rnnbench.probes.gradient_figures import draw_gradient_against_curvature
from rnnbench.probes.sample import Sample, sample_bytes, sequences_at_once, take_sample
from rnnbench.tasks.base import Task

NUMBERS_PER_UNIT = 50
"""Memory of a recorded Hessian graph, in numbers per hidden unit, step and sequence; 18 to 48 were measured."""

RESOLVED = 0.1
"""An eigenvector has converged if its residual is below this share of its eigenvalue."""

RELATIVE_DAMPING = 1e-3
"""Damping of the compared Newton step relative to the largest curvature, if the optimizer has no damping."""


@dataclass(frozen=True)
class Spectrum:
    """Lanczos results of the sampled loss, for some or all replicas; m eigenvectors.

    Attributes:
        values: Largest eigenvalues of the Gauss-Newton matrix, descending, (R, m).
        residuals: Norms of the residuals of these eigenpairs, (R, m).
        gradient: Components of the batch gradient along the eigenvectors, (R, m).
        step: Components of the update's step along the eigenvectors, (R, m).
        share: Share of the gradient's squared norm in the span of the eigenvectors, (R,).
        along_gradient: Curvature of the Gauss-Newton matrix along the gradient, (R,).
        hessian: Largest and smallest eigenvalue of the Hessian, (R, 2).
        hessian_residuals: Norms of the residuals of these two eigenpairs, (R, 2).
        hessian_along_gradient: Curvature of the Hessian along the gradient, (R,).
    """

    values: Tensor
    residuals: Tensor
    gradient: Tensor
    step: Tensor
    share: Tensor
    along_gradient: Tensor
    hessian: Tensor
    hessian_residuals: Tensor
    hessian_along_gradient: Tensor


@dataclass(frozen=True)
class Curvature(Probe):
    """Extreme eigenvalues of the Gauss-Newton matrix and of the Hessian, and gradient and steps along eigenvectors.

    The eigenvalues are those of the first sequences of the training batch, computed in float64 by Lanczos with full
    reorthogonalization. The gradient is that of the whole batch. K is the rank of an eigenvector of the Gauss-Newton
    matrix; K = 1 has the largest eigenvalue. A column is NaN if Lanczos has not converged to its eigenvector (residual
    above a tenth of the eigenvalue).

    The progress of a step along an eigenvector is the share of the way to the minimum of the quadratic model along it:
    1 is the minimum; above 2 the loss rises. It is computed for the update and for three other steps from the same
    parameters: gradient descent; momentum after many updates with this gradient, lr / (1 - momentum); and damped
    Newton, which hf approximates: curvature / (curvature + damping).

    Attributes:
        num_sequences: Number of sequences of each replica.
        num_iterations: Number of Lanczos iterations for each of the two matrices.
        num_eigenvectors: m, at most num_iterations.
        lr: Learning rate of the compared gradient descent and momentum; None: 1 / the largest eigenvalue.
        momentum: Momentum of the compared momentum step.
        damping: Damping of the compared Newton step; None: that of hf at this update, and with other optimizers 0.001
            times the largest eigenvalue.
        picture_every: Draw gradient and steps against curvature at every k-th logged update; 0: never.

    Raises:
        ValueError: There are more eigenvectors than iterations.
    """

    num_sequences: int
    num_iterations: int
    num_eigenvectors: int
    lr: float | None
    momentum: float
    damping: float | None
    picture_every: int

    needed = ("step",)
    metrics = (
        Metric(
            "curvature/gauss_newton_K",
            "K-th largest eigenvalue of the Gauss-Newton matrix (without structural damping)",
            "loss per squared unit of theta",
            "falls over orders of magnitude from K = 1 to 10; nearly all of them are 0 or close to it",
        ),
        Metric(
            "curvature/hessian_largest",
            "largest eigenvalue of the Hessian",
            "loss per squared unit of theta",
            "near gauss_newton_1; gradient descent with lr above 2 over it diverges along its eigenvector",
        ),
        Metric(
            "curvature/hessian_smallest",
            "smallest eigenvalue of the Hessian",
            "loss per squared unit of theta",
            "below 0, and small compared with the largest; large: a saddle that the Gauss-Newton matrix does not show",
        ),
        Metric(
            "curvature/largest_residual",
            "largest norm of A v - eigenvalue v over the eigenvalues above, relative to its matrix's largest",
            "1",
            "below 0.01; if larger, increase num_iterations",
        ),
        Metric(
            "curvature/gauss_newton_along_gradient",
            "g^T G g / g^T g, g the gradient, G the Gauss-Newton matrix",
            "loss per squared unit of theta",
            "a large part of gauss_newton_1: the gradient points along directions of high curvature",
        ),
        Metric(
            "curvature/hessian_along_gradient",
            "g^T H g / g^T g, H the Hessian",
            "loss per squared unit of theta",
            "near gauss_newton_along_gradient; below 0: the loss is concave along the gradient",
        ),
        Metric(
            "curvature/gradient_share",
            "share of the squared gradient norm in the span of the num_eigenvectors leading eigenvectors",
            "1",
            "0.5 to 1",
        ),
        Metric(
            "curvature/gradient_component_K",
            "absolute value of the gradient's component along eigenvector K",
            "loss per unit of theta",
            "falls with the eigenvalue; if more slowly, a Newton step moves further along it",
        ),
        Metric(
            "curvature/progress_update_K",
            "-curvature * step / gradient along eigenvector K, of this update's step",
            "1",
            "between 0 and 2; about 1 for hf at the large eigenvalues; near 0: nothing is learned along K",
        ),
        Metric(
            "curvature/progress_gradient_descent_K",
            "share of the way to the minimum along eigenvector K of a step of gradient descent: lr * curvature",
            "1",
            "1 at the largest eigenvalue (if lr is unset), else proportional to the curvature",
        ),
        Metric(
            "curvature/progress_momentum_K",
            "share of the way along eigenvector K of momentum after many updates with this gradient: lr * curvature / "
            "(1 - momentum)",
            "1",
            "progress_gradient_descent / (1 - momentum); above 2 it oscillates and does not converge",
        ),
        Metric(
            "curvature/progress_newton_K",
            "share of the way to the minimum along eigenvector K of the damped Newton step: curvature / (curvature + "
            "damping)",
            "1",
            "near 1 wherever the curvature is above the damping",
        ),
    )

    def __post_init__(self) -> None:
        """Check that there are at least as many iterations as eigenvectors."""
        if self.num_eigenvectors > self.num_iterations:
            raise ValueError(
                f"num_eigenvectors must be at most num_iterations={self.num_iterations}, got {self.num_eigenvectors}"
            )

    @property
    def numbers(self) -> list[int]:
        """Ranks K of the eigenvectors that have columns: 1, 2, 5, 10, 20, ..."""
        decades = [10**k for k in range(len(str(self.num_eigenvectors)))]
        return [k * d for d in decades for k in (1, 2, 5) if k * d <= self.num_eigenvectors]

    @override
    def columns(self, model: Model, task: Task) -> list[str]:
        columns = []
        for metric in self.metrics:
            stem = metric.tag.removesuffix("_K")
            columns += [metric.tag] if stem == metric.tag else [f"{stem}_{k}" for k in self.numbers]
        return columns

    @override
    def num_bytes(self, model: Model, num_steps: int, num_replicas: int) -> int:
        states = num_steps * sequences_at_once(num_replicas, self.num_sequences) * model.hidden_size
        vectors = self.num_iterations * num_replicas * model.num_parameters
        sweeps = sample_bytes(model, num_steps, num_replicas, self.num_sequences)
        return sweeps + 8 * (NUMBERS_PER_UNIT * states + 3 * vectors)

    @override
    def capture(self, view: View) -> Callable[[], Reading]:
        sample = take_sample(view.model, view.update.gradient, self.num_sequences)
        gradient, before, after = view.update.gradient.gradient, view.theta, view.update.theta
        own_damping, has_step = view.update.damping, view.is_training
        draw = self.picture_every > 0 and view.num_logged % self.picture_every == 0

        def read() -> Reading:
            step = (after.double() - before.double()).cpu()
            spectrum = _joined(list(self._spectra(sample, gradient.double().cpu(), step)))
            largest = spectrum.values[:, :1]
            lr = 1 / largest if self.lr is None else torch.full_like(largest, self.lr)
            damping = RELATIVE_DAMPING * largest if own_damping is None else own_damping.double().cpu().unsqueeze(1)
            if self.damping is not None:
                damping = torch.full_like(largest, self.damping)
            steps = {
                "gradient_descent": gradient_descent_step(spectrum.gradient, lr),
                "momentum": momentum_step(spectrum.gradient, lr, self.momentum),
                "newton": newton_step(spectrum.gradient, spectrum.values, damping),
            }
            if has_step:
                steps["update"] = spectrum.step
            shares = {name: progress(one, spectrum.gradient, spectrum.values) for name, one in steps.items()}
            pictures = {}
            if draw:
                drawn = spectrum.values.masked_fill(~_resolved(spectrum), torch.nan)

                def picture(k: int) -> bytes:
                    ways = {name: one[k] for name, one in shares.items()}
                    return to_png(
                        draw_gradient_against_curvature(drawn[k], spectrum.gradient[k], ways, spectrum.share[k])
                    )

                pictures["curvature/gradient_against_curvature"] = picture
            return Reading(self._scalars(spectrum, shares), pictures=pictures)

        return read

    def _spectra(self, sample: Sample, gradient: Tensor, step: Tensor) -> Iterator[Spectrum]:
        """Yield the spectra of a few replicas at a time."""
        for rows, objective in sample.objectives():
            theta, g = sample.theta[rows], gradient[rows]
            start = random_start(*theta.shape)
            gauss_newton, hessian = objective.linearize(theta), objective.hessian(theta)
            pairs = lanczos(gauss_newton.product, start, self.num_iterations)
            vectors = pairs.vectors(slice(self.num_eigenvectors))
            parts = components(vectors, g)
            ends = lanczos(hessian.product, start, self.num_iterations)
            yield Spectrum(
                pairs.values[:, : self.num_eigenvectors],
                pairs.residuals[:, : self.num_eigenvectors],
                parts,
                components(vectors, step[rows]),
                explained_share(parts, g),
                rayleigh_quotient(g, gauss_newton.product(g)),
                ends.values[:, [0, -1]],
                ends.residuals[:, [0, -1]],
                rayleigh_quotient(g, hessian.product(g)),
            )

    def _scalars(self, spectrum: Spectrum, shares: dict[str, Tensor]) -> dict[str, Tensor]:
        resolved = _resolved(spectrum)
        by_number = {
            "gauss_newton": spectrum.values,
            "gradient_component": spectrum.gradient.abs(),
            **{f"progress_{name}": share for name, share in shares.items()},
        }
        own = spectrum.residuals[:, [k - 1 for k in self.numbers]].amax(1) / spectrum.values[:, 0]
        hessian = spectrum.hessian_residuals.amax(1) / spectrum.hessian.abs().amax(1)
        return {
            "curvature/hessian_largest": spectrum.hessian[:, 0],
            "curvature/hessian_smallest": spectrum.hessian[:, 1],
            "curvature/largest_residual": torch.maximum(own, hessian),
            "curvature/gauss_newton_along_gradient": spectrum.along_gradient,
            "curvature/hessian_along_gradient": spectrum.hessian_along_gradient,
            "curvature/gradient_share": spectrum.share,
            **{
                f"curvature/{name}_{k}": values[:, k - 1].masked_fill(~resolved[:, k - 1], torch.nan)
                for name, values in by_number.items()
                for k in self.numbers
            },
        }


def _resolved(spectrum: Spectrum) -> Tensor:
    """Return which eigenvectors have converged, (R, m), bool; those of eigenvalues at rounding level never do."""
    return (spectrum.residuals < RESOLVED * spectrum.values) & (spectrum.values > BREAKDOWN * spectrum.values[:, :1])


def _joined(parts: list[Spectrum]) -> Spectrum:
    """Concatenate the spectra of all replicas."""
    names = [entry.name for entry in fields(Spectrum)]
    return Spectrum(*(torch.cat([getattr(part, name) for part in parts]) for name in names))
