"""The sequences that a torch.nn layer is given: a tensor, or a PackedSequence of different lengths.

Letters: T steps, B sequences, k numbers at each step.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence


@dataclass(frozen=True)
class Sequences:
    """Sequences in one layout, (T, B, k).

    Attributes:
        padded: The sequences in the order of the batch; arbitrary after the end of each, (T, B, k).
        lengths: Number of steps of each, (B,), int64, on the CPU.
        original: As they were given.
        batch_first: Whether the given tensor has the shape (B, T, k).
    """

    padded: Tensor
    lengths: Tensor
    original: Tensor | PackedSequence
    batch_first: bool

    @classmethod
    def of(cls, given: Tensor | PackedSequence, *, batch_first: bool) -> "Sequences":
        """Convert what a layer takes or returns."""
        if isinstance(given, PackedSequence):
            padded, lengths = pad_packed_sequence(given)
        else:
            padded = given.transpose(0, 1) if batch_first else given
            lengths = torch.full(padded.shape[1:2], len(padded))
        return cls(padded, lengths, given, batch_first)

    def in_original_layout(self, padded: Tensor) -> Tensor | PackedSequence:
        """Convert other numbers of these sequences, (T, B, m), to the layout that was given."""
        original = self.original
        if not isinstance(original, PackedSequence):
            return padded.transpose(0, 1) if self.batch_first else padded
        lengths = self.lengths
        if original.sorted_indices is not None:
            padded, lengths = padded[:, original.sorted_indices], lengths[original.sorted_indices.cpu()]
        data = pack_padded_sequence(padded, lengths).data
        return PackedSequence(data, original.batch_sizes, original.sorted_indices, original.unsorted_indices)
