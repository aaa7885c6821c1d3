"""Converts configurations: from OmegaConf trees to dataclass instances, and from those to plain dictionaries."""

import dataclasses
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from rnnbench.config.choices.first_order import NOT_FIRST_ORDER, FirstOrderConfig
from rnnbench.config.choices.probes import ProbeConfig
from rnnbench.config.choices.schedules import no_schedule
from rnnbench.config.errors import ConfigError
from rnnbench.config.explain import explain
from rnnbench.config.option import PER_REPLICA
from rnnbench.config.schema import CHOICE_GROUPS, Choice, Config, Flossing


def _choice(base: type[Choice], node: Any, key: str) -> Choice:
    """An instance of a choice; keys without a field in its dataclass become further attributes."""
    if isinstance(node, Choice | dict) and PER_REPLICA in (vars(node) if isinstance(node, Choice) else node):
        raise ConfigError(
            f"{key}.{PER_REPLICA}: remove this key; a field that the class declares as a Tensor is per replica, and so "
            "is every key that an init's file adds"
        )
    if isinstance(node, Choice):
        return node
    if not isinstance(node, dict):
        raise ConfigError(f"{key} must be keys and values, got {node!r}")
    names = {field.name for field in dataclasses.fields(base)}
    for name in ("name", "_target_"):
        if not isinstance(node.get(name), str):
            raise ConfigError(f"{key}.{name} is missing in the file of the choice")
    choice = base(**{name: value for name, value in node.items() if name in names})
    for name in node.keys() - names:
        setattr(choice, name, node[name])
    return choice


def split_off_hydra(tree: DictConfig) -> DictConfig:
    """Move Hydra's own part of a configuration into a tree of its own.

    Args:
        tree: Complete configuration; the key hydra is removed from it.

    Returns:
        A tree with the key hydra only.
    """
    root = OmegaConf.create(flags={"no_deepcopy_set_nodes": True})
    root["hydra"] = tree.hydra
    with open_dict(tree):
        del tree["hydra"]
    return root


def _explain_failure(tree: DictConfig, error: Exception) -> ConfigError:
    """The error of a failed conversion; it names a missing value if there is one."""
    try:
        missing = sorted(OmegaConf.missing_keys(tree))
    except OmegaConfBaseException as first:  # an interpolation that leads nowhere, or to a missing value
        return explain(first)
    if not missing:
        return explain(error)
    is_implicit = missing[0] == "optim.lr" and OmegaConf.get_type(tree, "optim") is FirstOrderConfig
    hint = f"; an optimizer that is no first-order method needs the line {NOT_FIRST_ORDER}" if is_implicit else ""
    return ConfigError(f"{missing[0]}: a value is needed{hint}")


def to_config(tree: DictConfig) -> Config:
    """Convert a tree to a typed configuration, with all interpolations resolved.

    A choice without a dataclass becomes a `Choice` (a probe a `Probe`) with its keys as attributes.

    Args:
        tree: Composed configuration without Hydra's own part.

    Raises:
        ConfigError: A value is missing or has the wrong type, or an interpolation cannot be resolved.
    """
    try:
        config = OmegaConf.to_object(tree)
    except (OmegaConfBaseException, ValueError) as error:
        raise _explain_failure(tree, error) from error
    if not isinstance(config, Config):
        raise ConfigError("the defaults list of the main configuration file must begin with base_schema")
    for group in CHOICE_GROUPS:
        setattr(config, group, _choice(Choice, getattr(config, group), group))
    config.probe = {name: _choice(ProbeConfig, node, f"probe.{name}") for name, node in config.probe.items()}
    return config


def values_of(choice: Any) -> dict[str, Any]:
    """All keys and values of a choice in order, including keys without a field in its dataclass."""
    return dict(vars(choice))


def to_dict(config: Any) -> Any:
    """A configuration as nested dictionaries of plain values, as records keep it: without what does nothing.

    So records of runs without them are the same as before there were schedules and flossing.
    """
    if dataclasses.is_dataclass(config):
        kept = {key: value for key, value in vars(config).items() if value not in (no_schedule(), Flossing())}
        return {key: to_dict(value) for key, value in kept.items()}
    if isinstance(config, dict):
        return {key: to_dict(value) for key, value in config.items()}
    if isinstance(config, list):
        return [to_dict(value) for value in config]
    return config
