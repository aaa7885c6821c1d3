"""Decorators that register the dataclasses of the schema under the names that YAML files refer to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Declaration:
    """One schema; a YAML file uses it by `/schema/GROUP/NAME@_here_` in its defaults list.

    Attributes:
        node: Dataclass of the schema, one field per key.
        is_open: Whether a file that uses the schema may have further keys.
        values: Defaults that differ from those of the dataclass.
    """

    node: type[Any]
    is_open: bool
    values: dict[str, Any]


DECLARED: dict[str, dict[str, Declaration]] = {}
"""Group -> name -> schema, for all modules imported so far."""


def choice(group: str, name: str, /, **values: Any) -> Callable[[type[T]], type[T]]:
    """Declare a dataclass as the schema of choices that have exactly these keys.

    Args:
        group: Group of the configuration.
        name: Name of the schema in this group; several choices may use it.
        values: Defaults that differ from those of the dataclass.
    """
    return _declare(group, name, is_open=False, values=values)


def shared(group: str, name: str) -> Callable[[type[T]], type[T]]:
    """Declare a dataclass as the common schema of a group; a file that uses it may have further keys.

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
