"""Registers the schema with Hydra, for `/schema/GROUP/NAME@_here_` in the defaults list of a YAML file."""

import importlib
import pkgutil
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from rnnbench.config import choices, schema
from rnnbench.config.cadence import register_cadence
from rnnbench.config.choice_files import register_choice_files
from rnnbench.config.declaration import DECLARED
from rnnbench.config.noise_scale import register_noise_scale


def import_choices() -> None:
    """Import every module of `rnnbench.config.choices`, for the schemas that it declares."""
    for module in pkgutil.iter_modules(choices.__path__):
        importlib.import_module(f"{choices.__name__}.{module.name}")


import_choices()

CLASSES: dict[str, type[Any]] = {
    declared.node.__name__: declared.node for schemas in DECLARED.values() for declared in schemas.values()
}
"""Name of a dataclass -> the dataclass, for the dataclasses of all choices."""


def register_schema() -> None:
    """Store every schema in Hydra's ConfigStore and register the resolvers; further calls have no effect."""
    register_cadence()
    register_noise_scale()
    register_choice_files()
    store = ConfigStore.instance()
    if "schema" in store.repo:
        return
    # Hydra copies what it searches, and with it this one store of the whole process: a fifth of a composition.
    ConfigStore.__deepcopy__ = lambda self, memo: self  # type: ignore[attr-defined]
    store.store(name="base_schema", node=schema.Config)
    for group, schemas in DECLARED.items():
        for name, declared in schemas.items():
            node = OmegaConf.structured(
                declared.node(**declared.values), flags={"struct": False} if declared.is_open else None
            )
            store.store(group=f"schema/{group}", name=name, node=node)
