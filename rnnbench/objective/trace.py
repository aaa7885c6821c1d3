"""States along the first sequences of a batch and their gradients, for the probes.

Letters: R replicas, T time steps, s size of the model's whole state.
"""

import weakref
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from rnnbench.models.base import Sweeps
from rnnbench.objective.engine import Engine


class Trace(Protocol):
    """States and state gradients that an update computed on the first sequences of each replica."""

    @property
    def num_sequences(self) -> int:
        """Number of traced sequences of each replica."""
        ...

    def states(self, num_sequences: int) -> Tensor:
        """Whole states 0 .. T of the first sequences, (T + 1, R, num_sequences, s); do not modify."""
        ...

    def state_gradients(self, num_sequences: int) -> Tensor:
        """Derivative of the batch's loss with respect to the whole states 1 .. T of the first sequences.

        The loss is the mean over B sequences: times B, this is the derivative of one sequence's own loss.

        Returns:
            (T, R, num_sequences, s); do not modify.
        """
        ...

    def replicas(self, rows: Tensor) -> "Trace":
        """The trace of some replicas, by their rows, int64."""
        ...


class SweptTrace:
    """A trace in the buffers of the sweeps that computed it; they return to the engine when the trace is deleted.

    Args:
        engine: Owns the buffers.
        sweeps: For each block of replicas, in order, the sweeps over its first sequences.
        num_sequences: Number of traced sequences of each replica.
    """

    def __init__(self, engine: Engine, sweeps: Sequence[Sequence[Sweeps]], num_sequences: int) -> None:
        self._sweeps, self.num_sequences = sweeps, num_sequences
        weakref.finalize(self, engine.give_back, [one for row in sweeps for one in row])

    def states(self, num_sequences: int) -> Tensor:
        """See `Trace`; a copy."""
        return self._copy(num_sequences, lambda sweeps, count: sweeps.states(count))

    def state_gradients(self, num_sequences: int) -> Tensor:
        """See `Trace`; a copy."""
        return self._copy(num_sequences, lambda sweeps, count: sweeps.state_gradients(count))

    def _copy(self, num_sequences: int, copy: Callable[[Sweeps, int], Tensor]) -> Tensor:
        rows = []
        for row in self._sweeps:
            pieces: list[Tensor] = []
            missing = num_sequences
            for sweeps in row:
                count = min(sweeps.shape.sequences, missing)
                if count:
                    pieces.append(copy(sweeps, count))
                missing -= count
            rows.append(_joined(pieces, dim=2))
        return _joined(rows, dim=1)

    def replicas(self, rows: Tensor) -> Trace:
        """See `Trace`."""
        return _SomeReplicas(self, rows)


def _joined(pieces: Sequence[Tensor], dim: int) -> Tensor:
    """Tensors joined along an axis; a single one is not copied."""
    return pieces[0] if len(pieces) == 1 else torch.cat(list(pieces), dim=dim)


class CopiedTrace:
    """A trace that keeps every tensor read from it, so that it can be read again when the buffers are reused.

    Args:
        trace: The trace to copy from.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace: Trace | None = trace
        self._copies: dict[tuple[str, int], Tensor] = {}
        self.num_sequences = trace.num_sequences

    def let_go(self) -> None:
        """Drop the original; only what has been read so far can be read again."""
        self._trace = None

    def states(self, num_sequences: int) -> Tensor:
        """See `Trace`."""
        return self._copied("states", num_sequences)

    def state_gradients(self, num_sequences: int) -> Tensor:
        """See `Trace`."""
        return self._copied("state_gradients", num_sequences)

    def _copied(self, name: str, num_sequences: int) -> Tensor:
        key = (name, num_sequences)
        if key not in self._copies:
            if self._trace is None:
                raise ValueError(f"{name} of {num_sequences} sequences were not read before the original was dropped")
            self._copies[key] = getattr(self._trace, name)(num_sequences)
        return self._copies[key]

    def replicas(self, rows: Tensor) -> Trace:
        """See `Trace`."""
        return _SomeReplicas(self, rows)


class _SomeReplicas:
    """The rows of some replicas of a trace."""

    def __init__(self, trace: Trace, rows: Tensor) -> None:
        self._trace, self._rows, self.num_sequences = trace, rows, trace.num_sequences

    def states(self, num_sequences: int) -> Tensor:
        return self._trace.states(num_sequences)[:, self._rows]

    def state_gradients(self, num_sequences: int) -> Tensor:
        return self._trace.state_gradients(num_sequences)[:, self._rows]

    def replicas(self, rows: Tensor) -> Trace:
        return _SomeReplicas(self._trace, self._rows[rows])
