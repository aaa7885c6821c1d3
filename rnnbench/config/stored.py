"""Configurations out of records: a run that goes on does so as it was configured, not as conf/ is by now."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from rnnbench.config import schema
from rnnbench.config.errors import ConfigError
from rnnbench.config.nearest import did_you_mean, nearest_keys
from rnnbench.config.register import CLASSES
from rnnbench.config.schema import Config
from rnnbench.config.validate import validate

RESUMABLE = ("budget.updates", "budget.sequences", "budget.minutes", "stop_when_solved")
"""Keys that a run may be given anew when it goes on: none of them changes a number of the updates."""


def schema_names(config: Config) -> dict[str, str]:
    """The dataclass of every choice, by the choice's dotted key, as `config_from` wants it."""
    choices = {group: getattr(config, group) for group in ("task", "model", "init", "optim")}
    choices |= {f"probe.{name}": probe for name, probe in config.probe.items()}
    return {key: type(choice).__name__ for key, choice in choices.items()}


def config_from(tree: Mapping[str, Any], names: Mapping[str, str]) -> Config:
    """The configuration that `to_dict` and `schema_names` took apart.

    Args:
        tree: From `rnnbench.config.objects.to_dict`.
        names: From `schema_names`.
    """
    parts: dict[str, Any] = dict(tree)
    for key in names:
        if "." not in key:
            parts[key] = _fill(CLASSES[names[key]], tree[key])
    parts["probe"] = {name: _fill(CLASSES[names[f"probe.{name}"]], values) for name, values in tree["probe"].items()}
    parts["budget"] = schema.Budget(**tree["budget"])
    parts["record"] = schema.Record(**tree["record"])
    return Config(**parts)


def _fill(made_by: type[Any], values: Mapping[str, Any]) -> Any:
    """An instance of a choice's dataclass; keys that it lacks become attributes."""
    fields = {field.name: field for field in dataclasses.fields(made_by)}
    known = {name: value for name, value in values.items() if name in fields}
    if isinstance(known.get("cadence"), Mapping):
        known["cadence"] = schema.Cadence(**known["cadence"])
    made = made_by(**known)
    for name in values.keys() - fields.keys():
        setattr(made, name, values[name])
    return made


def with_overrides(config: Config, overrides: Sequence[str]) -> Config:
    """The configuration with another budget.

    Args:
        config: Of the run that goes on.
        overrides: KEY=VALUE of the keys in `RESUMABLE`.

    Raises:
        ConfigError: Another key, or a value that cannot be.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    budget, stop = dataclasses.replace(config.budget), config.stop_when_solved
    for line in overrides:
        key, equals, value = line.partition("=")
        if key not in RESUMABLE or not equals:
            near = did_you_mean(nearest_keys(key, RESUMABLE)) or f"; what can be given is {', '.join(RESUMABLE)}"
            raise ConfigError(f"{key} cannot change when a run goes on{near}")
        part, _, name = key.rpartition(".")
        node = OmegaConf.structured(schema.Budget if part else Config)
        try:
            OmegaConf.update(node, name, OmegaConf.create(f"value: {value}").value)
            typed = OmegaConf.select(node, name)
        except OmegaConfBaseException as error:
            raise ConfigError(f"{key}: {str(error).splitlines()[0]}") from error
        if part:
            setattr(budget, name, typed)
        else:
            stop = typed
    changed = dataclasses.replace(config, budget=budget, stop_when_solved=stop)
    validate(changed)
    return changed
