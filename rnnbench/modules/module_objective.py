"""The loss of one batch under a torch module, as a function of theta.

It has the interface of `rnnbench.objective.second_order` for one replica, so Hessian-free does the same with it as with
the batch of a task. Letters: P trainable parameters.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten

from rnnbench.modules.arguments import calling_module
from rnnbench.modules.linearization import Linearizer
from rnnbench.modules.module_function import ModuleFunction, flat
from rnnbench.modules.output_loss import LossFunction, check_curved, hessian_product, mean_loss

NUMBERS_AT_ONCE = 2**22
"""Largest number of elements of the gradients of single examples that are in memory at once."""


class Result(NamedTuple):
    """Loss, (1,), and gradient, (1, P), of a batch."""

    loss: Tensor
    gradient: Tensor


class ModuleObjective:
    """The loss of one batch.

    Args:
        function: The module.
        loss: The loss of a batch.
        batch: Inputs and targets.
        linearizer: Linearizes the module.
        returns_states: Whether the module returns a pair (outputs, states) and the loss takes the outputs.

    Attributes:
        size: 1: costs are counted in passes over a whole batch.
        group_sizes: Number of elements of each parameter.
    """

    size = 1

    def __init__(
        self,
        function: ModuleFunction,
        loss: LossFunction,
        batch: tuple[Any, Any],
        linearizer: Linearizer,
        *,
        returns_states: bool = False,
    ) -> None:
        self.function, self.loss_function, self.linearizer = function, loss, linearizer
        self.inputs, self.targets = batch
        self._returns_states = returns_states
        self.group_sizes = function.sizes

    def outputs_and_states(self, parameters: Mapping[str, Tensor], inputs: Any) -> tuple[Any, Any]:
        """What the loss takes, and the hidden states; () if the module returns none.

        Raises:
            ValueError: The module should return a pair, and does not.
        """
        returned = self.function(parameters, inputs)
        if not self._returns_states:
            return returned, ()
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise ValueError(
                f"with returns_states the module must return (outputs, states), got {type(returned).__name__}"
            )
        return returned

    def _loss(self, parameters: Mapping[str, Tensor], inputs: Any, targets: Any) -> Tensor:
        with calling_module(inputs):
            outputs, _ = self.outputs_and_states(parameters, inputs)
        return mean_loss(self.loss_function, outputs, targets)

    def loss(self, theta: Tensor) -> Tensor:
        """The loss, (1,), float64."""
        with torch.no_grad():
            return self._loss(self.function.views(theta), self.inputs, self.targets).double().view(1)

    def loss_and_gradient(self, theta: Tensor) -> Result:
        """Loss (1,), float64, and gradient (1, P)."""
        parameters = {name: view.detach().requires_grad_() for name, view in self.function.views(theta).items()}
        with torch.enable_grad():
            loss = self._loss(parameters, self.inputs, self.targets)
            if not loss.requires_grad:
                raise ValueError("the loss depends on none of the module's trainable parameters")
            gradients = torch.autograd.grad(loss, list(parameters.values()), materialize_grads=True)
        return Result(loss.detach().double().view(1), flat(gradients))

    def check_curved(self, theta: Tensor) -> None:
        """Check that the loss, whose gradient at theta (1, P) is not zero, is not linear in the outputs.

        Raises:
            ValueError: It is, so the Gauss-Newton matrix is zero.
        """
        returned = _Returned(self, with_states=False)
        with torch.no_grad():
            outputs = returned(self.function.views(theta))
        check_curved(self.loss_function, outputs, returned.rebuild, self.targets)

    def linearize(
        self, theta: Tensor, structural_damping: Tensor | None = None, normalization: str = "batch"
    ) -> "ModuleGaussNewton":
        """The Gauss-Newton matrix at theta (1, P): linearized once, applied to many vectors.

        Args:
            theta: (1, P).
            structural_damping: Weight of the structural-damping matrix, (1, 1); None: without it.
            normalization: Not read: structural damping is the mean over all states.
        """
        return ModuleGaussNewton(self, theta, structural_damping)

    def mean_squared_gradient(self, theta: Tensor) -> Tensor:
        """Mean over the examples of the square of each one's own gradient, element by element, (1, P).

        Cost: a gradient of each example alone, several at a time if torch.vmap can run the module.

        Raises:
            ValueError: The examples do not lie along the first dimension of all tensors of the batch.
        """
        batch = (self.inputs, self.targets)
        sizes = {leaf.shape[0] if leaf.dim() else 0 for leaf in tree_leaves(batch) if isinstance(leaf, Tensor)}
        if len(sizes) != 1 or 0 in sizes:
            raise ValueError(
                "preconditioner=diagonal takes the gradient of each example, so the examples must lie along the first "
                f"dimension of all inputs and targets; its sizes are {', '.join(map(str, sorted(sizes)))}"
            )
        parameters = {name: view.detach() for name, view in self.function.views(theta).items()}
        (size,), total = sizes, torch.zeros_like(theta)
        at_once = max(1, NUMBERS_AT_ONCE // theta.shape[1])
        for start in range(0, size, at_once):
            total += self._sum_of_squares(parameters, _rows(batch, start, min(start + at_once, size)))
        return total / size

    def _sum_of_squares(self, parameters: dict[str, Tensor], batch: Any) -> Tensor:
        """Sum of the squared gradients of some examples, (1, P)."""

        def gradient(inputs: Any, targets: Any) -> Sequence[Tensor]:
            def loss(given: dict[str, Tensor]) -> Tensor:
                return self._loss(given, *_map_tensors(lambda leaf: leaf.unsqueeze(0), (inputs, targets)))

            return list(torch.func.grad(loss)(parameters).values())

        where = tree_map(lambda leaf: 0 if isinstance(leaf, Tensor) else None, batch)
        try:
            squares = [each.square().sum(0) for each in torch.vmap(gradient, in_dims=where)(*batch)]
        except (RuntimeError, ValueError):  # an operation that vmap cannot run
            count = next(leaf.shape[0] for leaf in tree_leaves(batch) if isinstance(leaf, Tensor))
            rows = [gradient(*_map_tensors(operator.itemgetter(k), batch)) for k in range(count)]
            squares = [torch.stack(each).square().sum(0) for each in zip(*rows, strict=True)]
        return flat(squares)


def _map_tensors(function: Callable[[Tensor], Tensor], tree: Any) -> Any:
    return tree_map(lambda leaf: function(leaf) if isinstance(leaf, Tensor) else leaf, tree)


def _rows(batch: Any, start: int, stop: int) -> Any:
    """Examples start to stop of a batch whose examples lie along the first dimension."""
    return _map_tensors(lambda leaf: leaf[start:stop], batch)


class _Returned:
    """Takes the floating-point tensors out of what the module returns, and puts others in their places.

    Args:
        objective: The objective, whose module is called.
        with_states: Whether to take those of the states as well, after those of the outputs.

    Attributes:
        num_outputs: Number of tensors taken out of the outputs, after a call.
    """

    def __init__(self, objective: ModuleObjective, *, with_states: bool) -> None:
        self._objective, self._with_states = objective, with_states

    def __call__(self, parameters: Mapping[str, Tensor]) -> list[Tensor]:
        outputs, states = self._objective.outputs_and_states(parameters, self._objective.inputs)
        leaves, self._spec = tree_flatten(outputs)
        self._others = {k: leaf for k, leaf in enumerate(leaves) if not _is_floating(leaf)}
        taken = [leaf for leaf in leaves if _is_floating(leaf)]
        self.num_outputs = len(taken)
        return [*taken, *filter(_is_floating, tree_leaves(states) if self._with_states else ())]

    def rebuild(self, tensors: Sequence[Tensor]) -> Any:
        """The outputs of the last call with other tensors."""
        rest = iter(tensors)
        count = len(tensors) + len(self._others)
        leaves = [self._others[k] if k in self._others else next(rest) for k in range(count)]
        return tree_unflatten(leaves, self._spec)


def _is_floating(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_floating_point()


class ModuleGaussNewton:
    """The Gauss-Newton matrix of an objective at one theta, with structural damping, as a product.

    G = J^T H J, where J is the Jacobian of what the module returns with respect to theta and H the Hessian of the
    batch's loss there; positive semi-definite if the loss is convex in the outputs. Structural damping adds weight * S,

        S = mean over the states h of J_h^T J_h,  summed over the units, the last dimension of the states.

    Each tensor of states has its own mean.

    Attributes:
        loss: Loss of the batch at theta, (1,), float64.
    """

    shares_blocks = False

    def __init__(self, objective: ModuleObjective, theta: Tensor, structural_damping: Tensor | None) -> None:
        self._function, self._theta_shape = objective.function, theta.shape
        returned = _Returned(objective, with_states=structural_damping is not None)
        with calling_module(objective.inputs):
            self._linear = objective.linearizer(returned, self._function.views(theta))
        self._num_outputs = returned.num_outputs
        outputs, states = self._linear.outputs[: self._num_outputs], self._linear.outputs[self._num_outputs :]
        with torch.no_grad():
            loss = mean_loss(objective.loss_function, returned.rebuild(outputs), objective.targets)
        self.loss = loss.double().view(1)
        self._hessian = hessian_product(objective.loss_function, outputs, returned.rebuild, objective.targets)
        self._structural = [_state_weight(each, structural_damping) for each in states]

    def replicas(self, rows: Tensor) -> Self:
        """The same: a module is one replica."""
        return self

    def product(self, vector: Tensor, active: Sequence[bool] | None = None) -> Tensor:
        """Multiply the matrix by a vector.

        Args:
            vector: (1, P), theta's dtype and device.
            active: Not read: there is one replica.

        Returns:
            (G + weight * S) @ vector, (1, P). A new tensor.

        Raises:
            ValueError: The vector's shape is not theta's.

        Cost: `Linearization.push` and `pull`.
        """
        tangents = self._push(vector)
        states = zip(self._structural, tangents[self._num_outputs :], strict=True)
        curved = self._hessian(tangents[: self._num_outputs])
        return flat(self._linear.pull([*curved, *(weight * tangent for weight, tangent in states)]))

    def quadratic_form(self, vector: Tensor) -> Tensor:
        """v^T G v for v (1, P), without structural damping, (1,), float64. Cost: `Linearization.push`."""
        tangents = self._push(vector)[: self._num_outputs]
        pairs = zip(tangents, self._hessian(tangents), strict=True)
        return torch.stack([(one * other).sum(dtype=torch.float64) for one, other in pairs]).sum().view(1)

    def _push(self, vector: Tensor) -> list[Tensor]:
        if vector.shape != self._theta_shape:
            raise ValueError(
                f"expected a vector of theta's shape {tuple(self._theta_shape)}, got {tuple(vector.shape)}"
            )
        return self._linear.push(self._function.views(vector))


def _state_weight(states: Tensor, structural_damping: Tensor | None) -> Tensor:
    """Weight divided by the number of states, for states (..., n)."""
    assert structural_damping is not None
    return (structural_damping.view(()) * states.shape[-1] / states.numel()).to(states.dtype)
