"""Hessian-free optimization of any torch module."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rnnbench.modules.arguments import described
from rnnbench.modules.hessian_free_keys import build_hessian_free
from rnnbench.modules.linearization import Linearizer
from rnnbench.modules.module_function import ModuleFunction, check_batch
from rnnbench.modules.module_objective import ModuleObjective
from rnnbench.modules.output_loss import LossFunction, check_loss
from rnnbench.objective.conjugate_gradient import TerminationReason
from rnnbench.optim.batches import Batches
from rnnbench.optim.hessian_free_step import FRESH

Batch = tuple[Any, Any]
"""Inputs, the only argument of the module, and targets, the second argument of the loss."""


@dataclass(frozen=True)
class StepResult:
    """What one step did.

    Attributes:
        loss: Loss of the gradient batch before the step, without weight decay.
        damping: Damping lambda of this step.
        reduction_ratio: Change of the loss on the curvature batch divided by the change that the quadratic model
            predicted.
        cg_iterations: Iterations of conjugate gradients.
        step_size: Factor of the step that the line search accepted; 0: rejected.
        accepted: Whether the parameters were changed.
        products: Products with the Gauss-Newton matrix.
        seconds: Wall-clock seconds.
        metrics: All numbers of the step by the tags `hf/...` of docs/metrics.md.
    """

    loss: float
    damping: float
    reduction_ratio: float
    cg_iterations: int
    step_size: float
    accepted: bool
    products: int
    seconds: float
    metrics: Mapping[str, float]


class HessianFree:
    """Hessian-free optimization (Martens 2010) of any torch.nn.Module, by the code that trains rnnbench's own nets.

    A step minimizes a damped quadratic model of the loss, with the Gauss-Newton matrix, by conjugate gradients; goes
    back to an earlier iterate if that is better; adapts the damping; and searches along the step. A step that does not
    lower the loss is rejected and leaves the parameters as they are.

    Args:
        module: The module. It is called with one argument, the inputs of a batch; its parameters that require a
            gradient are trained. It must be a function of inputs and parameters: batch normalization and dropout in
            evaluation mode.
        loss: Maps (outputs, targets) to a scalar, the mean over the batch: a loss module of torch, or any function. It
            must be convex in the outputs, else the Gauss-Newton matrix is not positive semi-definite.
        returns_states: Whether module(inputs) returns a pair (outputs, states): the loss takes the outputs, and
            structural damping acts on the states, any nested structure of tensors (..., hidden units).
        keys: Keys of `optim=hf`, with its defaults and limits (`rnnbench list optim hf`), but for these. There are no
            keys of batch sizes, since `step` is given the batches. max_cg_factor is 1. structural_damping is 0; above 0
            it needs returns_states, and is normalized by the number of steps (structural_normalization=batch_time).
            Backtracking and the line search use the gradient batch; preconditioner=diagonal needs batches whose
            examples lie along the first dimension.

    Raises:
        ConfigError: A key does not exist, or a value is not allowed.
        ValueError: The module is none, or has no parameters that can be trained; or the loss is no function, or not a
            mean.

    Cost of a step: a gradient, and for each of at most max_cg_iterations * max_cg_factor + 1 products a forward pass
    with tangents and a backward pass of the curvature batch; some evaluations of the loss.

    Source: Martens (2010), ICML; Martens and Sutskever (2011), ICML.

    Example:
        >>> import rnnbench
        >>> net = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
        >>> optimizer = rnnbench.HessianFree(net, torch.nn.MSELoss(), damping=1e-8)
        >>> x = torch.tensor([[1.0], [3.0]], dtype=torch.float64)
        >>> optimizer.step((x, 2 * x)).accepted
        True
        >>> round(net.weight.item(), 6)
        2.0
    """

    def __init__(
        self, module: torch.nn.Module, loss: LossFunction, *, returns_states: bool = False, **keys: Any
    ) -> None:
        check_loss(loss)
        self._optimizer = build_hessian_free(keys)
        if self._optimizer.damps_states and not returns_states:
            raise ValueError(
                "structural_damping > 0 acts on hidden states: let the module return (outputs, states) and pass "
                "returns_states=True, or leave structural_damping at 0"
            )
        self.module, self.loss, self.returns_states = module, loss, returns_states
        function = ModuleFunction(module)
        self._layout, self._kind = function.layout, (function.dtype, function.device)
        self._state = self._optimizer.initial_state(function.theta())
        self._linearizer = Linearizer()
        self._is_curved = False  # whether the loss is known to be

    def step(
        self,
        gradient_batch: Batch,
        curvature_batch: Batch | None = None,
        *,
        backtracking_batch: Batch | None = None,
        line_search_batch: Batch | None = None,
    ) -> StepResult:
        """Make one step.

        With one batch for everything this minimizes the loss of that batch. For a stochastic problem give large
        batches, new ones at each step: the curvature batch may be a part of the gradient batch, and others for
        backtracking and the line search (with backtracking_batch="fresh" and line_search_batch="fresh") keep the step
        from fitting one batch.

        Args:
            gradient_batch: Batch of the gradient: (inputs, targets).
            curvature_batch: Batch of the products and the reduction ratio; None: the gradient batch.
            backtracking_batch: Batch for backtracking, exactly if the key backtracking_batch is "fresh".
            line_search_batch: Batch for the line search, exactly if the key line_search_batch is "fresh" or "both".

        Raises:
            ValueError: A batch is missing, is not one, lies on another device, or is nothing that the module or the
                loss can take; the loss is not a scalar, or is linear in the outputs; or the module changes its buffers,
                draws random numbers, or has no Jacobian products.
            FloatingPointError: The loss, the gradient or the curvature is not finite. After any error the parameters
                are as before the step.
        """
        started = time.perf_counter()
        function = self._function()

        def objective(name: str, batch: Batch) -> ModuleObjective:
            pair = check_batch(name, batch, function.device)
            return ModuleObjective(function, self.loss, pair, self._linearizer, returns_states=self.returns_states)

        gradient = objective("gradient_batch", gradient_batch)
        curvature = gradient if curvature_batch is None else objective("curvature_batch", curvature_batch)
        known = {"gradient": gradient, "curvature": curvature}
        others = {"backtracking_batch": backtracking_batch, "line_search_batch": line_search_batch}
        chosen = []
        for name, batch in others.items():
            key = getattr(self._optimizer, name)
            if (key in FRESH) != (batch is not None):
                missing = f"{key}, so step() needs one" if batch is None else f"{key}, but step() was given one"
                raise ValueError(f"the key {name} is {missing}")
            chosen.append(known[key] if batch is None else objective(name, batch))
        theta = function.theta()
        with function.deterministic():
            computed = gradient.loss_and_gradient(theta)
        _check_finite("loss", computed.loss)
        _check_finite("gradient", computed.gradient)
        if not self._is_curved and computed.gradient.any():
            gradient.check_curved(theta)
            self._is_curved = True
        step = self._optimizer.step(theta, self._state, Batches(gradient, curvature, *chosen), computed.gradient)
        metrics = {tag: float(value) for tag, value in step.metrics.items()}
        if metrics["hf/cg_termination"] == TerminationReason.NOT_FINITE and not metrics["hf/cg_iterations"]:
            raise FloatingPointError(_not_finite("curvature", "not finite on the curvature batch"))
        accepted = metrics["hf/step_size"] > 0
        if accepted:
            function.write(step.theta)
        self._state = step.state
        return StepResult(
            loss=float(computed.loss),
            damping=metrics["hf/damping"],
            reduction_ratio=metrics["hf/reduction_ratio"],
            cg_iterations=round(metrics["hf/cg_iterations"]),
            step_size=metrics["hf/step_size"],
            accepted=accepted,
            products=round(float(step.cost["products"])),
            seconds=time.perf_counter() - started,
            metrics=metrics,
        )

    def _function(self) -> ModuleFunction:
        """The module as it is now.

        Raises:
            ValueError: Its trainable parameters are others than at the beginning.
        """
        function = ModuleFunction(self.module)
        if function.layout != self._layout or (function.dtype, function.device) != self._kind:
            raise ValueError(
                "the module's trainable parameters have other names, shapes, dtype or device than when the optimizer "
                "was made: make a new one, after moving the module"
            )
        return function

    def state_dict(self) -> dict[str, Tensor]:
        """What the optimizer keeps between steps, as copies; not the keys, and not the module's parameters."""
        return {name: tensor.clone() for name, tensor in self._state.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a state; with the same keys, module and batches, bit for bit.

        Args:
            state: From `state_dict`, on any device.

        Raises:
            ValueError: It is not the state of an optimizer of this module.
        """
        if not isinstance(state, Mapping):
            raise ValueError(f"the state must be a dictionary from state_dict(), got {described(state)}")
        for name in {**self._state, **state}:
            wanted, given = _described(self._state.get(name)), _described(state.get(name))
            if wanted != given:
                raise ValueError(f"the state is not of this module: {name} should be {wanted}, is {given}")
        self._state = {name: state[name].to(tensor.device, copy=True) for name, tensor in self._state.items()}


def _described(value: Any) -> str:
    """Dtype and shape of a tensor, for a message."""
    if isinstance(value, Tensor):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    return "missing" if value is None else type(value).__name__


def _check_finite(name: str, values: Tensor) -> None:
    """Raise an error if values of the gradient batch are not all finite."""
    if not math.isfinite(float(values.sum(dtype=torch.float64))):
        raise FloatingPointError(_not_finite(name, "not finite on the gradient batch"))


def _not_finite(name: str, where: str) -> str:
    return (
        f"the {name} is {where}: the parameters are unchanged. Look for inputs or targets that are not finite, start "
        "from smaller weights, or use float64"
    )
