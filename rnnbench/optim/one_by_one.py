"""Calls under torch.func.vmap that are made for one replica after another, so that each gets the bits it gets alone.

Most operations of torch give a replica the same bits in a batch as alone. Three kinds do not: products that have a
vector as a factor or are tiny, for which the library of matrix products has other kernels, some of which depend on the
address of the factors; decompositions, for the same reason; and powers, whose last entries are computed by another
function than those that fill a register.

Letters: k replicas.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from typing_extensions import override

from rnnbench.linear_algebra import LAPACK_ERROR

SMALLEST_PRODUCT = 400
"""Multiplications from which on torch multiplies a batch of matrices by the library that it uses for two matrices."""

CACHE_LINE = 64
"""Bytes of a cache line, and so a number of entries that is a multiple of it."""

POWERS = frozenset({"pow", "pow_", "__pow__", "__ipow__", "__rpow__", "float_power"})
DECOMPOSITIONS = frozenset(
    {"svd", "qr", "cholesky", "cholesky_solve", "cholesky_inverse", "triangular_solve", "inverse"}
)
NORMS = frozenset({"linalg_norm", "linalg_vector_norm"})
"""Functions whose names begin as those of decompositions do."""


class CannotStepTogetherError(BaseException):
    """A decomposition failed for one of the replicas.

    No `Exception`, since a class may catch these and go on in another way, which would then be taken by all replicas.
    """


class OneByOne(TorchFunctionMode):
    """While it is active, a call under vmap whose bits could depend on the other replicas is made for each alone."""

    @override
    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not _depends_on_others(getattr(func, "__name__", ""), args, kwargs):
            return func(*args, **kwargs)
        positions = [position for position, value in enumerate(args) if isinstance(value, Tensor)]
        kinds: list[Any] = []

        def call(*tensors: Tensor) -> tuple[Tensor, ...]:
            own = list(args)
            for position, tensor in zip(positions, tensors, strict=True):
                own[position] = tensor
            result = func(*own, **kwargs)
            kinds[:] = [type(result)]
            return (result,) if isinstance(result, Tensor) else tuple(result)

        given = (args[position] for position in positions)
        results = _Calls.apply(call, *given)  # type: ignore[no-untyped-call]
        if _is_in_place(func):
            return args[0].copy_(results[0])
        return results[0] if issubclass(kinds[0], Tensor) else kinds[0](results)


class _Calls(torch.autograd.Function):
    """Calls a function; under vmap, for one replica after another."""

    @staticmethod
    @override
    def forward(call: Callable[..., Any], *values: Any) -> Any:
        return call(*values)

    @staticmethod
    @override
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing is kept: steps are made without gradients."""

    @staticmethod
    @override
    def vmap(info: Any, in_dims: Sequence[int | None], call: Callable[..., Any], *values: Any) -> Any:
        columns = [
            [value] * info.batch_size if axis is None else _rows(value.movedim(axis, 0))
            for value, axis in zip(values, in_dims[1:], strict=True)
        ]
        try:
            rows = [call(*own) for own in zip(*columns, strict=True)]
        except LAPACK_ERROR as error:
            raise CannotStepTogetherError from error
        results = tuple(torch.stack(column) for column in zip(*rows, strict=True))
        return results, (0,) * len(results)


def _rows(tensor: Tensor) -> Sequence[Tensor]:
    """Copies of the rows of a tensor (k, ...), each of which begins where a tensor of its own would in a cache line."""
    size = tensor[0].numel()
    lines = tensor.new_empty(len(tensor), math.ceil(size / CACHE_LINE) * CACHE_LINE)
    rows = lines[:, :size].view(tensor.shape)
    if rows.stride()[1:] != tensor.stride()[1:]:  # the bits of a product may depend on how its factors lie
        return [row.clone() for row in tensor]
    return rows.copy_(tensor).unbind(0)


def _is_in_place(func: Any) -> bool:
    name = func.__name__
    return name == "__ipow__" or (name.endswith("_") and not name.endswith("__"))


def _depends_on_others(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a replica may get other bits in a batch than alone."""
    if name in POWERS or name in DECOMPOSITIONS or (name.startswith("linalg_") and name not in NORMS):
        return True
    if name in ("matmul", "mm", "mv", "__matmul__", "__rmatmul__"):
        return _is_small(args[0], args[1], args[0].shape[-1])
    if name in ("addmm", "addmm_"):
        return _is_small(args[1], args[2], args[1].shape[-1])
    if name == "tensordot":
        axes = args[2] if len(args) > 2 else kwargs.get("dims", 2)
        axes = range(args[0].dim() - axes, args[0].dim()) if isinstance(axes, int) else axes[0]
        return _is_small(args[0], args[1], math.prod(args[0].shape[axis] for axis in axes))
    return False


def _is_small(left: Tensor, right: Tensor, num_terms: int) -> bool:
    """Whether a product has a vector as a factor or is tiny.

    Args:
        left: First factor.
        right: Second factor.
        num_terms: Terms of the sum of each entry of the product.
    """
    rows, columns = left.numel() // max(1, num_terms), right.numel() // max(1, num_terms)
    return min(rows, columns) == 1 or rows * columns * num_terms < SMALLEST_PRODUCT
