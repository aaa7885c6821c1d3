"""One field of the schema: its default, a sentence of help, its limits."""

from collections.abc import Iterable
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import field
from typing import Any


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
        default: Its default; a list is copied.
        help: One sentence on what it is, with its unit.
        low: Smallest value allowed.
        high: Largest value allowed.
        above: The value has to be greater than this.
        below: The value has to be less than this.
        choices: The values allowed.
        per_replica: Whether the replicas of one batched run may differ in it.
    """
    limits = {"low": low, "high": high, "above": above, "below": below, "choices": choices and tuple(choices)}
    metadata = {"help": help, "per_replica": per_replica, **{k: v for k, v in limits.items() if v is not None}}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)
