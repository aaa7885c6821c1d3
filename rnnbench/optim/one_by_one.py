"""Calls under torch.func.vmap that are made for one replica after another, so that each gets the bits it gets alone.

Most operations of torch give a replica the same bits in a batch as alone. Three kinds do not: products that have a
vector as a factor or are tiny, for which the library of matrix products has other kernels, some of which depend on the
address of the factors; decompositions, for the same reason; and powers, whose last entries are computed by another
function than those that fill a register. Products with a narrow matrix need no loop, only aligned factors.

Letters: k replicas.
"""

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import repeat
from typing import Any

import torch
from torch import Tensor
from torch._C import _functorch as functorch
from torch._functorch.pyfunctorch import temporarily_pop_interpreter_stack
from torch.backends import opt_einsum
from torch.overrides import TorchFunctionMode
from typing_extensions import override

from rnnbench.linear_algebra import LAPACK_ERROR
from rnnbench.optim.aligned import AlignedProducts, aligned_empty, strides_of

SMALLEST_PRODUCT = 400
"""Multiplications from which on torch multiplies a batch of matrices by the library that it uses for two matrices."""

NARROW = 16
"""Rows or columns of a matrix below which the bits of its products depend on addresses."""

POWERS = frozenset({"pow", "pow_", "__pow__", "__ipow__", "__rpow__", "float_power"})
DECOMPOSITIONS = frozenset(
    {"svd", "qr", "cholesky", "cholesky_solve", "cholesky_inverse", "triangular_solve", "inverse"}
)
NORMS = frozenset({"linalg_norm", "linalg_vector_norm"})
"""Functions whose names begin as those of decompositions do."""

PRODUCTS = frozenset({"matmul", "mm", "mv", "__matmul__", "__rmatmul__"})

FACTORS = ("alpha", "value")
"""Arguments of sums that must be numbers, such as a learning rate."""


class CannotStepTogetherError(BaseException):
    """The replicas cannot make this step in one call; each has to make it alone.

    No `Exception`, since a class may catch these and go on in another way, which would then be taken by all replicas.
    """


class OneByOne(TorchFunctionMode):
    """While it is active, a call under vmap whose bits could depend on the other replicas is made for each alone.

    Attributes:
        lrs: Learning rates, tensors under vmap for a class that was written for numbers: they are never changed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lrs: Sequence[Tensor] = ()
        self._orders: dict[Any, list[int]] = {}
        self._copies: dict[Any, tuple[Tensor, Sequence[Tensor]]] = {}

    @override
    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        if _is_in_place(name) and any(args[0] is lr for lr in self.lrs):
            return getattr(Tensor, name.removesuffix("_"))(*args, **kwargs)
        if func is torch.einsum:
            return self._einsum(*args)
        factor = next((key for key in FACTORS if isinstance(kwargs.get(key), Tensor)), None)
        if factor is not None:
            rest = {key: value for key, value in kwargs.items() if key != factor}
            result = self._by_replica(
                lambda value, *own: func(*own, **rest, **{factor: value.item()}), (kwargs[factor], *args)
            )
        elif _depends_on_others(name, args, kwargs):
            result = self._by_replica(partial(func, **kwargs) if kwargs else func, args)
        else:
            with _aligned_if_narrow(args if name in PRODUCTS or name == "tensordot" else ()):
                return func(*args, **kwargs)
        return args[0].copy_(result) if _is_in_place(name) else result

    def _einsum(self, equation: str, *operands: Any) -> Tensor:
        """`torch.einsum`, which looks for the best order of its products anew at each call; here it is kept."""
        factors = operands if isinstance(operands[0], Tensor) else tuple(operands[0])
        with _aligned_if_narrow(factors):
            if len(factors) <= 2 or not opt_einsum.is_available():
                return torch.einsum(equation, *factors)
            form = equation, *(factor.shape for factor in factors)
            if form not in self._orders:
                pairs, _ = opt_einsum.get_opt_einsum().contract_path(equation, *factors, optimize=opt_einsum.strategy)
                self._orders[form] = [place for pair in pairs for place in pair]
            result: Tensor = torch._VF.einsum(equation, factors, path=self._orders[form])  # type: ignore[attr-defined]
            return result

    def _by_replica(self, call: Callable[..., Any], args: Sequence[Any]) -> Any:
        """Make a call for one replica after another; a `torch.autograd.Function` with this rule takes twice as long.

        Args:
            call: Function of the arguments; returns a tensor or a named tuple of tensors.
            args: Arguments, as they are under vmap.
        """
        level = functorch.current_level()
        pairs = [functorch._unwrap_batched(each, level) if isinstance(each, Tensor) else (each, None) for each in args]
        if all(axis is None for _, axis in pairs):
            return call(*args)
        with temporarily_pop_interpreter_stack():
            columns = (
                repeat(value) if axis is None else self._rows(position, value.movedim(axis, 0))
                for position, (value, axis) in enumerate(pairs)
            )
            try:
                results = list(map(call, *columns))
            except LAPACK_ERROR as error:
                raise CannotStepTogetherError from error
            kind = type(results[0])
            stacked = [_stacked(each) for each in ([results] if kind is Tensor else zip(*results, strict=True))]
        joined = [functorch._add_batch_dim(each, 0, level) for each in stacked]
        return joined[0] if kind is Tensor else kind(joined)

    def _rows(self, position: int, tensor: Tensor) -> Sequence[Tensor]:
        """Copies of the rows of an argument (k, ...), which begin where tensors of their own would in a cache line.

        The memory is used again for the next argument of this form at this position.
        """
        strides = strides_of(tensor[0])
        form = position, tensor.shape, strides, tensor.dtype
        if form not in self._copies:
            copies = aligned_empty(tensor, tensor.shape, strides)
            self._copies[form] = copies, copies.unbind(0)
        copies, rows = self._copies[form]
        copies.copy_(tensor)
        return rows


def _stacked(results: Sequence[Tensor]) -> Tensor:
    """Results of all replicas, (k, ...), each with the strides that it has alone."""
    first = results[0]
    if first.is_contiguous():
        return torch.stack(tuple(results))
    out = first.new_empty_strided((len(results), *first.shape), (first.numel(), *strides_of(first)))
    return torch.stack(tuple(results), out=out)


def _aligned_if_narrow(factors: Sequence[Any]) -> contextlib.AbstractContextManager[Any]:
    shapes = [each.shape for each in factors if isinstance(each, Tensor) and each.dim() > 1]
    is_narrow = any(1 < size < NARROW for shape in shapes for size in shape)
    return AlignedProducts() if is_narrow else contextlib.nullcontext()  # type: ignore[no-untyped-call]


def _is_in_place(name: str) -> bool:
    return name == "__ipow__" or (name.endswith("_") and not name.endswith("__"))


def _depends_on_others(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a replica may get other bits in a batch than alone."""
    if name in POWERS or name in DECOMPOSITIONS or (name.startswith("linalg_") and name not in NORMS):
        return True
    if name in ("addmm", "addmm_"):  # the product and the sum would be two operations
        return True
    if name in PRODUCTS:
        return _is_small(args[0], args[1], args[0].shape[-1])
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
