"""Values and types in words, for messages."""

import dataclasses
import types
import typing
from typing import Any

SIMPLE = {int: "a whole number", float: "a number", bool: "true or false", str: "text", list: "a list", dict: "keys"}


def describe_type(hint: Any) -> str:
    """A type in words, such as "a list, each entry a number"."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return " or ".join("null" if part is type(None) else describe_type(part) for part in arguments)
    if origin is list:
        return f"a list, each entry {describe_type(arguments[0])}"
    if dataclasses.is_dataclass(hint):
        return "keys and values"
    return SIMPLE.get(hint, "a value")


def show_value(value: Any) -> str:
    """A value as it is typed on the command line."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else repr(value)
