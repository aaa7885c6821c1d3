"""What a second-order method needs of an objective: loss, gradient, and products with a curvature matrix.

`rnnbench.objective.objective.Objective` has it for the batch of a task under a model, and
`rnnbench.modules.module_objective.ModuleObjective` for the batch of a torch module. Letters: R replicas, P parameters
of one replica.
"""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class LossAndGradient(Protocol):
    """Loss and gradient of a batch."""

    @property
    def loss(self) -> Tensor:
        """(R,)."""
        ...

    @property
    def gradient(self) -> Tensor:
        """(R, P)."""
        ...


class Curvature(Protocol):
    """A positive semi-definite curvature matrix of a batch at one theta, as a product."""

    @property
    def loss(self) -> Tensor:
        """Loss of the batch at theta, (R,), float64."""
        ...

    @property
    def shares_blocks(self) -> bool:
        """Whether products get faster by `replicas` once some replicas are no longer needed."""
        ...

    def replicas(self, rows: Tensor) -> "Curvature":
        """The matrices of some replicas, by their rows, int64."""
        ...

    def product(self, vector: Tensor, active: Sequence[bool] | None = None) -> Tensor:
        """Multiply each replica's matrix, structural damping included, by one vector.

        Args:
            vector: One direction per replica, (R, P), theta's dtype and device.
            active: Which replicas are needed; the rows of the others may be zero.

        Returns:
            (R, P). A new tensor.
        """
        ...

    def quadratic_form(self, vector: Tensor) -> Tensor:
        """v^T G v of each replica, without structural damping, (R,), float64."""
        ...


class SecondOrderObjective(Protocol):
    """The loss of one batch, as a function of theta (R, P)."""

    @property
    def size(self) -> int:
        """Number of sequences that the loss is the mean over; costs are counted in them."""
        ...

    @property
    def group_sizes(self) -> list[int]:
        """Number of elements of each named parameter, in their order in theta; they sum to P."""
        ...

    def loss(self, theta: Tensor) -> Tensor:
        """The loss of every replica, (R,), float64."""
        ...

    def loss_and_gradient(self, theta: Tensor) -> LossAndGradient:
        """Loss (R,) and gradient (R, P)."""
        ...

    def linearize(
        self, theta: Tensor, structural_damping: Tensor | None = None, normalization: str = "batch"
    ) -> Curvature:
        """The curvature matrix at theta: linearized once, applied to many vectors.

        Args:
            theta: (R, P).
            structural_damping: Weight of the structural-damping matrix, (R, 1); None: without it.
            normalization: Mean that the structural-damping matrix is: "batch", "batch_time" or "loss", as in
                `rnnbench.objective.gauss_newton.GaussNewton`.
        """
        ...

    def mean_squared_gradient(self, theta: Tensor) -> Tensor:
        """Mean over the sequences of the square of each one's own gradient, element by element, (R, P)."""
        ...
