"""Batches of matrices each of which begins where a matrix of its own would in a cache line.

The last bits of a product depend on the addresses of its factors and its result: the library of matrix products takes
other instructions for entries before the first whole register.

Letters: k matrices.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from typing_extensions import override

CACHE_LINE = 64
"""Bytes of a cache line on most machines. So many entries, of any type, fill whole cache lines."""


class AlignedProducts(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is active, batches of matrices are multiplied with aligned factors and results."""

    @override
    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is not torch.ops.aten.bmm.default:
            return func(*args, **(kwargs or {}))
        left, right = (aligned_empty(each, each.shape, strides_of(each[0])).copy_(each) for each in args)
        shape = (len(left), left.shape[1], right.shape[2])
        return torch.bmm(left, right, out=aligned_empty(left, shape, (shape[2], 1)))


def aligned_empty(like: Tensor, shape: Sequence[int], strides: Sequence[int]) -> Tensor:
    """A new tensor (k, ...) whose rows are aligned.

    Args:
        like: Tensor that gives type and device.
        shape: Its shape.
        strides: Strides of a row.
    """
    size = math.ceil(math.prod(shape[1:]) / CACHE_LINE) * CACHE_LINE
    return like.new_empty(shape[0], size).as_strided(tuple(shape), (size, *strides))


def strides_of(tensor: Tensor) -> Sequence[int]:
    """The strides of a copy of a tensor, which are its own unless it has gaps."""
    return torch.empty_like(tensor).stride()
