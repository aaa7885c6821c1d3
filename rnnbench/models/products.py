"""Matrix products of a block's sweeps, written into given memory by whichever library is fastest at them.

On a CPU that is numpy, whose OpenBLAS has kernels for small matrices that copy nothing first; products are cut into
pieces which are small enough for them. At these sizes they take 0.6 to 0.8 of the time of torch's MKL.

Letters: r replicas, b sequences, k rows, m and n columns. A replica axis of length one is left out ("squeezed"): a
product of matrices is faster than one of a batch of one.
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
"""Pieces of fewer rows cost more calls than they save."""

ignore_overflow = np.errstate(over="ignore", invalid="ignore")
"""Decorates what may compute infinities and NaN, which the training loop looks for; numpy would warn of them."""


def squeeze(tensor: Tensor, num_replicas: int) -> Tensor:
    """Drop a replica axis of length one: (1, ...) -> (...)."""
    return tensor.squeeze(0) if num_replicas == 1 else tensor


class StepProducts:
    """Products of the rows of one step with a matrix per replica, (r, b, m) times (r, m, n).

    Attributes:
        multiply: (rows, matrix, out=): the product of what `rows` and `matrix` made, into what `rows` made.
        num_pieces: In how many equal pieces of the b rows.
    """

    def __init__(self, shape: BlockShape, size: int) -> None:
        """Choose.

        Args:
            shape: Of the block.
            size: m times n.
        """
        self._num_replicas = shape.replicas
        self._on_host = shape.device.type == "cpu"
        self.multiply: Callable[..., object] = np.matmul if self._on_host else torch.matmul
        self.num_pieces = num_pieces(shape.sequences, size) if self._on_host else 1

    def rows(self, step: Tensor) -> Any:
        """A step's rows, squeezed (r, b, ...), as an operand or a result; no copy."""
        pieces = step.view(*step.shape[:-2], self.num_pieces, -1, step.shape[-1]) if self.num_pieces > 1 else step
        return pieces.numpy() if self._on_host else pieces

    def matrix(self, matrix: Tensor) -> Any:
        """The right-hand side, from (r, m, n); no copy."""
        several = self.num_pieces > 1 and self._num_replicas > 1
        operand = matrix.unsqueeze(1) if several else squeeze(matrix, self._num_replicas)
        return operand.numpy() if self._on_host else operand


class OuterSum:
    """The sum over many rows of their outer products, A^T B of A (r, k, m) and B (r, k, n), for a few rows at a time.

    Attributes:
        total: (r, m, n).
    """

    def __init__(self, total: Tensor) -> None:
        """Make room for it.

        Args:
            total: Where the sum is kept.
        """
        self.total = total
        self._num_replicas, m, n = total.shape
        on_host = total.device.type == "cpu"
        self._few_rows = SMALL_PRODUCT // (m * n) if on_host and MIN_ROWS * m * n <= SMALL_PRODUCT else 0
        if self._few_rows:
            self._host_total, self._summand = total.numpy(), np.empty_like(total.numpy())

    def chunk(self, left: Tensor, right: Tensor) -> list[tuple[Any, Any]]:
        """Views of some rows, A (r, k, m) and B (r, k, n), as `add` wants them."""
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
    """The fewest equal pieces of some rows whose products with a matrix of a size are small; 1 where there are none."""
    for pieces in range(1, num_rows // MIN_ROWS + 1):
        if num_rows % pieces == 0 and num_rows // pieces * size <= SMALL_PRODUCT:
            return pieces
    return 1
