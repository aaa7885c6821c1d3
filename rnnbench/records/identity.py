"""Which runs are one and the same: an equal configuration, seed included, makes equal numbers."""

from collections.abc import Hashable, Mapping
from typing import Any

NAMES_ONLY = frozenset({"name", "objective"})
"""Keys of a configuration that change no number of its run."""

CADENCE = "cadence"  # of an optimizer: defaults of other keys, which have their values by then


def run_identity(config: Any) -> Hashable:
    """What is equal for two configurations if and only if they are of the same run, under whatever name.

    Args:
        config: Resolved: a mapping, nested or flat, or a dataclass.
    """
    return tuple([pair for pair in _frozen(config) if pair[0] not in NAMES_ONLY])


def _frozen(value: Any) -> Any:
    """A value that can be hashed; 1 is 1.0, and true is not 1."""
    if isinstance(value, int | float | str) or value is None:
        return (value,) if isinstance(value, bool) else value
    if isinstance(value, list):
        return tuple([_frozen(entry) for entry in value])
    parts = value if isinstance(value, Mapping) else vars(value)
    return tuple([(key, _frozen(parts[key])) for key in sorted(parts) if key != CADENCE])
