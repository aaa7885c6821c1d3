"""A module linearized at its parameters: products with the Jacobian of its outputs, and with its transpose.

Letters: P trainable parameters; u, cotangents of the outputs.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from rnnbench.models.forward_mode import dual_level, make_dual, tangent_of

Run = Callable[[Mapping[str, Tensor]], Sequence[Tensor]]
"""Maps parameters by name to the floating-point tensors that the module returns."""


class Linearization(ABC):
    """The Jacobian J of what a module returns, at one point.

    The graph of the outputs is kept for products with J^T. Cost of one: a backward pass.

    Args:
        run: The module on a batch.
        parameters: Where to linearize: parameters by name.
        has_fused: Whether cuDNN may be used; its recurrences have first derivatives alone.

    Attributes:
        outputs: The module's tensors there, detached.
    """

    def __init__(self, run: Run, parameters: Mapping[str, Tensor], *, has_fused: bool) -> None:
        self._run, self._has_fused = run, has_fused
        self._parameters = {name: each.detach().requires_grad_() for name, each in parameters.items()}
        with torch.enable_grad(), self._backends():
            self._recorded = [*run(self._parameters)]
        self.outputs = [output.detach() for output in self._recorded]
        self._moving = [k for k, output in enumerate(self._recorded) if output.requires_grad]
        if not self._moving:
            raise ValueError("what the module returns depends on none of its trainable parameters")

    @property
    def num_operations(self) -> int:
        """Number of recorded operations that lead from the parameters to the outputs."""
        seen: set[Any] = set()
        waiting = [self._recorded[k].grad_fn for k in self._moving]
        while waiting:
            node = waiting.pop()
            if node is not None and node not in seen:
                seen.add(node)
                waiting += [following for following, _ in node.next_functions]
        return len(seen) - len(self._parameters)

    def _backends(self) -> AbstractContextManager[None]:
        """The circumstances in which the module runs."""
        return nullcontext() if self._has_fused else _without_cudnn()

    @abstractmethod
    def push(self, vector: Mapping[str, Tensor]) -> list[Tensor]:
        """J v: the derivative of each output along a direction, by name of the parameter."""

    def pull(self, cotangents: Sequence[Tensor]) -> Sequence[Tensor]:
        """J^T u: a tensor for each parameter, from one for each output."""
        return torch.autograd.grad(
            [self._recorded[k] for k in self._moving],
            list(self._parameters.values()),
            [cotangents[k] for k in self._moving],
            retain_graph=True,
            materialize_grads=True,
        )


class ForwardMode(Linearization):
    """J v by dual numbers. Cost of one: a forward pass with tangents, two to three without."""

    def push(self, vector: Mapping[str, Tensor]) -> list[Tensor]:
        """See `Linearization`."""
        with torch.no_grad(), dual_level(), self._backends():
            duals = {name: make_dual(each.detach(), vector[name]) for name, each in self._parameters.items()}
            return [tangent_of(output) for output in self._run(duals)]


class DoubleBackward(Linearization):
    """J v by differentiating J^T u, which is linear in u, with respect to u; its graph is kept too.

    Cost of one: a backward pass, up to twice one for recurrent nets.
    """

    def __init__(self, run: Run, parameters: Mapping[str, Tensor], *, has_fused: bool) -> None:
        super().__init__(run, parameters, has_fused=has_fused)
        with torch.enable_grad():
            self._cotangents = [torch.zeros_like(self.outputs[k], requires_grad=True) for k in self._moving]
            self._pulled = torch.autograd.grad(
                [self._recorded[k] for k in self._moving],
                list(self._parameters.values()),
                self._cotangents,
                create_graph=True,
                materialize_grads=True,
            )

    def push(self, vector: Mapping[str, Tensor]) -> list[Tensor]:
        """See `Linearization`."""
        pulled = [(each, part) for each, part in zip(self._pulled, vector.values(), strict=True) if each.requires_grad]
        tangents = [torch.zeros_like(output) for output in self.outputs]
        if not pulled:
            return tangents
        found = torch.autograd.grad(
            [each for each, _ in pulled],
            self._cotangents,
            [part for _, part in pulled],
            retain_graph=True,
            materialize_grads=True,
        )
        for k, tangent in zip(self._moving, found, strict=True):
            tangents[k] = tangent
        return tangents


KINDS: Sequence[type[Linearization]] = (ForwardMode, DoubleBackward)
"""Ways to linearize, the best first if the graph of the outputs is long.

