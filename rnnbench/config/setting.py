"""Sets one value of a composed configuration by an override."""

from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from rnnbench.config.errors import ConfigError
from rnnbench.config.explain import explain, has_key, unknown_key, wrong_type
from rnnbench.config.overrides import ZIP, refuse_sweep, zipped_keys


def check_key(override: Override, tree: DictConfig, groups: Sequence[str]) -> None:
    """Check that the key of an override exists, or that it may be added; its values are not checked.

    Args:
        override: Override of a key, with one or several values.
        tree: Configuration in which the key is looked up.
        groups: Names of the groups, as suggestions for an unknown key.

    Raises:
        ConfigError: The key does not exist.
    """
    key = override.key_or_group
    inside_hydra = key.startswith("hydra.")
    if not has_key(tree, key) and not (inside_hydra and (_adds(override) or _is_open(tree, key))):
        raise unknown_key(key, tree, groups)


def set_value(override: Override, tree: DictConfig, groups: Sequence[str]) -> None:
    """Set one value.

    Args:
        override: Override of a key.
        tree: Configuration, which is modified.
        groups: Names of the groups, as suggestions for an unknown key.

    Raises:
        ConfigError: The key does not exist or cannot be removed, it has several values, or the value has the wrong
            type. A key that does not exist is reported first.
    """
    key = override.key_or_group
    if override.is_delete():
        probes = [f"~probe.{probe}" for probe in tree.probe]
        if f"~{key}" not in probes:
            raise ConfigError(f"{key} cannot be removed; these can be: {', '.join(probes) or 'none'}")
        with open_dict(tree.probe):
            del tree.probe[key.removeprefix("probe.")]
        return
    check_key(override, tree, groups)
    refuse_sweep(override)
    inside_hydra, value = key.startswith("hydra."), override.value()
    if key == ZIP:
        zipped_keys(value)
    if override.is_add() and has_key(tree, key) and not (inside_hydra and isinstance(value, dict | list)):
        raise ConfigError(f"{override.input_line}: the key already exists; write {str(override.input_line)[1:]}")
    if not inside_hydra:
        _check_value(tree, key, value, groups)
    try:
        OmegaConf.update(tree, key, value, merge=True, force_add=inside_hydra and _adds(override))
    except (OmegaConfBaseException, ValueError) as error:
        raise explain(error, key) from error


def _check_value(tree: DictConfig, key: str, value: Any, groups: Sequence[str]) -> None:
    """Check the type of a value, and that the keys inside it exist."""
    if isinstance(value, dict) and isinstance(OmegaConf.select(tree, key), DictConfig):
        for name, inner in value.items():
            if not has_key(tree, f"{key}.{name}"):
                raise unknown_key(f"{key}.{name}", tree, groups)
            _check_value(tree, f"{key}.{name}", inner, groups)
        return
    problem = wrong_type(tree, key, value)
    if problem:
        raise ConfigError(problem)


def _adds(override: Override) -> bool:
    """Whether an override may add its key."""
    return override.is_add() or override.is_force_add()


def _is_open(tree: DictConfig, key: str) -> bool:
    """Whether a new key may be added to the mapping that it would lie in."""
    parent = OmegaConf.select(tree, key.rpartition(".")[0])
    return isinstance(parent, DictConfig) and OmegaConf.is_struct(parent) is False
