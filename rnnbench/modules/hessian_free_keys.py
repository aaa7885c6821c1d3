"""The keys of Hessian-free on a module: those of `optim=hf`, without the keys of batches that a run draws itself."""

import numbers
import typing
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch

from rnnbench.config.choices.hessian_free import HfConfig, conflict
from rnnbench.config.errors import ConfigError
from rnnbench.config.limits import limit_problem
from rnnbench.config.nearest import did_you_mean, nearest_keys, no_such_key
from rnnbench.config.values import describe_type, show_value
from rnnbench.optim.hessian_free import HessianFree

OTHER_DEFAULTS: Mapping[str, Any] = {
    "structural_damping": 0.0,  # needs the hidden states
    "max_cg_factor": 1,  # which damping is low depends on the scale of the loss
    "backtracking_batch": "gradient",  # "fresh" needs a batch of the caller
    "line_search_batch": "gradient",
}
"""Defaults that differ from those of `optim=hf`."""

FIXED: Mapping[str, Any] = {"structural_normalization": "batch_time"}
"""Keys that have one value here: a module does not say which dimensions of its states are steps."""

_GROUP = "optim."  # in the names of the command line
_BATCHES = ("gradient_batch_size", "curvature_batch_size")
_OF_RUNS = ("name", "_target_", "cadence")
_FIELDS = {field.name: field for field in fields(HfConfig) if field.name not in _OF_RUNS}
KEYS = tuple(name for name in _FIELDS if name not in (*_BATCHES, *FIXED))
"""Names of all keys."""


def build_hessian_free(keys: Mapping[str, Any]) -> HessianFree:
    """Build the optimizer of one replica.

    Args:
        keys: Values that differ from the defaults.

    Raises:
        ConfigError: A key does not exist, or a value is not allowed.
    """
    hints = typing.get_type_hints(HfConfig)
    given = {key: _plain(value) for key, value in keys.items()}
    for key, value in given.items():
        if key in _BATCHES:
            raise ConfigError(f"{key} is no key here: the batches are given to step()")
        if key not in KEYS:
            raise ConfigError(_unknown(key))
        if not _fits(value, hints[key]):
            raise ConfigError(f"{key} must be {describe_type(hints[key])}, got {show_value(value)}")
        problem = limit_problem(key, value, _FIELDS[key].metadata)
        if problem:
            raise ConfigError(problem)
    config = HfConfig(**{"name": "hf", "_target_": "", **FIXED, **OTHER_DEFAULTS, **given})
    problem = conflict(config)
    if problem:
        raise ConfigError(problem.replace(_GROUP, ""))
    values = {name: getattr(config, name) for name in _FIELDS}
    per_replica = {
        name: torch.tensor([[float(value)]], dtype=torch.float64)
        for name, value in values.items()
        if _FIELDS[name].metadata.get("per_replica")
    }
    return HessianFree(**{**values, **per_replica})


def _unknown(key: str) -> str:
    """The message for a key that does not exist."""
    near = [name.removeprefix(_GROUP) for name in nearest_keys(f"{_GROUP}{key}", [f"{_GROUP}{name}" for name in KEYS])]
    where = "; `rnnbench list optim hf` shows the keys"
    return f"{no_such_key(key)}{did_you_mean(near) or where}"


def _plain(value: Any) -> Any:
    """A number of any library as one of Python."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return value
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a plain value has the type of its key."""
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, int | float) if hint is float else isinstance(value, hint)
