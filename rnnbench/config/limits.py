"""Limits of a single value, from the metadata of its field: checks, and their description in words."""

import math
from collections.abc import Mapping
from typing import Any

from rnnbench.config.nearest import not_a_choice
from rnnbench.config.values import show_value

MAX_INTEGER = 2**63
"""Largest absolute value of an integer in a configuration."""

BOUNDS = {"low": ">= {:g}", "above": "> {:g}", "high": "<= {:g}", "below": "< {:g}"}


def describe_bounds(metadata: Mapping[str, Any]) -> str:
    """The bounds in words, such as `> 0 and < 1`; empty if there are none."""
    parts = []
    for name, text in BOUNDS.items():
        if name in metadata:
            bound = metadata[name]
            # Integers are shown exactly: 2**62, not 4.61169e+18.
            parts.append(text.replace("{:g}", str(bound)) if isinstance(bound, int) else text.format(bound))
    return " and ".join(parts)


def _inside(value: float, metadata: Mapping[str, Any]) -> bool:
    bounds = {name: float(metadata[name]) for name in BOUNDS if name in metadata}
    return bounds.get("low", -math.inf) <= value <= bounds.get("high", math.inf) and bounds.get(
        "above", -math.inf
    ) < value < bounds.get("below", math.inf)


def limit_problem(key: str, value: Any, metadata: Mapping[str, Any]) -> str | None:
    """The message for a value outside its limits; None if it is inside.

    Args:
        key: Dotted key of the value.
        value: Value; each entry of a list is checked, and null is always allowed.
        metadata: Metadata of the field: low, high, above, below, choices.
    """
    if isinstance(value, list):
        problems = (limit_problem(f"{key}[{index}]", entry, metadata) for index, entry in enumerate(value))
        return next((problem for problem in problems if problem), None)
    if isinstance(value, str):
        choices = metadata.get("choices")
        return not_a_choice(key, value, choices) if choices and value not in choices else None
    if value is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    bounds = describe_bounds(metadata)
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        return f"{key} must be a number of at most 64 bits, got a number of {value.bit_length():,} bits"
    if not math.isfinite(value):
        return f"{key} must be a finite number{f' {bounds}' if bounds else ''}, got {show_value(value)}"
    return None if _inside(value, metadata) else f"{key} must be {bounds}, got {show_value(value)}"
