"""Asynchronous copies of metrics from a GPU to the host.

Letters: k replicas.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Wait = Callable[[], None]
"""Function that waits until a copy is done."""

BeginCopy = Callable[[Tensor], tuple[Tensor, Wait]]
"""Function that starts the copy of a device's tensor to the host; it returns the target and a function that waits."""


def copy_to_pinned(source: Tensor) -> tuple[Tensor, Wait]:
    """Start a copy from a GPU without waiting for the work that is queued before it.

    Asynchronous copies need page-locked memory, and only an event shows when they are done (torch's notes on CUDA
    semantics, "Use pinned memory buffers" and "Asynchronous execution").
    """
    target = torch.empty(source.shape, dtype=source.dtype, pin_memory=True)
    target.copy_(source, non_blocking=True)
    # A blocking event lets the waiting thread sleep, so that the processor is free for training.
    done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    done.record(torch.cuda.current_stream(source.device))
    return target, done.synchronize


class Transfer:
    """Copies columns to the host: the copy is started on construction and read later; CPU columns are not copied.

    All columns on a device are stacked and copied together. Later operations on the source tensors do not change the
    numbers.
    """

    def __init__(self, columns: Mapping[str, Tensor], begin_copy: BeginCopy = copy_to_pinned) -> None:
        """Start the copy.

        Args:
            columns: Name -> values, (k,). A column on the CPU must not be changed before it is read.
            begin_copy: Function that starts the copy of a tensor from the device.
        """
        self._columns: dict[str, NDArray[np.float64] | None] = {
            name: column.detach().double().numpy() if column.device.type == "cpu" else None
            for name, column in columns.items()
        }
        self._copy: tuple[Tensor, Wait] | None = None
        on_device = [columns[name].detach().double() for name, column in self._columns.items() if column is None]
        if on_device:
            self._copy = begin_copy(torch.stack(on_device))

    def read(self) -> dict[str, NDArray[np.float64]]:
        """Wait for the copy and return the columns by name, (k,) each, float64, in the order given."""
        copied = iter(())
        if self._copy is not None:
            target, wait = self._copy
            wait()
            copied = iter(target.numpy())
        return {name: next(copied) if column is None else column for name, column in self._columns.items()}
