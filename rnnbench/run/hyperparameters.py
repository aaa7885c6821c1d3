"""The configuration of a job as TensorBoard's table of runs shows it."""

from collections.abc import Mapping, Sequence
from typing import Any


def hyperparameters(tree: Mapping[str, Any], shown_first: Sequence[str]) -> dict[str, Any]:
    """The scalars of a configuration by dotted key, in the order of the table's columns.

    Args:
        tree: A nested configuration.
        shown_first: Keys, or groups, that come first.
    """
    flat = flatten(tree)
    first = [*shown_first, *(f"{key}.name" for key in shown_first)]
    return {key: flat[key] for key in dict.fromkeys([*first, *flat]) if key in flat}


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Scalars of a nested configuration by dotted key; lists as text, null as "null"."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            is_scalar = isinstance(value, bool | int | float | str)
            flat[f"{prefix}{key}"] = value if is_scalar else "null" if value is None else str(value)
    return flat
