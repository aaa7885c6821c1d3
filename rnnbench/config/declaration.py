"""Declares the dataclasses of the schema, each beside itself, under the names by which YAML files build on them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Declaration:
    """One schema that a file may build on, by `/schema/GROUP/NAME@_here_` in its defaults list.

    Attributes:
        node: Its dataclass, one field per key.
        is_open: Whether a file that builds on it may have keys of its own.
        values: Defaults that differ from those of the dataclass.
    """

    node: type[Any]
    is_open: bool
    values: dict[str, Any]


DECLARED: dict[str, dict[str, Declaration]] = {}
"""Group -> name -> schema, of all modules imported so far."""


def choice(group: str, name: str, /, **values: Any) -> Callable[[type[T]], type[T]]:
    """Declare a dataclass as the schema of one choice, which has these keys and no others.

    Args:
        group: Group of the configuration.
        name: Name of the schema in this group; several choices may build on it.
        values: Defaults that differ from those of the dataclass.
    """
    return _declare(group, name, is_open=False, values=values)


def shared(group: str, name: str) -> Callable[[type[T]], type[T]]:
    """Declare a dataclass as what choices of a group share; a file that builds on it may have keys of its own.

    Args:
        group: Group of the configuration.
        name: Name of the schema in this group.
    """
    return _declare(group, name, is_open=True, values={})


def _declare(group: str, name: str, *, is_open: bool, values: dict[str, Any]) -> Callable[[type[T]], type[T]]:
    def declare(node: type[T]) -> type[T]:
        DECLARED.setdefault(group, {})[name] = Declaration(node, is_open, values)
        return node

    return declare
