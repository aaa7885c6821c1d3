"""Forward-mode differentiation in several threads, with one dual level of torch for the whole process."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor
from torch.autograd import forward_ad

_lock = threading.Lock()
_level = ExitStack()
_num_users = 0

# The first dual number of a process loads torch's scripted formulas, which warn that scripting is deprecated.
with warnings.catch_warnings():
    for category in (DeprecationWarning, FutureWarning):  # the latter from torch 2.14 on
        warnings.simplefilter("ignore", category)
    with forward_ad.dual_level():
        forward_ad.make_dual(torch.zeros(()), torch.zeros(()))  # type: ignore[no-untyped-call]


@contextmanager
def dual_level() -> Iterator[None]:
    """Allow dual numbers, in any thread.

    torch allows one dual level per process, so two threads cannot each open one. Here the first thread opens the level
    and the last one closes it. Threads do not share dual numbers.
    """
    global _num_users
    with _lock:
        if _num_users == 0:
            _level.enter_context(forward_ad.dual_level())
        _num_users += 1
    try:
        yield
    finally:
        with _lock:
            _num_users -= 1
            if _num_users == 0:
                _level.close()


def make_dual(primal: Tensor, tangent: Tensor) -> Tensor:
    """Dual number of a value and a tangent of the same shape; a view of the value."""
    dual: Tensor = forward_ad.make_dual(primal, tangent)  # type: ignore[no-untyped-call]
    return dual


def tangent_of(number: Tensor) -> Tensor:
    """Tangent of a number; zero if the number depends on no dual number."""
    tangent: Tensor | None = forward_ad.unpack_dual(number).tangent  # type: ignore[no-untyped-call]
    return torch.zeros_like(number) if tangent is None else tangent
