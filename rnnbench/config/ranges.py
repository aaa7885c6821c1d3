"""Ranges in which `rnnbench tune` searches, from the file of an optimizer and from the command line."""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped] # its stubs are no dependency of ours

from rnnbench.config.errors import ConfigError
from rnnbench.config.values import show_value

RANGES = "tune"
"""Entry of an optimizer's file with its ranges; it is no key of the configuration."""

NUM_DIGITS = 3
"""Significant digits of a drawn value, or of its distance from 1."""

MOST_DRAWS = 100
"""Largest number of settings drawn for each one that is needed: short ranges of whole numbers repeat settings."""


@dataclass(frozen=True)
class Range:
    """The values among which one key is searched.

    The logarithm of the value is uniformly distributed; that of its distance from 1 if the key must be below 1.

    Attributes:
        low: Smallest value.
        high: Largest value.
        is_below_one: Whether values must be below 1, as a momentum.
        is_whole: Whether values are whole numbers.
    """

    low: float
    high: float
    is_below_one: bool = False
    is_whole: bool = False

    def value(self, share: float) -> float:
        """The value below which a share of the distribution lies, rounded to a few digits."""
        if self.is_below_one:
            distance = _between(1 - self.low, 1 - self.high, share)
            value = round(1 - _rounded(distance), 12)
        else:
            value = _between(self.low, self.high, share)
            value = round(value) if self.is_whole else _rounded(value)
        return min(max(value, self.low), self.high)


def make_range(key: str, bounds: Any, *, is_below_one: bool, is_whole: bool) -> Range:
    """Make a range from its bounds.

    Args:
        key: Dotted key, for the message.
        bounds: Smallest and largest value.
        is_below_one: As in `Range`.
        is_whole: As in `Range`.

    Raises:
        ConfigError: The bounds are not two numbers in order, or have no logarithm.
    """
    is_pair = isinstance(bounds, Sequence) and not isinstance(bounds, str) and len(bounds) == 2
    if not is_pair or not all(type(bound) in (int, float) and math.isfinite(bound) for bound in bounds):
        raise ConfigError(f"{key}: a range is [LOW, HIGH], got {show_value(bounds)}")
    low, high = bounds
    if not low < high or (high >= 1 if is_below_one else low <= 0):
        limits = "< HIGH < 1" if is_below_one else "< HIGH and 0 < LOW"
        raise ConfigError(f"{key}: a range is searched on a logarithmic scale, LOW {limits}; got {low:g} and {high:g}")
    return Range(low, high, is_below_one, is_whole)


def draw_settings(ranges: Mapping[str, Range], seed: int, number: int) -> list[dict[str, float]]:
    """Draw distinct settings; those of a smaller number are the first ones of a larger number.

    Every key has a stream of its own, so that its values do not depend on the other keys.

    Args:
        ranges: Key -> range.
        seed: Seed of the streams.
        number: Number of settings.

    Raises:
        ConfigError: The ranges hold fewer settings.
    """
    streams = {key: random.Random(f"{seed} {key}") for key in ranges}
    settings: list[dict[str, float]] = []
    for _ in range(MOST_DRAWS * number):
        drawn = {key: own.value(streams[key].random()) for key, own in ranges.items()}
        if drawn not in settings:
            settings.append(drawn)
        if len(settings) == number:
            return settings
    raise ConfigError(f"the ranges of {', '.join(ranges)} hold only {len(settings)} settings; {number} are needed")


def stated_ranges(files: Mapping[str, Path], name: str) -> dict[str, Any]:
    """The ranges that the file of an optimizer states, or that of the choice that it builds on.

    Args:
        files: Name of each choice -> its file.
        name: Name of the choice.

    Returns:
        Key without its group -> bounds, not checked; empty if none are stated.
    """
    for path in _with_bases(files, name):
        contents = _contents(path)
        if RANGES in contents:
            ranges = contents[RANGES]
            if not isinstance(ranges, Mapping):
                raise ConfigError(f"{path}: {RANGES} must be keys with ranges [LOW, HIGH], got {show_value(ranges)}")
            return dict(ranges)
    return {}


def _with_bases(files: Mapping[str, Path], name: str) -> Iterator[Path]:
    """The file of a choice, and those of the choices that its defaults list names."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop(0)
        if name in files and name not in seen:
            seen.add(name)
            yield files[name]
            waiting += [entry for entry in _contents(files[name]).get("defaults") or [] if isinstance(entry, str)]


def _contents(path: Path) -> Mapping[str, Any]:
    """The contents of a YAML file that Hydra has read already; numbers such as 1e-3 are numbers."""
    from omegaconf import OmegaConf

    try:
        contents: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    return contents if isinstance(contents, dict) else {}


def _between(first: float, last: float, share: float) -> float:
    """The number at a share of the way between two numbers on a logarithmic scale."""
    return math.exp((1 - share) * math.log(first) + share * math.log(last))


def _rounded(value: float) -> float:
    return float(f"{value:.{NUM_DIGITS}g}")