Forward mode is up to twice as fast for recurrent nets, and keeps less memory; double backward for a few large layers,
since it does not repeat the forward pass. What has no forward derivatives, as oneDNN's LSTM, needs double backward.
torch.func.linearize takes seconds to trace a recurrent net.
"""

LONG_GRAPH = 64
"""Number of operations above which the graph of the outputs counts as long: that of a recurrent net."""

ATTENTION = (
    "; the kernels of attention have first derivatives alone: make the steps under "
    "`with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):`"
)
"""Advice if attention is what has no derivatives."""


class Linearizer:
    """Linearizes a module by the best of `KINDS` that works for it, which it remembers; without cuDNN if none does."""

    def __init__(self) -> None:
        self._way: tuple[type[Linearization], bool] | None = None

    def __call__(self, run: Run, parameters: Mapping[str, Tensor]) -> Linearization:
        """Linearize a module at its parameters.

        Raises:
            ValueError: No way works: the module contains an operation without the derivatives.
        """
        if self._way is not None:
            kind, has_fused = self._way
            return kind(run, parameters, has_fused=has_fused)
        reasons: dict[str, None] = {}
        for has_fused in (True, False):
            is_long = ForwardMode(run, parameters, has_fused=has_fused).num_operations > LONG_GRAPH
            for kind in KINDS if is_long else reversed(KINDS):
                try:
                    linearization = kind(run, parameters, has_fused=has_fused)
                    _check_adjoint(linearization, parameters)
                except torch.OutOfMemoryError:
                    raise
                except RuntimeError as error:  # also NotImplementedError
                    reasons[" ".join(str(error).split()).split(". ")[0].rstrip(".")] = None
                else:
                    self._way = kind, has_fused
                    return linearization
        advice = ATTENTION if any("attention" in reason for reason in reasons) else ""
        raise ValueError(
            f"the module has no Jacobian products, neither forward nor by double backward: {'; '.join(reasons)}{advice}"
        )


def _check_adjoint(linearization: Linearization, parameters: Mapping[str, Tensor]) -> None:
    """Check u^T (J v) = (J^T u)^T v for random u and v.

    Raises:
        RuntimeError: They differ: an operation drops a derivative without saying so.
    """
    generator = torch.Generator().manual_seed(0)

    def random(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator, dtype=like.dtype).to(like.device)

    vector = {name: random(each) for name, each in parameters.items()}
    cotangents = [random(output) for output in linearization.outputs]
    pushed, pulled = linearization.push(vector), linearization.pull(cotangents)
    difference = abs(_dot(cotangents, pushed) - _dot(pulled, vector.values()))
    scale = _norm(cotangents) * _norm(pushed) + _norm(pulled) * _norm(vector.values())
    if difference > scale * torch.finfo(cotangents[0].dtype).eps ** 0.25:
        raise RuntimeError("an operation drops a derivative")


def _dot(first: Iterable[Tensor], second: Iterable[Tensor]) -> float:
    return sum(float((one * other).sum(dtype=torch.float64)) for one, other in zip(first, second, strict=True))


def _norm(tensors: Iterable[Tensor]) -> float:
    return math.sqrt(sum(float(each.double().square().sum()) for each in tensors))


@contextmanager
def _without_cudnn() -> Iterator[None]:
    """Switch cuDNN off."""
    before = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = False
    try:
        yield
    finally:
        torch.backends.cudnn.enabled = before
