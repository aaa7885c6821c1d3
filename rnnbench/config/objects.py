"""Configurations as objects: dataclass instances from Hydra's nodes, and plain mappings from those."""

import dataclasses
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from rnnbench.config.errors import ConfigError
from rnnbench.config.explain import explain
from rnnbench.config.probes import Probe
from rnnbench.config.schema import Choice, Config


def _choice(base: type[Choice], node: Any, key: str) -> Choice:
    """An instance of a choice; keys that its dataclass lacks become attributes beside its fields."""
    if isinstance(node, Choice):
        return node
    if not isinstance(node, dict):
        raise ConfigError(f"{key} must be keys and values, got {node!r}")
    names = {field.name for field in dataclasses.fields(base)}
    for name in ("name", "_target_"):
        if not isinstance(node.get(name), str):
            raise ConfigError(f"{key}.{name}: its file must give it")
    choice = base(**{name: value for name, value in node.items() if name in names})
    for name in node.keys() - names:
        setattr(choice, name, node[name])
    return choice


def take_hydra_out(tree: DictConfig) -> DictConfig:
    """Take Hydra's own part out of a configuration.

    Args:
        tree: Loses its key hydra.

    Returns:
        A root with that key alone.
    """
    root = OmegaConf.create(flags={"no_deepcopy_set_nodes": True})
    root["hydra"] = tree.hydra
    with open_dict(tree):
        del tree["hydra"]
    return root


def _why_not(tree: DictConfig, error: Exception) -> ConfigError:
    """Why a configuration is no object: a value that is missing explains it best, and this is slow to find."""
    try:
        missing = sorted(OmegaConf.missing_keys(tree))
    except OmegaConfBaseException as first:  # an interpolation that leads nowhere, or to a missing value
        return explain(first)
    return ConfigError(f"{missing[0]}: a value is needed") if missing else explain(error)


def to_config(tree: DictConfig) -> Config:
    """The typed configuration, every interpolation resolved.

    A choice without a dataclass becomes a `Choice` (a probe a `Probe`) with its keys as attributes.

    Args:
        tree: As Hydra composed it, without its own part.

    Raises:
        ConfigError: A value is missing, of the wrong type, or an interpolation that leads nowhere.
    """
    try:
        config = OmegaConf.to_object(tree)
    except (OmegaConfBaseException, ValueError) as error:
        raise _why_not(tree, error) from error
    if not isinstance(config, Config):
        raise ConfigError("the main configuration file has to begin its defaults list with base_schema")
    for group in ("task", "model", "init", "optim"):
        setattr(config, group, _choice(Choice, getattr(config, group), group))
    config.probe = {name: _choice(Probe, node, f"probe.{name}") for name, node in config.probe.items()}
    return config


def values_of(choice: Any) -> dict[str, Any]:
    """The keys and values of a choice, in order, those that its dataclass lacks included."""
    return dict(vars(choice))


def to_dict(config: Any) -> Any:
    """A configuration as nested dicts of plain values, as records keep it."""
    if dataclasses.is_dataclass(config):
        return {key: to_dict(value) for key, value in vars(config).items()}
    if isinstance(config, dict):
        return {key: to_dict(value) for key, value in config.items()}
    if isinstance(config, list):
        return [to_dict(value) for value in config]
    return config
