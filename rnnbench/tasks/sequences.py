"""Sequences of a task in torch's layout, the batch first.

Letters: B sequences, T time steps, S targets of a sequence, N = B S targets, d inputs, o outputs.
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from rnnbench.tasks.batches import Batch


class Sequences(NamedTuple):
    """B sequences and their targets, one row per target: what a loss of torch takes.

    Attributes:
        inputs: (B, T, d), floating point; zero beyond a sequence's own end.
        targets: (N, o) floating point for real or binary targets, (N,) int64 for classes: the S targets of the first
            sequence in the order of their steps, then those of the next. Most tasks have S = 1.
        lengths: (B,), int64: number of steps of each sequence, at most T.
        output_steps: (B, S), int64: the step (0-based) of each target.
    """

    inputs: Tensor
    targets: Tensor
    lengths: Tensor
    output_steps: Tensor

    def at_targets(self, values: Tensor) -> Tensor:
        """Select the states or outputs of a net at the steps that have a target.

        Args:
            values: (B, T, k), one row per sequence and step.

        Returns:
            (N, k), in the order of `targets`.

        Raises:
            ValueError: `values` has another shape.
        """
        num_sequences, num_steps = self.inputs.shape[:2]
        if values.dim() != 3 or values.shape[:2] != (num_sequences, num_steps):
            raise ValueError(
                f"values must have the shape (B, T, k) with B = {num_sequences} and T = {num_steps}, "
                f"got {tuple(values.shape)}"
            )
        steps = self.output_steps.unsqueeze(-1).expand(-1, -1, values.shape[-1])
        return values.gather(1, steps).flatten(0, 1)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Sequences":
        """The same sequences on a device."""
        return Sequences(*(tensor.to(device, non_blocking=non_blocking) for tensor in self))

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """The sequences of a batch of one replica."""
        num_steps, _, num_sequences, _ = batch.inputs.shape
        if batch.output_steps is None:
            steps = torch.arange(num_steps, device=batch.inputs.device).repeat(num_sequences, 1)
        else:
            steps = batch.output_steps[:, 0].t().contiguous()
        inputs, targets = batch.inputs[:, 0].transpose(0, 1), batch.targets[:, 0].transpose(0, 1)
        return cls(inputs.contiguous(), targets.flatten(0, 1), batch.lengths[0].contiguous(), steps)

    def as_batch(self) -> Batch:
        """The same sequences as a batch of one replica."""
        steps = self.output_steps.t().unsqueeze(1)
        inputs = self.inputs.transpose(0, 1).unsqueeze(1)
        return Batch(inputs, self.lengths.unsqueeze(0), steps, self.in_replica_layout(self.targets))

    def in_replica_layout(self, rows: Tensor) -> Tensor:
        """One row per target, (N, ...), as (S, 1, B, ...)."""
        return rows.reshape(*self.output_steps.shape, *rows.shape[1:]).transpose(0, 1).unsqueeze(1)
