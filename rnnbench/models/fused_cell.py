"""Cells for which torch also has an operation over whole sequences.

Letters as in `rnnbench.models.cell`.
"""

import copy
from typing import Self

import torch
from typing_extensions import override

from rnnbench.models.base import BlockShape, Share, run_alone
from rnnbench.models.cell import Cell
from rnnbench.models.fused_sweeps import FusedSweeps, TorchNet
from rnnbench.models.readout_sweeps import ReadoutSweeps

RECURRENCES = ("auto", "torch", "fused")

MAX_UNITS_ONEDNN, MAX_UNITS_ATEN = 10000, 2000
"""Largest hidden_size times sequences of a replica for which the library's fused operation is faster on a CPU.

oneDNN's is faster even if the replicas have to run one by one. Below the limit, the overhead of Python calls dominates
the time of single steps; above it, the arithmetic does. docs/performance.md has the times.
"""

MAX_FEW_REPLICAS, MIN_UNITS_MANY_REPLICAS = 8, 1000
"""With more replicas than the first number, oneDNN is faster only if each has at least the second number of units times
sequences."""

FUSED_MEMORY = 1.3
"""Memory of the fused operation relative to single steps, on a CPU: 1.26 (LSTM, oneDNN) and 1.29 (GRU) measured."""


class FusedCell(Cell, TorchNet):
    """A cell whose losses and gradients can use torch's fused operation over whole sequences.

    A subclass names the torch module and its operation, and converts the parameters to and from torch's layout.

    Args:
        input_size: d.
        output_size: o.
        hidden_size: n.
        recurrence: Backend of losses and gradients: "torch" runs single steps, all replicas together; "fused" runs the
            operation over whole sequences, one replica after the other; "auto" chooses the faster one for a block: on a
            CPU by the limits above; on a GPU fused only for a single replica, unless the run has measured both.
            Gauss-Newton products, and states for probes, always run single steps.

    Raises:
        ValueError: The recurrence is unknown.
    """

    def __init__(self, input_size: int, output_size: int, hidden_size: int, recurrence: str = "auto") -> None:
        if recurrence not in RECURRENCES:
            raise ValueError(f"model.recurrence must be one of {', '.join(RECURRENCES)}, got {recurrence}")
        self.recurrence = recurrence
        super().__init__(input_size, output_size, hidden_size)

    def with_recurrence(self, recurrence: str) -> Self:
        """A copy of the cell with another recurrence backend."""
        other = copy.copy(self)
        other.recurrence = recurrence
        return other

    @override
    def sweeps(self, shape: BlockShape, share: Share = run_alone) -> ReadoutSweeps:
        return FusedSweeps(self, shape) if self.is_fused(shape) else super().sweeps(shape, share)

    def is_fused(self, shape: BlockShape) -> bool:
        """Whether blocks of a shape use torch's fused operation."""
        if self.recurrence != "auto":
            return self.recurrence == "fused"
        if shape.device.type == "cuda":
            return shape.replicas == 1
        limit = MAX_UNITS_ONEDNN if self._has_onednn(shape) else MAX_UNITS_ATEN
        return shape.device.type == "cpu" and shape.replicas == 1 and shape.sequences * self.hidden_size <= limit

    @override
    def min_gradient_blocks(self, shape: BlockShape) -> int:
        # A block stays in cache if it runs forward and backward before the next block starts.
        if self.recurrence == "fused":
            return shape.replicas if shape.device.type == "cpu" else 1
        size = shape.sequences * self.hidden_size
        is_worth_calls = shape.replicas <= MAX_FEW_REPLICAS or size >= MIN_UNITS_MANY_REPLICAS
        if self.recurrence == "torch" or not is_worth_calls or not self._has_onednn(shape):
            return 1
        return shape.replicas * -(-size // MAX_UNITS_ONEDNN)

    def _has_onednn(self, shape: BlockShape) -> bool:
        """Whether the operation is oneDNN's on a CPU; oneDNN has neither torch's form of the GRU nor float64."""
        is_there: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        runs_it = self.module is torch.nn.LSTM and shape.dtype == torch.float32 and shape.device.type == "cpu"
        return is_there and runs_it

    @override
    def block_bytes(self, shape: BlockShape) -> int:
        # With "auto", fused blocks are small, so single steps determine the memory.
        return round(super().block_bytes(shape) * (FUSED_MEMORY if self.recurrence == "fused" else 1))

    @override
    def backend_name(self, device: torch.device, dtype: torch.dtype) -> str:
        if self.recurrence == "fused":
            return f"torch.nn.{self.module.__name__}'s operation"
        return super().backend_name(device, dtype)
