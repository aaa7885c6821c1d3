"""The state of a torch optimizer as named tensors with one row per replica, and back.

A torch optimizer keeps, for each parameter and each parameter group, nested lists, tuples and dicts of tensors, numbers
and other values. Tensors and numbers change from step to step and are stored. The other values (names, types, None) and
the nesting do not; they are copied from a template, the state after a few trial steps.

Letters: k replicas whose parameters lie in the same tensors.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

Path = tuple[str | int, ...]
"""Keys and indices that lead to an entry of a nested state."""

NUMBERS: Mapping[type, str] = {bool: "bool", int: "int", float: "float"}
"""Types of numbers, and how the names of their tensors end."""


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The entries of a nested state that are no containers, with their paths."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    else:
        yield path, value


def stored(value: Any) -> dict[str, Tensor]:
    """The tensors and numbers of a nested state, by name; a number is a float64 tensor without axes."""
    named = {}
    for path, leaf in leaves(value):
        if isinstance(leaf, Tensor):
            named[_name(path)] = leaf.detach()
        elif type(leaf) in NUMBERS:
            named[f"{_name(path)}:{NUMBERS[type(leaf)]}"] = torch.tensor(leaf, dtype=torch.float64)
    return named


def is_number(name: str) -> bool:
    """Whether a name of `stored` is that of a number."""
    return name.rpartition(":")[2] in NUMBERS.values()


def flat(template: Any, value: Any) -> list[Any]:
    """The tensors and numbers of a nested state of a template's form, in the order of `stored(template)`."""
    found: list[Any] = []
    _collect(template, value, found)
    return found


def _collect(template: Any, value: Any, found: list[Any]) -> None:
    if isinstance(template, Tensor) or type(template) in NUMBERS:
        found.append(value)
    elif isinstance(template, Mapping):
        for key, inner in template.items():
            _collect(inner, value[key], found)
    elif isinstance(template, list | tuple):
        for inner, own in zip(template, value, strict=True):
            _collect(inner, own, found)


def tensors_of(value: Any) -> list[Tensor]:
    """The tensors of a nested state, in the order of `leaves`."""
    return [leaf for _, leaf in leaves(value) if isinstance(leaf, Tensor)]


def map_tensors(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """The same nested state with other tensors, made one by one in the order of `leaves`."""
    if isinstance(value, Mapping):
        return {key: map_tensors(function, inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map_tensors(function, inner) for inner in value)
    return function(value) if isinstance(value, Tensor) else value


def with_tensors(value: Any, tensors: Iterator[Tensor]) -> Any:
    """The same nested state with other tensors, taken in the order of `leaves`."""
    return map_tensors(lambda _: next(tensors), value)


def are_contiguous(value: Any) -> bool:
    """Whether all tensors of a nested state are contiguous."""
    if isinstance(value, Mapping):
        return all(are_contiguous(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return all(are_contiguous(inner) for inner in value)
    return not isinstance(value, Tensor) or value.is_contiguous()


def restored(template: Any, named: Mapping[str, Tensor], path: Path = ()) -> Any:
    """A nested state of a template's form that holds other tensors and numbers.

    Args:
        template: Nested state with the same containers.
        named: Tensors and numbers by name, from `stored`; they become part of the state.
        path: Path of the template in the whole state.

    Raises:
        KeyError: A tensor or number of the template is missing.
    """
    if isinstance(template, Mapping):
        return {key: restored(inner, named, (*path, key)) for key, inner in template.items()}
    if isinstance(template, list | tuple):
        return type(template)(restored(inner, named, (*path, index)) for index, inner in enumerate(template))
    name = _name(path)
    if isinstance(template, Tensor):
        return named[name]
    if type(template) in NUMBERS:
        kind = type(template)
        return kind(named[f"{name}:{NUMBERS[kind]}"].item())
    return template


def contiguous(value: Any) -> Any:
    """The same nested state with contiguous tensors: the bits of a product may depend on how its factors lie."""
    return map_tensors(Tensor.contiguous, value)


def without_tensors(template: Any) -> Any:
    """The same nested state with empty tensors, which keeps no memory."""
    return map_tensors(lambda _: torch.empty(0), template)


def _name(path: Path) -> str:
    return "/".join(map(str, path))
