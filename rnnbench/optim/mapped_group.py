"""Steps of several replicas by one call of a class with torch.optim's interface, under torch.func.vmap.

Letters: k replicas of the group, R replicas of the run, P parameters of one replica.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.optim.nested_state import is_number, restored, tensors_of, with_tensors
from rnnbench.optim.one_by_one import CannotStepTogetherError, OneByOne
from rnnbench.optim.parameter_group import Layout, ParameterGroup, nested_state, seeded

MAPPED_DEVICE = "cpu"
"""Device on which replicas get the same bits together as alone; on others the trial steps do not show it."""


class MappedGroup(ParameterGroup):
    """Steps replicas whose optimizers have made a step each, and have equal hyperparameters and step counts.

    The class sees the parameters of one replica, in the shapes of the layout; torch.func.vmap makes each of its
    operations for all replicas at once. `OneByOne` sees to it that each replica gets the bits that it gets alone.
    """

    def __init__(
        self, make: Callable[..., torch.optim.Optimizer], layout: Layout, rows: Sequence[int], theta: Tensor
    ) -> None:
        """Make the optimizer, whose state is to be loaded.

        Args:
            make: Makes the optimizer from its parameters.
            layout: Names and shapes of one replica's parameters.
            rows: Rows of theta.
            theta: (R, P), gives device and type.
        """
        # torch would warn of operations that it makes for one replica after another.
        torch._C._functorch._set_vmap_fallback_warning_enabled(False)  # type: ignore[attr-defined]
        of_one = {name: torch.empty(shape, dtype=theta.dtype, device=theta.device) for name, shape in layout.items()}
        super().__init__(lambda _: make(of_one), layout, rows, theta, is_stacked=True)
        names = {id(parameter): name for name, parameter in of_one.items()}
        self._names = [[names[id(each)] for each in group["params"]] for group in self.optimizer.param_groups]
        self._state: Any = None

    @override
    def step(self, theta: Tensor, gradient: Tensor, seed: int | None, factor: float | None = None) -> None:
        """Make one step; see `ParameterGroup.step`.

        Raises:
            CannotStepTogetherError: Each replica has to make this step alone, from the state before it.
        """
        self._scale_lrs(factor)
        if not bool(gradient[self._index].isfinite().all()):
            raise CannotStepTogetherError
        starts, gradients = (
            [piece.clone(memory_format=torch.contiguous_format) for piece in self._views(given).values()]
            for given in (theta, gradient)
        )
        before = self.state()
        forms: list[Any] = []

        def step_of_one(parameters: Any, gradients: Any, tensors: Any) -> Any:
            named = dict(zip(self.parameters, parameters, strict=True))
            self._give(named, gradients, with_tensors(before, iter(tensors)))
            self.optimizer.step()
            forms.append(nested_state(self.optimizer, named))
            return parameters, tuple(tensors_of(forms[-1]))

        try:
            with torch.no_grad(), contextlib.nullcontext() if seed is None else seeded(seed, theta.device), OneByOne():
                mapped = torch.func.vmap(step_of_one, randomness="same")
                weights, tensors = mapped(tuple(starts), tuple(gradients), tuple(tensors_of(before)))
        except Exception as error:  # an operation that vmap cannot run; if it is another one, it will come again
            raise CannotStepTogetherError from error
        finally:
            self.optimizer.state.clear()
        self._set(with_tensors(forms[-1], (tensor.contiguous() for tensor in tensors)))
        self.parameters = dict(zip(self.parameters, weights, strict=True))

    def _give(self, parameters: Mapping[str, Tensor], gradients: Sequence[Tensor], state: Any) -> None:
        """Give the optimizer the parameters, gradients and state of one replica."""
        self.optimizer.state.clear()
        for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
            parameter.grad = gradient
            self.optimizer.state[parameter] = state["state"][name]
        for names, group, values in zip(self._names, self.optimizer.param_groups, state["group"], strict=True):
            group.update(values, params=[parameters[name] for name in names])

    def _set(self, state: Any) -> None:
        self._state = state
        for group, values in zip(self.optimizer.param_groups, state["group"], strict=True):
            group.update(values, params=[])

    @override
    def state(self) -> Any:
        pairs = zip(self.optimizer.param_groups, self._state["group"], strict=True)
        # The learning rates of the groups are those of this step.
        return {"state": self._state["state"], "group": [{key: group[key] for key in own} for group, own in pairs]}

    @override
    def _has_axis(self, tensor: Tensor) -> bool:
        return True

    @override
    def load(self, template: Any, named: Mapping[str, Tensor]) -> None:
        own = {}
        for name, rows in named.items():
            mine = rows[self._index.to(rows.device)]
            own[name] = mine[0] if is_number(name) else mine
        self._set(restored(template, own))
