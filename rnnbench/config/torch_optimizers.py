"""Builds the optimizer of a choice whose class has torch.optim's interface."""

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rnnbench.config.classes import import_class
from rnnbench.config.errors import ConfigError
from rnnbench.config.schema import Config

if TYPE_CHECKING:
    from rnnbench.models.parameters import Layout
    from rnnbench.optim.torch_optimizer import TorchOptimizer

RECURRENT = "recurrent"
"""Argument of a class that gets the names of the recurrent parameters."""

OF_GRADIENT_METHODS = (
    *("batch_size", "lr", "weight_decay", "clip_norm", "clip_value", "information_flow"),
    *("schedule", "noise", "average"),
)
"""Keys of `rnnbench.optim.first_order.GradientMethod`; the other keys are arguments of the class."""


def build_torch_optimizer(config: Config, layout: "Layout", hyperparameters: Mapping[str, Any]) -> "TorchOptimizer":
    """Build an optimizer after a few trial steps.

    Args:
        config: Configuration of the first replica.
        layout: Parameters of the model.
        hyperparameters: Values of the keys; those of per-replica keys are tensors, (R, 1) or (R, length).

    Raises:
        ConfigError: The class cannot train replicas, or does not take the keys.
    """
    import torch

    from rnnbench.optim.torch_optimizer import TorchOptimizer

    optimizer_class = import_class("optim", config.optim._target_)
    given = {name: value for name, value in hyperparameters.items() if name in OF_GRADIENT_METHODS}
    arguments = {name: value for name, value in hyperparameters.items() if name not in OF_GRADIENT_METHODS}
    if RECURRENT in inspect.signature(optimizer_class).parameters:
        arguments[RECURRENT] = [name for name, parameter in layout.items() if parameter.kind == "recurrent"]
    shapes, dtype = {name: parameter.shape for name, parameter in layout.items()}, getattr(torch, config.dtype)
    try:
        return TorchOptimizer.of_class(optimizer_class, shapes, arguments, dtype=dtype, **given)
    except ValueError as error:
        raise ConfigError(f"optim={config.optim.name}: {error}") from error
