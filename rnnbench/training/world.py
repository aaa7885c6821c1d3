"""The processes that train one run together, each on its part of every batch."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as distributed
from torch import Tensor
from typing_extensions import override

from rnnbench.training.interrupt import Interrupt, Interrupted


@dataclass(frozen=True)
class World:
    """The processes of a run; one alone is the usual case.

    Attributes:
        rank: Number of this process, from 0; the first one keeps the records.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    def share(self, rows: range) -> range:
        """The rows that this process works on, as many as every other one or one more."""
        bounds = [round(rank * len(rows) / self.size) for rank in (self.rank, self.rank + 1)]
        return rows[bounds[0] : bounds[1]]

    def add_up(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, the same bits in each; every process has to call it."""
        if self.size > 1:
            distributed.all_reduce(tensor)
        return tensor

    def largest(self, number: int) -> int:
        """The largest of the numbers that the processes have."""
        tensor = torch.tensor(number)
        distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
        return int(tensor)

    def first(self, number: float) -> float:
        """The number that the first process has."""
        if self.size == 1:
            return number
        tensor = torch.tensor(number, dtype=torch.float64)
        distributed.broadcast(tensor, 0)
        return tensor.item()


ALONE = World()


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Connect to the other processes that torchrun has started, by the environment variables that it sets."""
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


class SharedInterrupt(Interrupt):
    """Takes signals for all processes: one that any of them has received ends all of them before the next update.

    Inside an update it would leave the others waiting for this one.
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
