"""The cost of updates, counted for each replica.

Letters: k active replicas of a run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.optim.base import Update
from rnnbench.training.replica import Replica

COSTS = ("sequences", "products", "forward_passes", "backward_passes")
"""The counted quantities; names of the fields of `Update` and `Replica`, and of the tags cost/*."""


def costs_of(update: Update) -> dict[str, Tensor]:
    """Return the costs of an update: each name in `COSTS` -> (k,)."""
    return {name: getattr(update, name) for name in COSTS}


def cost_columns(replicas: Sequence[Replica]) -> dict[str, Tensor]:
    """Return the costs and seconds of k replicas so far as columns of a metrics row, (k,) each, float64, on the CPU."""
    columns = {f"cost/{name}": [getattr(replica, name) for replica in replicas] for name in COSTS}
    columns["time/seconds"] = [replica.seconds for replica in replicas]
    return {name: torch.tensor(numbers, dtype=torch.float64) for name, numbers in columns.items()}


@dataclass(frozen=True)
class PendingUpdate:
    """The costs that one update added to the counts.

    Attributes:
        number: Number of the update, from 1.
        seconds: Wall-clock time of training after it.
        costs: For each of `COSTS`, the cost of each active replica.
    """

    number: int
    seconds: float
    costs: Sequence[Sequence[float]]


class CostLedger:
    """Adds the cost of every update to the active replicas, and can undo updates made after a replica diverged.

    Attributes:
        pending: Updates that can still be undone, in order.
    """

    def __init__(self) -> None:
        """Start without counted updates."""
        self.pending: list[PendingUpdate] = []

    def add(self, replicas: Sequence[Replica], costs: Mapping[str, Tensor], number: int, seconds: float) -> None:
        """Count an update.

        Args:
            replicas: The k active replicas; changed.
            costs: Costs of the update, from `costs_of`.
            number: Number of the update, from 1.
            seconds: Wall-clock time of training so far.
        """
        numbers = torch.stack([costs[name] for name in COSTS]).tolist()
        self.pending.append(PendingUpdate(number, seconds, numbers))
        for row, replica in enumerate(replicas):
            replica.updates, replica.seconds = number, seconds
            for name, cost in zip(COSTS, numbers, strict=True):
                setattr(replica, name, getattr(replica, name) + cost[row])

    def undo_after(self, replica: Replica, row: int, number: int) -> None:
        """Subtract the costs of a replica's pending updates after a given one, since they did not change the replica.

        Args:
            replica: The replica; changed.
            row: Its row among the active replicas.
            number: Number of the last update that counts, from 1.
        """
        for update in self.pending:
            if update.number == number:
                replica.updates, replica.seconds = number, update.seconds
            elif update.number > number:
                for name, cost in zip(COSTS, update.costs, strict=True):
                    setattr(replica, name, getattr(replica, name) - cost[row])

    def close(self) -> None:
        """Make all counted updates final."""
        self.pending.clear()
