"""Keys of a user's own classes in which the replicas of one run may differ."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

from rnnbench.config.classes import import_class, is_torch_optimizer
from rnnbench.config.errors import ConfigError
from rnnbench.config.objects import values_of
from rnnbench.config.option import PER_REPLICA
from rnnbench.config.schema import Config
from rnnbench.config.validate import MARKABLE
from rnnbench.config.values import show_value


def mark_own_keys(config: Config) -> None:
    """Note in the choices of the user's own init, optimizer and schedule which keys are per replica.

    Each replica has an initialization of its own, so all keys that its file adds to the common ones are. An optimizer
    or a schedule serves all replicas; its class declares such a key by its type, a tensor. Of a class with
    torch.optim's interface, of which each replica has an optimizer, it is every number with a decimal point. A choice
    from a record keeps what it has.

    Args:
        config: Configuration whose classes can be imported.

    Raises:
        ConfigError: A class cannot be imported, or a value cannot be an entry of a tensor.
    """
    for group in MARKABLE:
        choice = getattr(config, group)
        if not choice._target_.startswith("rnnbench.") and not hasattr(choice, PER_REPLICA):
            typed = {field.name for field in dataclasses.fields(choice)}
            own = {name: value for name, value in values_of(choice).items() if name not in typed}
            setattr(choice, PER_REPLICA, own_keys_per_replica(group, choice._target_, own))


def own_keys_per_replica(group: str, target: str, own: Mapping[str, Any]) -> list[str]:
    """The keys of a user's own choice that may differ between replicas, and are not typed already.

    Args:
        group: "init", "optim" or "schedule".
        target: Class of the choice, as a dotted path.
        own: The keys that its file adds to those of its schema, with their values.

    Raises:
        ConfigError: As by `mark_own_keys`.
    """
    if group == "init":
        return [name for name in own if name not in ("name", "_target_")]
    built_class = import_class(group, target)
    if is_torch_optimizer(built_class):
        return [name for name, value in own.items() if _is_real(value)]
    tensors = _tensor_fields(built_class)
    for name in (name for name in own if name in tensors):
        numbers = own[name] if isinstance(own[name], list) and own[name] else [own[name]]
        if not all(type(number) in (int, float) for number in numbers):
            raise ConfigError(
                f"{group}.{name} must be a number or a list of numbers, since {target} declares it as a Tensor; "
                f"got {show_value(own[name])}"
            )
    return [name for name in own if name in tensors]


def _is_real(value: Any) -> bool:
    """Whether a value is a float or a list of floats."""
    values = value if isinstance(value, list) and value else [value]
    return all(type(number) is float for number in values)


def _tensor_fields(built_class: type[Any]) -> set[str]:
    """Names of the fields of a dataclass that are tensors."""
    from torch import Tensor

    hints = typing.get_type_hints(built_class)
    return {field.name for field in dataclasses.fields(built_class) if field.init and hints[field.name] is Tensor}
