"""Hydra overrides: parsing with one-line errors, and expansion into the jobs of a sweep."""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

from rnnbench.config.errors import ConfigError
from rnnbench.config.values import show_value

ZIP = "hydra.sweeper.zip"
MAX_JOBS = 10_000  # a larger sweep is probably a mistake such as range(0,1e9)
SPECIAL = "quote a value with special characters twice, as in \"name='a,b'\""


def parse_override(line: str, loader: ConfigLoader) -> Override:
    """Parse one override.

    Args:
        line: Override as typed, `KEY=VALUE` or `~KEY`.
        loader: Hydra's loader of configurations, used by `glob` sweeps.

    Raises:
        ConfigError: The line is not a valid override.
    """
    key = line.partition("=")[0]
    if ("=" not in line and not line.startswith("~")) or not re.sub(r"^[+~]*|@.*", "", key).strip():
        raise ConfigError(f"{line!r} is not KEY=VALUE, as in optim.lr=0.1 (see rnnbench train --help)")
    try:
        (override,) = OverridesParser.create(loader).parse_overrides([line])
    except HydraException as error:
        lines = str(error).partition("\nSee http")[0].removeprefix(f"Error parsing override '{line}'").split("\n")
        reason = next((text for text in lines if text.strip()), "")
        reason = re.sub(
            r" expecting \{.*\}|LexerNoViableAltException: ", "", reason
        )  # a list of all tokens does not help
        raise ConfigError(f"cannot read {line!r}: {reason}; {SPECIAL}") from error
    return override


def refuse_sweep(override: Override) -> None:
    """Raise an error if an override of a single run has several values.

    Raises:
        ConfigError: The override has several values.
    """
    if override.is_sweep_override():
        key, values = override.get_key_element(), override.get_value_string()
        needed = "which needs -m (in Python: rnnbench.sweep)"
        raise ConfigError(f"{key}={values} has several values, {needed}; a list is written {key}=[{values}]")


def refuse_keys(overrides: Iterable[Override], keys: tuple[str, ...], reason: str) -> None:
    """Raise an error if an override sets a key that would have no effect.

    Args:
        overrides: Parsed overrides.
        keys: The keys, or their beginnings.
        reason: End of the message, after the key.

    Raises:
        ConfigError: One does.
    """
    for override in overrides:
        if override.key_or_group.startswith(keys):
            raise ConfigError(f"{override.key_or_group} {reason}")


def zipped_keys(given: Any) -> list[list[str]]:
    """The lists of keys whose values are taken together.

    Args:
        given: Value of `ZIP`: a list of keys, or of such lists.

    Raises:
        ConfigError: It is something else, or a list has fewer than two keys.
    """
    is_list = isinstance(given, list)
    lists = given if is_list and any(isinstance(entry, list) for entry in given) else [given] if given != [] else []
    for keys in lists:
        if not isinstance(keys, list) or len(keys) < 2 or not all(isinstance(key, str) for key in keys):
            raise ConfigError(
                f"{ZIP} must be a list of two or more keys, as in [task.sequence_length,optim.lr], or a list of such "
                f"lists, got {show_value(given)}"
            )
    return lists


def _alternatives(override: Override) -> list[str]:
    """Expand an override into overrides with one value each."""
    if not override.is_sweep_override():
        plain = f"{override.get_key_element()}={override.get_value_element_as_str()}"  # as Hydra's basic sweeper has it
        return [str(override.input_line) if override.is_hydra_override() else plain]
    if override.is_hydra_override():
        raise ConfigError(f"{override.key_or_group}: Hydra's own keys cannot be swept")
    if not override.is_discrete_sweep():
        raise ConfigError(f"{override.input_line}: only lists and ranges can be swept here (a,b or range)")
    key = override.get_key_element()
    try:
        values = list(itertools.islice(override.sweep_string_iterator(), MAX_JOBS + 1))
    except (HydraException, ValueError) as error:
        raise ConfigError(f"{override.input_line}: {error}") from error
    if not values:
        raise ConfigError(f"{override.input_line}: the sweep has no values")
    return [f"{key}={value}" for value in values]


def expand_sweep(overrides: Sequence[Override], zipped: Sequence[Sequence[str]] = ()) -> list[list[str]]:
    """The jobs of a sweep, in Hydra's order: the last key varies fastest.

    Args:
        overrides: Parsed overrides; if a key has two, the last one counts, as in Hydra's basic sweeper.
        zipped: Keys whose values are taken together: the first of each, then the second of each. They vary in the place
            of the first of them. Every other key is combined with all values of the others.

    Returns:
        The overrides of each job.

    Raises:
        ConfigError: A value cannot be swept, keys cannot be zipped, or there are too many jobs.
    """
    by_key = {override.get_key_element(): _alternatives(override) for override in overrides}
    _check_zipped(by_key, zipped)
    together = {key: keys for keys in zipped for key in keys}
    axes = dict.fromkeys(tuple(together.get(key, (key,))) for key in by_key)
    steps = [list(zip(*(by_key[key] for key in axis), strict=True)) for axis in axes]
    jobs = [
        list(itertools.chain.from_iterable(job)) for job in itertools.islice(itertools.product(*steps), MAX_JOBS + 1)
    ]
    if len(jobs) > MAX_JOBS:
        raise ConfigError(f"the sweep has more than {MAX_JOBS} jobs")
    return jobs


def _check_zipped(by_key: Mapping[str, Sequence[str]], zipped: Sequence[Sequence[str]]) -> None:
    """Check that zipped keys have equally many values, more than one, and are zipped once.

    Args:
        by_key: Key -> its overrides with one value each.
        zipped: Keys whose values are taken together.
    """
    every = [key for keys in zipped for key in keys]
    for key in every:
        if every.count(key) > 1:
            raise ConfigError(f"{ZIP} names {key} twice")
        if len(by_key.get(key, ())) < 2:
            raise ConfigError(f"{ZIP}: {key} has no values to zip; give it several, as in {key}=A,B")
    for keys in zipped:
        amounts = [len(by_key[key]) for key in keys]
        if len(set(amounts)) > 1:
            words = ", ".join(f"{key} has {amount}" for key, amount in zip(keys, amounts, strict=True))
            raise ConfigError(f"{ZIP} needs equally many values of each key: {words}")


def follow_swept_groups(overrides: Iterable[Override], groups: Iterable[str]) -> Iterator[str]:
    """Rewrite overrides so that keys of a swept choice can be set, as in `-m optim=sgd,nag optim.lr=0.1`.

    Hydra composes the configuration of the sweep itself from the overrides that are not swept, hence with the default
    choice of the group, which may not have the key. So such an override becomes a sweep with one value.

    Args:
        overrides: Parsed overrides.
        groups: Groups whose choices are swept.
    """
    prefixes = tuple(f"{group}." for group in groups)
    for override in overrides:
        plain = not override.is_sweep_override() and not override.is_delete()
        if prefixes and plain and override.key_or_group.startswith(prefixes):
            yield f"{override.get_key_element()}=choice({override.get_value_string()})"
        else:
            yield str(override.input_line)


def quoted(value: str) -> str:
    """Quote a string as the value of an override, whatever characters it contains."""
    return QuotedString(text=value, quote=Quote.single).with_quotes()
