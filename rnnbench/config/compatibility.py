"""Checks that task, model, optimizer and probes are compatible."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rnnbench.config.errors import ConfigError

MAX_PARAMETERS = 2**31
"""Largest number of parameters of a model for which buffers are allocated to inspect its sweeps."""

if TYPE_CHECKING:
    from rnnbench.models.base import Model
    from rnnbench.optim.base import Optimizer
    from rnnbench.probes.base import Probe
    from rnnbench.tasks.base import Task


def check_optimizer(task: "Task", model: "Model", optimizer: "Optimizer") -> None:
    """Check that the model has the curvature products, or the penalty, that the optimizer needs.

    Args:
        task: Task, which has the loss.
        model: Model.
        optimizer: Optimizer, which may need products with the Hessian or the Gauss-Newton matrix, may damp the model's
            states, and may have the penalty on vanishing gradients.

    Raises:
        ConfigError: Loss or model does not support what the optimizer needs.
    """
    from rnnbench.losses import Loss, loss_of
    from rnnbench.models.base import Model
    from rnnbench.optim.first_order import GradientMethod

    has_flow = type(model).information_flow is not Model.information_flow
    if isinstance(optimizer, GradientMethod) and optimizer.keeps_flow and not has_flow:
        raise ConfigError(
            "optim.information_flow: the penalty on vanishing gradients is defined for the simple recurrent net; "
            "choose model=rnn with model.num_layers=1, or set optim.information_flow=0"
        )
    if optimizer.needs_hessian and type(model).step is Model.step and not model.has_hessian_sweeps:
        raise ConfigError(
            f"optim: {_name(model)} has no step, so no Hessian product; choose an optimizer that needs only gradients, "
            "such as optim=adam"
        )
    if not optimizer.needs_products:
        return
    advice, loss = "choose a first-order optimizer, such as optim=adam", loss_of(task.loss)
    if type(loss).hessian_product is Loss.hessian_product:
        raise ConfigError(f"optim: the loss {_name(loss)} has no hessian_product, so no Gauss-Newton product; {advice}")
    if not _is_linearized(model):
        raise ConfigError(f"optim: {_name(model)} has no linearized sweeps, so no Gauss-Newton product; {advice}")
    if optimizer.damps_states and not model.has_structural_damping:
        raise ConfigError(
            f"optim: {_name(model)} has no hidden states that structural damping could act on; set "
            "optim.structural_damping=0"
        )


def check_flossing(model: "Model", optimizer: "Optimizer", exponents: int, rounds: int) -> None:
    """Check that the model has the Lyapunov exponents that flossing drives to 0, and that the optimizer allows it.

    Raises:
        ConfigError: The model has fewer exponents, or no Jacobians; or flossing during training would change weights
            that the optimizer computes from others.
    """
    from rnnbench.models.base import Model
    from rnnbench.optim.torch_optimizer import TorchOptimizer

    if exponents == 0:
        return
    if rounds > 1 and isinstance(optimizer, TorchOptimizer) and optimizer.trial.is_schedule_free:
        raise ConfigError(
            "flossing.rounds must be 1 with a schedule-free optimizer, whose weights are an average of others, got "
            f"{rounds}"
        )
    if type(model).state_jacobians is Model.state_jacobians:
        raise ConfigError(f"flossing.exponents: {_name(model)} has no state_jacobians; set flossing.exponents=0")
    if exponents > model.state_size:
        size = model.state_size
        raise ConfigError(f"flossing.exponents must be at most {size}, the size of the net's state, got {exponents}")


def check_probes(model: "Model", probes: Mapping[str, "Probe"]) -> None:
    """Check that the model has the methods that the probes call.

    Raises:
        ConfigError: A method is missing; the message names the probe that needs it.
    """
    from rnnbench.models.base import Model

    has_recurrent = any(parameter.kind == "recurrent" for parameter in model.layout.values())
    for name, probe in probes.items():
        for method in probe.needed:
            if getattr(type(model), method) is not getattr(Model, method):
                continue
            if method != "recurrent_weight":
                raise ConfigError(f"probe.{name}: {_name(model)} has no {method}; set probe.{name}.every=0")
            if not has_recurrent:
                raise ConfigError(
                    f'probe.{name}: {_name(model)} has no parameter of kind "recurrent"; set probe.{name}.every=0'
                )


def _is_linearized(model: "Model") -> bool:
    import torch

    from rnnbench.models.base import BlockShape, Sweeps

    if model.num_parameters > MAX_PARAMETERS:
        return True  # it does not fit into memory, which is checked next; its buffers might not either
    sweeps = type(model.sweeps(BlockShape(1, 1, 1, torch.float32, torch.device("cpu"))))
    return (
        sweeps.linearized_forward is not Sweeps.linearized_forward
        and sweeps.linearized_backward is not Sweeps.linearized_backward
    )


def _name(part: Any) -> str:
    return type(part).__name__
