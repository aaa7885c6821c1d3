"""Checks that an object has what its base class promises, before anything uses it."""

import inspect
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from rnnbench.config.classes import base_of
from rnnbench.config.errors import ConfigError
from rnnbench.config.values import describe_type

if TYPE_CHECKING:
    from rnnbench.models.base import Model
    from rnnbench.tasks.base import Task

MAX_PARAMETERS = 10**7
"""Largest number of parameters of a model whose step is tried before its memory is checked."""

SIZES = ("input_size", "output_size", "hidden_size", "num_steps", "num_outputs")
NUM_REPLICAS, NUM_SEQUENCES = 2, 3


def check_attributes(key: str, made: Any) -> None:
    """Check that an object has every attribute that its base class declares, of the declared type.

    The base class is that of its group, or a subclass of it in the same module.

    Args:
        key: Dotted key of the choice.
        made: The object.

    Raises:
        ConfigError: An attribute is missing or has another type; the message says what it is.
    """
    name, module = type(made).__name__, base_of(key).__module__
    base = next(kind for kind in type(made).__mro__ if kind.__module__ == module)
    for attribute, hint in typing.get_type_hints(base).items():
        if attribute.startswith("_"):
            continue
        about = _descriptions(base).get(attribute, "")
        if not hasattr(made, attribute):
            raise ConfigError(f"{key}: {name} has no attribute {attribute}{about and f' ({about})'}")
        value = getattr(made, attribute)
        if not _is_of(value, hint):
            wanted = _describe(hint)
            raise ConfigError(
                f"{key}: {name}.{attribute} must be {wanted}, got {_show(value)}{about and f' ({about})'}"
            )
        if attribute in SIZES and value < 1:
            raise ConfigError(f"{key}: {name}.{attribute} must be >= 1, got {value}")


def check_task(task: "Task") -> None:
    """Check that a task's loss exists, and that its scores are possible.

    Raises:
        ConfigError: They are not.
    """
    from rnnbench.losses import loss_of

    name = type(task).__name__
    try:
        loss_of(task.loss)
    except ValueError as error:
        raise ConfigError(f"task: {name}.{error}") from error
    if not math.isfinite(task.baseline_loss):
        raise ConfigError(f"task: {name}.baseline_loss must be finite, got {task.baseline_loss}")
    for attribute in ("baseline_error_rate", "solved_error_rate"):
        if not 0 <= getattr(task, attribute) <= 1:
            raise ConfigError(f"task: {name}.{attribute} must be in [0, 1], got {getattr(task, attribute)}")


def check_model(model: "Model") -> None:
    """Check a model's parameters, and try its step on a few sequences, if it implements one.

    Raises:
        ConfigError: A parameter has a wrong shape or kind, or the step returns something else than the next state.
    """
    import torch

    from rnnbench.models.base import Model
    from rnnbench.models.parameters import check_layout

    try:
        check_layout(model.layout, model.hidden_size)
    except ValueError as error:
        raise ConfigError(f"model: {type(model).__name__}: {error}") from error
    if type(model).step is Model.step or model.num_parameters > MAX_PARAMETERS:
        return
    for dtype in (torch.float32, torch.float64):
        parameters = model.parameters(torch.zeros(NUM_REPLICAS, model.num_parameters, dtype=dtype))
        step_parameters = {name: parameters[name] for name in model.step_parameters}
        size = (NUM_REPLICAS, NUM_SEQUENCES, model.hidden_size)
        state = tuple(torch.zeros(size, dtype=dtype) for _ in range(model.num_state_parts))
        inputs = torch.zeros(NUM_REPLICAS, NUM_SEQUENCES, model.input_size, dtype=dtype)
        _check_state(model, model.step(model.effective_parameters(step_parameters), state, inputs), size, dtype)


def _check_state(model: "Model", state: Any, size: tuple[int, ...], dtype: Any) -> None:
    """Check what a step has returned."""
    from torch import Tensor

    step, parts = f"{type(model).__name__}.step", model.num_state_parts
    if not isinstance(state, tuple) or len(state) != parts or not all(isinstance(part, Tensor) for part in state):
        one = "a tuple of one tensor, as in return (hidden,)" if parts == 1 else f"a tuple of {parts} tensors"
        raise ConfigError(f"model: {step} must return {one}, got {_show(state)}")
    for part in state:
        if part.shape != size or part.dtype != dtype:
            raise ConfigError(
                f"model: {step} must return tensors (replicas, sequences, n) = {size} of {dtype}, the type of the "
                f"parameters; got {tuple(part.shape)} of {part.dtype}"
            )


def _is_of(value: Any, hint: Any) -> bool:
    """Whether a value has the type of an annotation."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin is typing.ClassVar:
        return _is_of(value, arguments[0])
    if origin in (types.UnionType, typing.Union):
        return any(_is_of(value, part) for part in arguments)
    if hint in (int, float):
        return isinstance(value, Integral if hint is int else Real) and not isinstance(value, bool)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(_is_of(inner, arguments[1]) for inner in value.values())
    if isinstance(origin, type) and issubclass(origin, Sequence):
        is_list = isinstance(value, Sequence) and not isinstance(value, str)
        return is_list and all(_is_of(inner, arguments[0]) for inner in value)
    return not isinstance(hint, type) or isinstance(value, hint)


def _describe(hint: Any) -> str:
    """An annotation in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.ClassVar:
        return _describe(arguments[0])
    if origin in (types.UnionType, typing.Union):
        return " or ".join("None" if part is type(None) else _describe(part) for part in arguments)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"a dictionary, each value {_describe(arguments[1])}"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return f"a tuple, each entry {_describe(arguments[0])}"
    simple = describe_type(hint)
    return f"a {hint.__name__}" if simple == "a value" and isinstance(hint, type) else simple


def _show(value: Any) -> str:
    """A value, or its type if it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"a {type(value).__name__}"


def _descriptions(base: type[Any]) -> dict[str, str]:
    """What the docstring of a base class says of each attribute, without the final stop."""
    _, _, section = (inspect.getdoc(base) or "").partition("\nAttributes:\n")
    entries = re.findall(r"^    (\w+): ((?:.+\n?(?:     +.+\n?)*))", section, re.MULTILINE)
    return {name: _first_letter_small(" ".join(text.split()).rstrip(".")) for name, text in entries}


def _first_letter_small(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
