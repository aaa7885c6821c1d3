"""A configuration whose keys are attributes."""

from collections.abc import Iterator, Mapping
from typing import Any

from rnnbench.config.nearest import did_you_mean, nearest_keys


class Settings(Mapping[str, Any]):
    """Keys and values of a configuration, or of a part of it; a mapping whose keys can be read as attributes too.

    Args:
        values: Key -> plain value, or a mapping for a part.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getitem__(self, key: str) -> Any:
        """The value of a key, or the part of this name."""
        value = self._values[key]
        return Settings(value) if isinstance(value, Mapping) else value

    def __getattr__(self, name: str) -> Any:
        """The value of a key, or the part of this name."""
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._values:
            near = did_you_mean(nearest_keys(name, self)) or f"; the keys are {', '.join(self)}"
            raise AttributeError(f"there is no key {name}{near}")
        return self[name]

    def __iter__(self) -> Iterator[str]:
        """The keys."""
        return iter(self._values)

    def __len__(self) -> int:
        """The number of keys."""
        return len(self._values)

    def __dir__(self) -> list[str]:
        """What can be written after the dot."""
        return [*super().__dir__(), *self]

    def __repr__(self) -> str:
        """The keys and values, as a dictionary."""
        return repr(dict(self))
