"""Fields of the schema: default, description and limits."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import field, fields, is_dataclass
from typing import Any

PER_REPLICA = "per_replica"
"""In the metadata of a field: whether replicas may differ in it. In a choice of a record: which of its own keys."""


def option(
    default: Any = NO_DEFAULT,
    help: str = "",
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: Iterable[str] | None = None,
    per_replica: bool = False,
) -> Any:
    """A field of the schema.

    Args:
        default: Default value; a list is copied.
        help: Description in one sentence, with the unit.
        low: Smallest allowed value.
        high: Largest allowed value.
        above: Strict lower bound of the value.
        below: Strict upper bound of the value.
        choices: Allowed values.
        per_replica: Whether the replicas of a batched run may differ in this key.
    """
    limits = {"low": low, "high": high, "above": above, "below": below, "choices": choices and tuple(choices)}
    metadata = {"help": help, PER_REPLICA: per_replica, **{k: v for k, v in limits.items() if v is not None}}
    return _field(default, metadata)


def other_default(base: type[Any], name: str, default: Any, help: str | None = None) -> Any:
    """A field of a base class with another default and the same limits.

    Args:
        base: Base class, a dataclass.
        name: Name of the field.
        default: New default; a list or a dataclass is copied.
        help: New description; None: that of the base class.
    """
    (metadata,) = (field.metadata for field in fields(base) if field.name == name)
    return _field(default, {**metadata, "help": metadata["help"] if help is None else help})


def _field(default: Any, metadata: Mapping[str, Any]) -> Any:
    if isinstance(default, list) or is_dataclass(default):
        return field(default_factory=lambda: copy.deepcopy(default), metadata=metadata)
    return field(default=default, metadata=metadata)
