"""Forward-mode differentiation from several threads at once: torch's dual numbers, on one level for the process."""

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

    torch has one level for the whole process and refuses a second, so that two workers with a level each fail. Here the
    first to come opens it and the last to leave closes it; dual numbers of different threads do not meet.
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
    """The dual number of a value and a derivative of its shape, as a view of the value."""
    dual: Tensor = forward_ad.make_dual(primal, tangent)  # type: ignore[no-untyped-call]
    return dual


def tangent_of(number: Tensor) -> Tensor:
    """The derivative of a number, zero where it depends on no dual number."""
    tangent: Tensor | None = forward_ad.unpack_dual(number).tangent  # type: ignore[no-untyped-call]
    return torch.zeros_like(number) if tangent is None else tangent
