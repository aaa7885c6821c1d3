"""What a caller gives: a module, its inputs, a loss. What cannot be used is refused in one line."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

DTYPES = (torch.float32, torch.float64)

MISFITS = (RuntimeError, TypeError, AttributeError, LookupError, AssertionError)
"""What a module or a loss raises if it is called with something that it cannot take."""


def check_module(module: Any) -> None:
    """Check that a module is one.

    Raises:
        ValueError: It is something else, such as its class or its parameters.
    """
    if isinstance(module, type):
        raise ValueError(f"module must be an object, got the class {module.__name__}: make one, {module.__name__}(...)")
    if not isinstance(module, torch.nn.Module):
        raise ValueError(f"module must be a torch.nn.Module, got {described(module)}: give the module itself")


def check_callable(loss: Any, arguments: str) -> None:
    """Check that a loss can be called.

    Args:
        loss: The loss.
        arguments: What it must take, for the message.

    Raises:
        ValueError: It cannot, or it is the class of a loss.
    """
    if isinstance(loss, type):
        raise ValueError(f"loss must be a function of {arguments}, got the class {loss.__name__}: {loss.__name__}()?")
    if not callable(loss):
        raise ValueError(f"loss must be a function of {arguments}, got {described(loss)}")


def check_dtype(parameters: Iterable[Tensor]) -> None:
    """Check that parameters are float32 or float64.

    Raises:
        ValueError: One is not.
    """
    for parameter in parameters:
        if parameter.dtype not in DTYPES:
            raise ValueError(f"the parameters must be float32 or float64, got {parameter.dtype}; use module.float()")


@contextmanager
def calling_module(inputs: Any) -> Iterator[None]:
    """Turn the error of a module that cannot be called with some inputs into a ValueError that shows both."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except MISFITS as error:
        is_tensor = isinstance(inputs, Tensor)
        advice = "" if is_tensor else "; give a tensor, or what its forward takes as its one argument"
        what = described(inputs)
        raise ValueError(
            f"the module cannot be called with these inputs, {what}: {first_line(error)}{advice}"
        ) from error


@contextmanager
def calling_loss(arguments: str, outputs: Any, *targets: Any) -> Iterator[None]:
    """Turn the error of a loss that cannot be called with what it is given into a ValueError that shows both.

    Args:
        arguments: What the loss must take, for the message.
        outputs: What the module returned.
        targets: The targets, if the loss is given them.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except MISFITS as error:
        given = f"the module returned {described(outputs)}"
        if targets:
            given += f", the targets are {described(*targets)}"
            if isinstance(outputs, tuple) and len(outputs) == 2:
                given += "; if the module returns (outputs, states), pass returns_states=True"
        raise ValueError(f"the loss fails as a function of {arguments}: {first_line(error)} ({given})") from error


def first_line(error: Exception) -> str:
    """The first line of an error, with its kind unless that says nothing."""
    line = str(error).strip().partition("\n")[0].rstrip(".")
    return line if type(error) is RuntimeError else f"{type(error).__name__}: {line}"


def described(value: Any) -> str:
    """What a value is, for a message."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)} and {value.dtype}"
    if value is None:
        return "None"
    if isinstance(value, tuple | list) and type(value) in (tuple, list):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, str | int | float):
        return f"{type(value).__name__} {value!r}"
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
