"""Identity of a run: equal configurations, seed included, give equal numbers."""

from collections.abc import Hashable, Mapping
from typing import Any

NAMES_ONLY = frozenset({"name", "objective"})
"""Configuration keys that do not change the numbers of a run."""

DEFAULTS_OF_OTHERS = frozenset({"cadence", "input_weight_scale"})
"""Keys of optimizers and tasks that are defaults of other keys; these are resolved already."""


def run_identity(config: Any) -> Hashable:
    """Return a value that is equal for two configurations if and only if they describe the same run.

    Args:
        config: Resolved configuration: a mapping, nested or flat, or a dataclass.
    """
    return tuple([pair for pair in _frozen(config) if pair[0] not in NAMES_ONLY])


def _frozen(value: Any) -> Any:
    """Convert a value to a hashable one; 1 equals 1.0, and true does not equal 1."""
    if isinstance(value, int | float | str) or value is None:
        return (value,) if isinstance(value, bool) else value
    if isinstance(value, list):
        return tuple([_frozen(entry) for entry in value])
    parts = value if isinstance(value, Mapping) else vars(value)
    return tuple([(key, _frozen(parts[key])) for key in sorted(parts) if key not in DEFAULTS_OF_OTHERS])
