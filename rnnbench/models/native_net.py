"""The part of a model that decides whether native kernels compute its sweeps."""

from typing import ClassVar

import torch
from torch import Tensor

from rnnbench.native import library
from rnnbench.native.calls import Library


class NativeNet:
    """A net that has native kernels on a CPU.

    Attributes:
        native_net: Name of its kernels; see `rnnbench.native.library.kernels`.
        recurrence: Backend of its recurrence, `model.recurrence`.
    """

    native_net: ClassVar[str]
    recurrence: str

    def wants_native(self, device: torch.device) -> bool:
        """Whether the kernels are to be used on a device, if they can run."""
        return device.type == "cpu" and self.recurrence in ("auto", "native")

    def native_kernels(self, device: torch.device, dtype: torch.dtype) -> Library | None:
        """The kernels for a type of numbers, if they are wanted on a device and can run."""
        fits = dtype in (torch.float32, torch.float64)
        if not fits or not self.wants_native(device) or library.unavailable_reason(self.native_net) is not None:
            return None
        return library.kernels(self.native_net, dtype.itemsize)

    def ignores_threads(self, device: torch.device, dtype: torch.dtype) -> bool:
        """See `Model.ignores_threads`."""
        return self.native_kernels(device, dtype) is not None


def native_weights(theta: Tensor) -> Tensor:
    """Weights of the kernels, from theta or a direction in its space, (R, P): its rows, each contiguous."""
    return theta if theta.stride(1) == 1 else theta.contiguous()
