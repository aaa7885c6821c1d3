"""Cells with gates, which have native kernels and for which torch also has an operation over whole sequences.

Letters as in `rnnbench.models.cell`.
"""

import copy
from typing import Self

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.models.base import BlockShape, Share, Sweeps, run_alone
from rnnbench.models.cell import Cell
from rnnbench.models.fused_sweeps import FusedSweeps, TorchNet
from rnnbench.models.native_memory import block_bytes
from rnnbench.models.native_net import NativeNet, native_weights
from rnnbench.models.native_sweeps import NativeSweeps
from rnnbench.native import library

RECURRENCES = ("auto", "torch", "native", "fused")

FUSED_MEMORY = 1.3
"""Memory of the fused operation relative to single steps, on a CPU: 1.26 (LSTM, oneDNN) and 1.29 (GRU) measured."""

COST_OF_TORCH = "an update takes 1.5 to 4 times the time"
"""What a run loses if torch computes its sweeps on a CPU; see docs/performance.md."""


class GatedCell(NativeNet, Cell, TorchNet):
    """A cell whose sweeps can use native kernels, and its losses and gradients torch's fused operation.

    A subclass names its kernels and the torch module with its operation, and converts the parameters to and from
    torch's layout.

    Args:
        input_size: d.
        output_size: o.
        hidden_size: n.
        recurrence: Backend of the recurrence: "native" kernels, on a CPU; "torch" runs single steps, all replicas
            together; "fused" runs torch's operation over whole sequences, one replica after the other, for losses and
            gradients, and single steps for Gauss-Newton products and for states that probes read; "auto": on a CPU the
            kernels if they can run; otherwise fused for a single replica and torch for several, unless the run has
            measured both.

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
    def weights(self, theta: Tensor) -> dict[str, Tensor] | Tensor:
        has_kernels = self.native_kernels(theta.device, theta.dtype) is not None
        return native_weights(theta) if has_kernels else self.parameters(theta)

    @override
    def slice_weights(self, weights: object, replicas: slice) -> dict[str, Tensor] | Tensor:
        return weights[replicas] if isinstance(weights, Tensor) else super().slice_weights(weights, replicas)

    @override
    def sweeps(self, shape: BlockShape, share: Share = run_alone) -> Sweeps:
        kernels = self.native_kernels(shape.device, shape.dtype)
        if kernels is not None:
            return NativeSweeps(self, shape, kernels, share)
        return FusedSweeps(self, shape) if self.is_fused(shape) else super().sweeps(shape, share)

    def is_fused(self, shape: BlockShape) -> bool:
        """Whether torch's fused operation computes blocks of a shape, where the native kernels do not."""
        is_known = shape.device.type in ("cpu", "cuda")
        return self.recurrence == "fused" or (self.recurrence == "auto" and shape.replicas == 1 and is_known)

    @override
    def min_gradient_blocks(self, shape: BlockShape) -> int:
        # A block stays in cache if it runs forward and backward before the next block starts.
        return shape.replicas if self.recurrence == "fused" and shape.device.type == "cpu" else 1

    @override
    def block_bytes(self, shape: BlockShape) -> int:
        kernels = self.native_kernels(shape.device, shape.dtype)
        if kernels is not None:
            return block_bytes(self, shape, kernels.num_saved)
        is_fused = self.recurrence == "fused" or (self.is_fused(shape) and shape.device.type == "cpu")
        return round(super().block_bytes(shape) * (FUSED_MEMORY if is_fused else 1))

    @override
    def backend_name(self, device: torch.device, dtype: torch.dtype) -> str:
        if self.recurrence == "fused":
            return f"torch.nn.{self.module.__name__}'s operation"
        reason = None
        if self.wants_native(device):
            reason = library.unavailable_reason(self.native_net)
            if reason is None:
                return "native kernels"
        elif self.recurrence == "native":
            reason = "the native kernels need a CPU"
        if self.recurrence == "native":
            raise ValueError(f"model.recurrence=native: {reason}; use model.recurrence=auto")
        torch_name = super().backend_name(device, dtype)
        return torch_name if reason is None else f"{torch_name}, since {reason} ({COST_OF_TORCH})"
