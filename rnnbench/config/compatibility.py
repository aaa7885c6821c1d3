"""Whether the parts go together: a loss that exists, products where the optimizer needs them, states for the probes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rnnbench.config.errors import ConfigError

MOST_PARAMETERS = 2**31
"""Of a model whose buffers are made to see what its sweeps can do."""

if TYPE_CHECKING:
    from rnnbench.models.base import Model
    from rnnbench.optim.base import Optimizer
    from rnnbench.probes.base import Probe
    from rnnbench.tasks.base import Task


def check_products(task: "Task", model: "Model", optimizer: "Optimizer") -> None:
    """Check that the loss exists, and that an optimizer with Gauss-Newton products finds what they are made of.

    Args:
        task: Whose loss is meant.
        model: Whose sweeps are run.
        optimizer: Which may need products, and may damp the model's states.

    Raises:
        ConfigError: Something is missing.
    """
    from rnnbench.losses import LOSSES, Loss

    loss = LOSSES.get(task.loss)
    if loss is None:
        raise ConfigError(f"task: {_name(task)} has the loss {task.loss!r}, which is none of {', '.join(LOSSES)}")
    if not optimizer.needs_products:
        return
    advice = "choose a first-order optimizer, such as optim=adam"
    if type(loss).hessian_product is Loss.hessian_product:
        raise ConfigError(f"optim: the loss {task.loss} has no Hessian product, so no Gauss-Newton product; {advice}")
    if not _is_linearized(model):
        raise ConfigError(f"optim: {_name(model)} has no linearized sweeps, so no Gauss-Newton product; {advice}")
    if optimizer.matching is not None:
        try:
            optimizer.matching.distance_of(model)
        except ValueError as error:
            raise ConfigError(
                f"optim: {error}; change optim.matching_distance, or set optim.structural_damping=0"
            ) from error


def check_probes(model: "Model", probes: Mapping[str, "Probe"]) -> None:
    """Check that the model has what the probes call.

    Raises:
        ConfigError: It lacks a method; the message names the probe that needs it.
    """
    from rnnbench.models.base import Model

    for name, probe in probes.items():
        for method in probe.needed:
            if getattr(type(model), method) is getattr(Model, method):
                raise ConfigError(f"probe.{name}: {_name(model)} has no {method}; set probe.{name}.every=0")


def _is_linearized(model: "Model") -> bool:
    import torch

    from rnnbench.models.base import BlockShape, Sweeps

    if model.num_parameters > MOST_PARAMETERS:
        return True  # it fits into no memory, which is checked next, and buffers of it might not either
    sweeps = type(model.sweeps(BlockShape(1, 1, 1, torch.float32, torch.device("cpu"))))
    return (
        sweeps.linearized_forward is not Sweeps.linearized_forward
        and sweeps.linearized_backward is not Sweeps.linearized_backward
    )


def _name(part: Any) -> str:
    return type(part).__name__
