"""Matrix products of a block's sweeps, written into preallocated memory by the fastest library.

On a CPU this is numpy: its OpenBLAS has kernels for small matrices that do not copy their operands. Products are split
into pieces that are small enough for these kernels, which take 0.6 to 0.8 of the time of torch's MKL.

Letters: r replicas, b sequences, k rows, m and n columns. A replica axis of length one is squeezed: a matrix
product is faster than a batched product with batch size one.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnbench.models.base import BlockShape

SMALL_PRODUCT = 10**6
"""Largest product of a matrix product's three sizes for which OpenBLAS has kernels for small matrices."""

MIN_ROWS = 16
"""Minimum rows of a piece; with fewer, the calls cost more than the kernels save."""

ignore_overflow = np.errstate(over="ignore", invalid="ignore")
"""Decorator that silences numpy's overflow warnings; the training loop detects infinities and NaN itself."""


def squeeze(tensor: Tensor, num_replicas: int) -> Tensor:
    """Drop a replica axis of length one: (1, ...) -> (...)."""
    return tensor.squeeze(0) if num_replicas == 1 else tensor


class StepProducts:
    """Products of the rows of one step with one matrix per replica, (r, b, m) times (r, m, n).

    Attributes:
        multiply: multiply(rows, matrix, out=out), on views made by the methods `rows` (also for `out`) and `matrix`.
        num_pieces: Number of equal pieces into which the b rows are split.
    """

    def __init__(self, shape: BlockShape, size: int) -> None:
        """Choose the library and the number of pieces.

        Args:
            shape: Shape of the block.
            size: m times n.
        """
        self._num_replicas = shape.replicas
        self._on_host = shape.device.type == "cpu"
        self.multiply: Callable[..., object] = np.matmul if self._on_host else torch.matmul
        self.num_pieces = num_pieces(shape.sequences, size) if self._on_host else 1

    def rows(self, step: Tensor) -> Any:
        """View of a step's rows, squeezed (r, b, ...), as an operand or result of `multiply`."""
        pieces = step.view(*step.shape[:-2], self.num_pieces, -1, step.shape[-1]) if self.num_pieces > 1 else step
        return pieces.numpy() if self._on_host else pieces

    def matrix(self, matrix: Tensor) -> Any:
        """View of (r, m, n) as the right-hand operand of `multiply`."""
        several = self.num_pieces > 1 and self._num_replicas > 1
        operand = matrix.unsqueeze(1) if several else squeeze(matrix, self._num_replicas)
        return operand.numpy() if self._on_host else operand


class OuterSum:
    """Sum of outer products of rows, A^T B of A (r, k, m) and B (r, k, n), accumulated over chunks of rows.

    Attributes:
        total: (r, m, n).
    """

    def __init__(self, total: Tensor) -> None:
        """Set the memory of the sum.

        Args:
            total: (r, m, n), memory of the sum.
        """
        self.total = total
        self._num_replicas, m, n = total.shape
        on_host = total.device.type == "cpu"
        self._few_rows = SMALL_PRODUCT // (m * n) if on_host and MIN_ROWS * m * n <= SMALL_PRODUCT else 0
        if self._few_rows:
            self._host_total, self._summand = total.numpy(), np.empty_like(total.numpy())

    def chunk(self, left: Tensor, right: Tensor) -> list[tuple[Any, Any]]:
        """Views of a chunk of rows, A (r, k, m) and B (r, k, n), for `add`."""
        if not self._few_rows:
            return [(squeeze(left, self._num_replicas).mT, squeeze(right, self._num_replicas))]
        bounds = range(0, left.shape[1], self._few_rows)
        pieces = [slice(first, first + self._few_rows) for first in bounds]
        return [(left[:, piece].mT.numpy(), right[:, piece].numpy()) for piece in pieces]

    def add(self, chunk: list[tuple[Any, Any]]) -> None:
        """Add the outer products of a chunk's rows to the total."""
        for left, right in chunk:
            if self._few_rows:
                np.matmul(left, right, out=self._summand)
                np.add(self._host_total, self._summand, out=self._host_total)
            elif self._num_replicas == 1:
                self.total[0].addmm_(left, right)
            else:
                self.total.baddbmm_(left, right)


def num_pieces(num_rows: int, size: int) -> int:
    """Smallest number of equal pieces of the rows whose products are small (`SMALL_PRODUCT`); 1 if there is none."""
    for pieces in range(1, num_rows // MIN_ROWS + 1):
        if num_rows % pieces == 0 and num_rows // pieces * size <= SMALL_PRODUCT:
            return pieces
    return 1
