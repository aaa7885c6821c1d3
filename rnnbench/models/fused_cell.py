"""Cells that torch has as one operation for a whole sequence, too.

Letters as in `rnnbench.models.cell`.
"""

import copy
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.models.base import BlockShape, Parameters
from rnnbench.models.cell import Cell
from rnnbench.models.fused_sweeps import FusedSweeps
from rnnbench.models.readout_sweeps import ReadoutSweeps

RECURRENCES = ("auto", "torch", "fused")

MAX_UNITS_ONEDNN, MAX_UNITS_ATEN = 10000, 2000
"""Most units times sequences of a replica for which the operation of either library is the faster way on a CPU.
oneDNN's is worth taking several replicas apart for.

Below, step by step, Python's calls take most of the time; above, what each operation does with its numbers. The table
in docs/performance.md has the times.
"""

MAX_FEW_REPLICAS, MIN_UNITS_MANY_REPLICAS = 8, 1000
"""With more replicas than these, each must have so many units times sequences for oneDNN to be worth its call."""

FUSED_MEMORY = 1.3
"""Memory of the operation beside that of the steps, on a CPU: 1.26 (LSTM by oneDNN) and 1.29 (GRU) measured."""


class FusedCell(Cell):
    """A cell whose losses and gradients torch's operation for whole sequences can compute.

    A subclass names torch's module and the operation under it, and says how its parameters lie there.

    Args:
        input_size: d.
        output_size: o.
        hidden_size: n.
        recurrence: What runs the steps of losses and gradients: "torch" its operations, step by step and all replicas
            together; "fused" its operation for a whole sequence, one replica after the other; "auto" whichever is
            faster for a block: on a CPU by the limits above, on a GPU the operation for one replica alone, where a run
            has not measured both. Products, and states for the probes, are always had step by step.

    Raises:
        ValueError: The recurrence is none of these.
    """

    module: ClassVar[type[torch.nn.LSTM] | type[torch.nn.GRU]]
    operation: ClassVar[Callable[..., tuple[Tensor, ...]]]  # from inputs, states and weights to h of all steps, last h
    learns_bias_hh: ClassVar[bool]  # False: it is zero, since torch's two biases enter only as their sum

    def __init__(self, input_size: int, output_size: int, hidden_size: int, recurrence: str = "auto") -> None:
        if recurrence not in RECURRENCES:
            raise ValueError(f"model.recurrence must be one of {', '.join(RECURRENCES)}, got {recurrence}")
        self.recurrence = recurrence
        super().__init__(input_size, output_size, hidden_size)

    def with_recurrence(self, recurrence: str) -> Self:
        """The same cell, run in another way."""
        other = copy.copy(self)
        other.recurrence = recurrence
        return other

    @abstractmethod
    def to_torch(self, parameters: Parameters) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """weight_ih, weight_hh, bias_ih and bias_hh of torch's module, (r, ...) each."""

    @abstractmethod
    def from_torch(self, gradients: Sequence[Tensor]) -> Mapping[str, Tensor]:
        """The gradients of the step's parameters, from those of what `to_torch` gives; bias_hh's if it is learned."""

    @override
    def sweeps(self, shape: BlockShape) -> ReadoutSweeps:
        return FusedSweeps(self, shape) if self.is_fused(shape) else super().sweeps(shape)

    def is_fused(self, shape: BlockShape) -> bool:
        """Whether torch's operation runs the steps of blocks of a shape."""
        if self.recurrence != "auto":
            return self.recurrence == "fused"
        if shape.device.type == "cuda":
            return shape.replicas == 1
        limit = MAX_UNITS_ONEDNN if self._has_onednn(shape) else MAX_UNITS_ATEN
        return shape.device.type == "cpu" and shape.replicas == 1 and shape.sequences * self.hidden_size <= limit

    @override
    def min_gradient_blocks(self, shape: BlockShape) -> int:
        # Run forward and back before the next one begins, a replica, or some of its sequences, stays in cache.
        if self.recurrence == "fused":
            return shape.replicas if shape.device.type == "cpu" else 1
        size = shape.sequences * self.hidden_size
        is_worth_calls = shape.replicas <= MAX_FEW_REPLICAS or size >= MIN_UNITS_MANY_REPLICAS
        if self.recurrence == "torch" or not is_worth_calls or not self._has_onednn(shape):
            return 1
        return shape.replicas * -(-size // MAX_UNITS_ONEDNN)

    def _has_onednn(self, shape: BlockShape) -> bool:
        """Whether the operation is oneDNN's on a CPU, which has no GRU of torch's kind and no float64."""
        is_there: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        runs_it = self.module is torch.nn.LSTM and shape.dtype == torch.float32 and shape.device.type == "cpu"
        return is_there and runs_it

    @override
    def block_bytes(self, shape: BlockShape) -> int:
        # By default blocks of the operation are small, and the steps decide about the memory.
        return round(super().block_bytes(shape) * (FUSED_MEMORY if self.recurrence == "fused" else 1))

    @override
    def backend_name(self, device: torch.device, dtype: torch.dtype) -> str:
        if self.recurrence == "fused":
            return f"torch.nn.{self.module.__name__}'s operation"
        return super().backend_name(device, dtype)
