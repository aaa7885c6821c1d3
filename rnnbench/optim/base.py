"""The optimizer interface; an optimizer sees vectors and objectives, never a model or a task.

Letters: R replicas, P parameters of one replica. Hyperparameters that may differ between replicas are (R, 1) tensors.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from rnnbench.metrics import Metric
from rnnbench.objective.objective import Gradient, Objective
from rnnbench.tasks.base import Stream

State = dict[str, Tensor]
"""Tensors that an optimizer keeps between updates, by name; the first axis of each is R."""

UpdateIndex = int | Tensor
"""Index of an update, from 0; in a CUDA graph a scalar int64 tensor on theta's device."""

DrawObjective = Callable[[Stream, int], Objective]
"""Draws `batch_size` new sequences of a stream for this update, and returns their objective."""


@dataclass(frozen=True)
class Update:
    """One update of every replica.

    Attributes:
        theta: Parameters after the update, (R, P), a new tensor.
        state: The new optimizer state.
        gradient: Loss, gradient, states and state gradients, for the probes.
        clipped_gradient: The gradient after clipping, (R, P).
        metrics: Further numbers of the optimizer, by TensorBoard tag, each (R,).
        products: Gauss-Newton or Hessian products of each replica, (R,), float64; zeros for first-order methods. This
            and the costs below may be on the CPU even if theta is not.
        sequences: Forward-and-backward passes over one sequence, products included, (R,).
        forward_passes: Forward passes over one sequence, evaluations of the loss included, (R,).
        backward_passes: Backward passes over one sequence, (R,).
        damping: Damping of the quadratic model that was minimized, (R,); None: the optimizer has none.
    """

    theta: Tensor
    state: State
    gradient: Gradient
    clipped_gradient: Tensor
    products: Tensor
    sequences: Tensor
    forward_passes: Tensor
    backward_passes: Tensor
    metrics: Mapping[str, Tensor] = field(default_factory=dict)
    damping: Tensor | None = None

    @classmethod
    def without_step(cls, theta: Tensor, gradient: Gradient) -> "Update":
        """An update that changes and costs nothing, for probes that read a net outside of training.

        Args:
            theta: Parameters, (R, P).
            gradient: Loss and gradient at theta.
        """
        no_cost = torch.zeros(len(theta), dtype=torch.float64)
        return cls(theta, {}, gradient, gradient.gradient, no_cost, no_cost, no_cost, no_cost)

    def is_finite(self) -> Tensor:
        """Whether the loss and all parameters of each replica are finite, (R,), bool; otherwise it has diverged."""
        return self.gradient.loss.isfinite() & self.theta.sum(1).isfinite()

    def replicas(self, rows: Tensor) -> "Update":
        """The update of some replicas, by their rows, int64."""

        def some(tensor: Tensor) -> Tensor:
            return tensor[rows.to(tensor.device)]

        return Update(
            theta=some(self.theta),
            state={name: some(tensor) for name, tensor in self.state.items()},
            gradient=self.gradient.replicas(rows),
            clipped_gradient=some(self.clipped_gradient),
            products=some(self.products),
            sequences=some(self.sequences),
            forward_passes=some(self.forward_passes),
            backward_passes=some(self.backward_passes),
            metrics={tag: some(tensor) for tag, tensor in self.metrics.items()},
            damping=None if self.damping is None else some(self.damping),
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Optimizer(ABC):
    """Base of every optimizer: a frozen dataclass whose fields are its hyperparameters.

    Fields that are tensors may differ between replicas: their first axis is R, they arrive in float64. Every other
    field is the same for all replicas.
    """

    shown_metrics: ClassVar[Sequence[str]] = ()
    """Tags of the metrics that the progress bar shows."""

    is_capturable: ClassVar[bool] = False
    """Whether its updates can be captured as a CUDA graph, which repeats the operations of one update on new data.

    Such an optimizer accepts the index of an update as a scalar tensor on theta's device, draws one batch of
    `num_drawn_sequences` of the stream GRADIENT, reads no value from the device, and costs the same at every update.
    """

    needs_products: ClassVar[bool] = False
    """Whether it needs Gauss-Newton products, which not every model and loss has."""

    needs_hessian: ClassVar[bool] = False
    """Whether it needs products with the Hessian, which not every model has."""

    stalled_message: ClassVar[str] = ""
    """Clause for the user when `is_stalled` has held for several updates: what happened and what to try."""

    _casts: dict[tuple[torch.dtype, torch.device], Self] = field(default_factory=dict, init=False, repr=False)

    @property
    def metrics(self) -> Sequence[Metric]:
        """Descriptions of `Update.metrics`."""
        return ()

    @property
    def evaluation_metrics(self) -> Sequence[Metric]:
        """Descriptions of what an evaluation of `averaged` adds."""
        return ()

    @property
    @abstractmethod
    def num_drawn_sequences(self) -> int:
        """Number of sequences of a replica that one update draws and holds in memory."""

    @property
    def batch_sizes(self) -> Mapping[str, int]:
        """Size of each batch that an update draws for a replica, by the key that sets it."""
        return {"batch_size": self.num_drawn_sequences}

    @property
    def num_kept_sequences(self) -> int:
        """Number of sequences of a replica whose states an update keeps for curvature products."""
        return 0

    @property
    def bytes_per_parameter(self) -> int:
        """Bytes of memory of an update per parameter, without its sequences; for the memory check before a run."""
        return 64

    @property
    def damps_states(self) -> bool:
        """Whether any replica uses structural damping of the hidden states."""
        return False

    def is_stalled(self, update: Update) -> Tensor | None:
        """Replicas whose updates no longer change anything, (R,), bool; None: this optimizer cannot tell.

        Args:
            update: An update of this optimizer.
        """
        return None

    @abstractmethod
    def initial_state(self, theta: Tensor) -> State:
        """The state before the first update, for theta (R, P)."""

    def first_state(self, theta: Tensor) -> State:
        """The state with which a run begins: `initial_state`, and what a base class keeps beside it."""
        return self.initial_state(theta)

    def averaged(self, state: State) -> Tensor | None:
        """The average of the weights, (R, P), which is evaluated beside theta; None: there is none.

        Args:
            state: State of this optimizer.
        """
        return None

    @abstractmethod
    def update(self, theta: Tensor, state: State, update: int, draw: DrawObjective) -> Update:
        """Make one update of every replica.

        Args:
            theta: (R, P); not changed.
            state: From `initial_state` or the last update; not changed.
            update: Index of this update, from 0.
            draw: Draws the batches of this update.
        """

    def replicas(self, index: Tensor) -> Self:
        """The same optimizer with the hyperparameters of some replicas only.

        Args:
            index: Rows of the replicas, int64; or a mask, (R,), bool.
        """
        given = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.init}
        rows: dict[str, Any] = {k: v[index.to(v.device)] for k, v in given.items() if isinstance(v, Tensor)}
        return replace(self, **rows)

    def cast_like(self, theta: Tensor) -> Self:
        """The same optimizer with its tensors in theta's dtype and on theta's device.

        The result is cached, so that an update neither copies between devices nor waits for one. A quantity that would
        lose digits if computed after the cast, such as 1 - beta, is computed in `__post_init__`, in float64.
        """
        key = (theta.dtype, theta.device)
        if key not in self._casts:
            twin = copy.copy(self)
            for entry in fields(self):
                value = getattr(self, entry.name)
                if isinstance(value, Tensor):
                    object.__setattr__(twin, entry.name, value.to(theta))
            self._casts[key] = twin
        return self._casts[key]
