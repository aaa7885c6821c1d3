"""Asynchronous copies of numbers from a GPU to the host, for the records.

Letters: k replicas.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Wait = Callable[[], None]
"""Returns when a copy is done."""

BeginCopy = Callable[[Tensor], tuple[Tensor, Wait]]
"""Asks for a copy of a device's tensor on the host: the tensor that will hold it, and what waits until it does."""


def copy_to_pinned(source: Tensor) -> tuple[Tensor, Wait]:
    """Ask a GPU for a copy, without waiting for anything that it was asked for before.

    Only page-locked memory can be copied to in the background, and that it is done is known by an event alone
    (torch's notes on CUDA semantics, "Use pinned memory buffers" and "Asynchronous execution").
    """
    target = torch.empty(source.shape, dtype=source.dtype, pin_memory=True)
    target.copy_(source, non_blocking=True)
    # Whoever waits sleeps, and leaves the processor to the training.
    done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    done.record(torch.cuda.current_stream(source.device))
    return target, done.synchronize


class Transfer:
    """Columns of numbers, asked for when it is made and read later; those that lie on the CPU are there already.

    All columns that lie on a device travel in one copy, so that the numbers are those of the moment in which they were
    asked for, whatever is computed in their place afterwards.
    """

    def __init__(self, columns: Mapping[str, Tensor], begin_copy: BeginCopy = copy_to_pinned) -> None:
        """Ask for the numbers.

        Args:
            columns: By name, (k,) each. One on the CPU must not be changed before it is read.
            begin_copy: How a device is asked.
        """
        self._columns: dict[str, NDArray[np.float64] | None] = {
            name: column.detach().double().numpy() if column.device.type == "cpu" else None
            for name, column in columns.items()
        }
        self._copy: tuple[Tensor, Wait] | None = None
        away = [columns[name].detach().double() for name, column in self._columns.items() if column is None]
        if away:
            self._copy = begin_copy(torch.stack(away))

    def read(self) -> dict[str, NDArray[np.float64]]:
        """The numbers by name, (k,) each, float64, in the order given; waits until they are there."""
        arrived = iter(())
        if self._copy is not None:
            target, wait = self._copy
            wait()
            arrived = iter(target.numpy())
        return {name: next(arrived) if column is None else column for name, column in self._columns.items()}
