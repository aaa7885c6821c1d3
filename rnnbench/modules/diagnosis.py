"""What `diagnose` returns: arrays, scalars and figures about one's own recurrent net.

Letters: T steps, s size of the whole state; b sequences that are followed, K of their steps that are sampled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from rnnbench.diagnostics.jacobian_products import ProductNorms, log_singular_values, product_norms
from rnnbench.diagnostics.jacobians import eigenvalues, singular_values
from rnnbench.diagnostics.jacobians_in_turn import JacobiansInTurn
from rnnbench.diagnostics.lyapunov import lyapunov_spectrum
from rnnbench.modules.arguments import described
from rnnbench.modules.transitions import Trajectory
from rnnbench.objective.step_gradients import LagShares
from rnnbench.probes.figures import draw_eigenvalues, draw_lag_decay, enlarged
from rnnbench.probes.gradient_by_lag import by_lag_scalars
from rnnbench.probes.gradient_figures import draw_gradient_by_lag
from rnnbench.probes.jacobian_figures import (
    draw_lyapunov,
    draw_moduli,
    draw_product_norms,
    draw_product_singular_values,
)
from rnnbench.probes.jacobian_normality import normality_scalars
from rnnbench.probes.jacobian_product import pictured_lags, product_scalars
from rnnbench.probes.lyapunov import exponent_scalars
from rnnbench.probes.state_gradient import curve_scalars, lag_curve, lags
from rnnbench.probes.state_jacobian import spectrum_scalars
from rnnbench.probes.trajectories import evenly_spaced

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCALE = 2
"""Factor by which figures are larger than the pictures of the probes, which are 350 pixels wide."""


class ScalarWriter(Protocol):
    """Where scalars are written, such as torch.utils.tensorboard.SummaryWriter."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int | None = None) -> object:
        """Record a scalar."""


def check_writer(writer: Any) -> None:
    """Check that a writer is one.

    Raises:
        ValueError: It has no add_scalar, or is the class of a writer.
    """
    if isinstance(writer, type) or not callable(getattr(writer, "add_scalar", None)):
        got = f"the class {writer.__name__}" if isinstance(writer, type) else described(writer)
        raise ValueError(f"writer must have add_scalar(tag, value, step), as a SummaryWriter has, got {got}")


@dataclass(frozen=True)
class Request:
    """What is looked at; see `rnnbench.diagnose`.

    Attributes:
        num_sequences: b, at most.
        num_steps: K, at most.
        lags: Lags of the products; None: some twenty.
        num_exponents: Number of Lyapunov exponents, at most; None: s.
        product_singular_values: Whether all singular values of products are computed.
    """

    num_sequences: int
    num_steps: int
    lags: Sequence[int] | None
    num_exponents: int | None
    product_singular_values: bool


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """A look into a recurrent net on one batch. Tensors are float64, on the CPU; logarithms are natural.

    `h_t` is the whole state after step t: h of an RNN or GRU, (h, c) of an LSTM, of stacked layers that of all layers,
    one after the other. The lag of a step counts from the end of its sequence. Tags of scalars and figures are those of
    docs/metrics.md.

    Attributes:
        recurrence: Name of the recurrence in the module, such as "module.lstm".
        loss: Loss of the batch.
        state_gradient: Mean over all sequences of ||dL/dh_t|| at each lag, (T,), L the loss of one sequence.
        gradient_shares: Share of each lag in the gradient of the recurrence's parameters, (T,); they sum to 1.
        gradient_norms: Norm of the gradient from the steps of each lag, (T,).
        sampled_steps: Steps t - 1, counted from 0, at which Jacobians dh_t/dh_{t-1} were sampled, (K,).
        eigenvalues: Their eigenvalues, largest modulus first, (K, b, s), complex128.
        singular_values: Their singular values, largest first, (K, b, s).
        products: Norms of dh_T/dh_t in logarithms at `products.lags`, (lags, b), T the end of the sequence.
        product_singular_values: Logarithms of all singular values of dh_T/dh_t of the first sequence, largest first,
            (lags, s), at `pictured_lags`; None unless asked for.
        pictured_lags: Lags of `product_singular_values`.
        lyapunov_exponents: Finite-time Lyapunov exponents along the sequences, per step, largest first, (b, s) or
            (b, num_exponents).
        num_followed: Number of steps over which products and exponents were followed: the length of the shortest of
            the b sequences.
        scalars: Tag -> number.
    """

    recurrence: str
    loss: float
    state_gradient: Tensor
    gradient_shares: Tensor
    gradient_norms: Tensor
    sampled_steps: Tensor
    eigenvalues: Tensor
    singular_values: Tensor
    products: ProductNorms
    product_singular_values: Tensor | None
    pictured_lags: Sequence[int]
    lyapunov_exponents: Tensor
    num_followed: int
    scalars: Mapping[str, float]

    def __repr__(self) -> str:
        """The main results in one line."""
        lag, share = len(self.state_gradient) - 1, self.state_gradient[-1] / self.state_gradient.max()
        return (
            f"<Diagnosis of {self.recurrence}: loss {self.loss:.3g}; ||dL/dh|| at lag {lag} is {share:.2g} of its "
            f"largest; spectral radius of the Jacobians {self.scalars['jacobian/spectral_radius']:.3g}; "
            f"largest Lyapunov exponent {self.scalars['lyapunov/largest']:.3g} per step>"
        )

    def write(self, writer: ScalarWriter, step: int | None = None) -> None:
        """Write the scalars that are numbers, not NaN.

        Args:
            writer: A SummaryWriter, or anything with its `add_scalar(tag, value, step)`.
            step: Number of the training step.

        Raises:
            ValueError: The writer has no add_scalar.
        """
        check_writer(writer)
        for tag, value in self.scalars.items():
            if value == value:
                writer.add_scalar(tag, value, step)

    def figure(self, tag: str) -> "Figure":
        """Draw one of the figures, as matplotlib's Figure.

        Raises:
            ValueError: There is no figure of this tag.
        """
        if tag not in self.tags:
            raise ValueError(f"there is no figure {tag!r}: choose one of {', '.join(self.tags)}")
        with enlarged(SCALE):
            return self._draw(tag)

    def figures(self) -> "dict[str, Figure]":
        """Draw all figures, by tag."""
        return {tag: self.figure(tag) for tag in self.tags}

    @property
    def tags(self) -> list[str]:
        """Tags of the figures."""
        tags = [
            "state_gradient/against_lag",
            "gradient_by_lag/shares",
            "jacobian/eigenvalues",
            "jacobian/singular_values",
            "jacobian/product_against_lag",
            "lyapunov/spectrum",
        ]
        return tags if self.product_singular_values is None else [*tags, "jacobian/product_singular_values"]

    def _draw(self, tag: str) -> "Figure":
        match tag:
            case "state_gradient/against_lag":
                return draw_lag_decay(self.state_gradient)
            case "gradient_by_lag/shares":
                return draw_gradient_by_lag(self.gradient_shares, self.gradient_norms)
            case "jacobian/eigenvalues":
                return draw_eigenvalues(self.eigenvalues.flatten())
            case "jacobian/singular_values":
                return draw_moduli(self.eigenvalues.abs().flatten(0, 1), self.singular_values.flatten(0, 1))
            case "jacobian/product_against_lag":
                return draw_product_norms(self.products.lags, self.products.log_spectral)
            case "lyapunov/spectrum":
                return draw_lyapunov(self.lyapunov_exponents, self.num_followed)
        assert self.product_singular_values is not None
        return draw_product_singular_values(self.pictured_lags, self.product_singular_values)


