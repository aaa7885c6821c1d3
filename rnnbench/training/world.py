"""The processes that train one run together, each on its share of every batch."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as distributed
from torch import Tensor
from typing_extensions import override

from rnnbench.training.interrupt import Interrupt, Interrupted

CPU = torch.device("cpu")


@dataclass(frozen=True)
class World:
    """The processes of a run; usually there is only one.

    Attributes:
        rank: Number of this process, from 0; process 0 writes the records.
        size: Number of processes.
        device: Device of the tensors that they exchange: that of the run, since NCCL takes no others.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    def share(self, rows: range) -> range:
        """Return the rows of this process; the shares of the processes differ in size by at most one row."""
        bounds = [round(rank * len(rows) / self.size) for rank in (self.rank, self.rank + 1)]
        return rows[bounds[0] : bounds[1]]

    def add_up(self, tensor: Tensor) -> Tensor:
        """Return the sum over all processes, bit-identical in each; every process must call it."""
        if self.size > 1:
            distributed.all_reduce(tensor)
        return tensor

    def largest(self, number: int) -> int:
        """Return the largest of the processes' numbers; every process must call it."""
        tensor = torch.tensor(number, device=self.device)
        distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
        return int(tensor)

    def first(self, number: float) -> float:
        """Return the number of the first process; every process must call it."""
        if self.size == 1:
            return number
        tensor = torch.tensor(number, dtype=torch.float64, device=self.device)
        distributed.broadcast(tensor, 0)
        return tensor.item()


ALONE = World()


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Connect to the other processes that torchrun has started, using the environment variables that it sets."""
    if device.type == "cuda":
        torch.cuda.set_device(device)  # which NCCL takes
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


class SharedInterrupt(Interrupt):
    """Handles signals for all processes: a signal to one of them ends all of them before the next update.

    A process that ended within an update would leave the others waiting for it.
    """

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    @override
    @contextmanager
    def allowed(self) -> Iterator[None]:
        number = self._world.largest(self.signal or 0)
        if number:
            self.signal = signal.Signals(number)
            raise Interrupted
        yield