def measure(name: str, loss: float, trajectory: Trajectory, request: Request) -> Diagnosis:
    """Compute everything about a trajectory.

    Args:
        name: Name of the recurrence.
        loss: Loss of the batch, the mean over its sequences.
        trajectory: States, their gradients, and the steps.
        request: What is looked at.

    Raises:
        ValueError: Lags are not ascending numbers from 0 to the length of the followed sequences.
    """
    curve = lag_curve(trajectory.state_gradients.unsqueeze(1), trajectory.lengths.unsqueeze(0))[0]
    by_lag = trajectory.transitions.by_lag()
    lengths = trajectory.lengths[: request.num_sequences]
    followed = int(lengths.min())
    pictured = pictured_lags(followed)
    sampled = evenly_spaced(torch.tensor([followed - 1]), min(request.num_steps, followed))  # (K, 1)
    jacobians = trajectory.transitions.jacobians(sampled.expand(-1, len(lengths)))
    in_turn = _last_jacobians(trajectory, lengths, followed)
    found = Diagnosis(
        recurrence=name,
        loss=loss,
        state_gradient=curve * len(trajectory.lengths),  # from the mean over the batch to the loss of one sequence
        gradient_shares=by_lag.shares[0],
        gradient_norms=by_lag.norms[0],
        sampled_steps=sampled[:, 0],
        eigenvalues=eigenvalues(jacobians),
        singular_values=singular_values(jacobians),
        products=product_norms(in_turn, sorted({*lags(followed), *pictured}) if request.lags is None else request.lags),
        product_singular_values=(
            log_singular_values(_last_jacobians(trajectory, lengths[:1], followed), pictured).squeeze(1)
            if request.product_singular_values
            else None
        ),
        pictured_lags=pictured,
        lyapunov_exponents=lyapunov_spectrum(in_turn, num_exponents=request.num_exponents),
        num_followed=followed,
        scalars={},
    )
    return replace(found, scalars=_scalars(found, by_lag, jacobians))


def _last_jacobians(trajectory: Trajectory, lengths: Tensor, count: int) -> JacobiansInTurn:
    """Return the Jacobians of the last steps of the first sequences, (b, s, s) each; `lengths` are theirs, (b,)."""
    steps = lengths - count + torch.arange(count).unsqueeze(1)  # (count, b)
    size = trajectory.states.shape[-1]
    bytes_per_step = len(lengths) * size**2 * trajectory.states.itemsize
    return JacobiansInTurn(count, bytes_per_step, lambda part: trajectory.transitions.jacobians(steps[part]))


def _scalars(found: Diagnosis, by_lag: LagShares, jacobians: Tensor) -> dict[str, float]:
    """Return the scalars by tag, as the probes compute them for one replica; `jacobians` are (K, b, s, s)."""
    num_steps, followed, norms = len(found.state_gradient), torch.tensor([found.num_followed]), found.products
    of_replica = [each.unsqueeze(1) for each in (norms.log_spectral, norms.log_frobenius, norms.stable_rank)]
    samples = [each.flatten(0, 1).unsqueeze(0) for each in (jacobians, found.eigenvalues, found.singular_values)]
    exponents = exponent_scalars(found.lyapunov_exponents.unsqueeze(0), followed)
    if found.lyapunov_exponents.shape[-1] < jacobians.shape[-1]:  # the others need all exponents
        exponents = {"lyapunov/largest": exponents["lyapunov/largest"]}
    shown = [lag for lag in lags(num_steps)[1:] if lag in norms.lags]
    scalars = {
        **curve_scalars(found.state_gradient.unsqueeze(0), lags(num_steps)),
        **by_lag_scalars(by_lag, num_steps),
        **spectrum_scalars(samples[1]),
        **normality_scalars(*samples),
        **product_scalars(ProductNorms(norms.lags, *of_replica), followed, shown),
        **exponents,
    }
    return {tag: value.item() for tag, value in scalars.items()}
