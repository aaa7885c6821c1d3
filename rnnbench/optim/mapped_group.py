"""Steps of several replicas by one call of a class with torch.optim's interface, under torch.func.vmap.

Letters: k replicas of the group, R replicas of the run, P parameters of one replica.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.optim.nested_state import is_number, restored, stored, tensors_of, with_tensors
from rnnbench.optim.one_by_one import CannotStepTogetherError, OneByOne
from rnnbench.optim.parameter_group import Layout, MakeOptimizer, ParameterGroup, nested_state, seeded

MAPPED_DEVICE = "cpu"
"""Device on which replicas get the same bits together as alone; on others the trial steps do not show it."""


class MappedGroup(ParameterGroup):
    """Steps replicas whose optimizers have made a step each, and have equal hyperparameters and step counts.

    The class sees the parameters of one replica, in the shapes of the layout; torch.func.vmap makes each of its
    operations for all replicas at once. Learning rates may differ: the class is then given a tensor without axes for
    each. `OneByOne` sees to it that each replica gets the bits that it gets alone.
    """

    def __init__(
        self,
        make: MakeOptimizer,
        layout: Layout,
        rows: Sequence[int],
        theta: Tensor,
        lrs: Sequence[Tensor] | None = None,
    ) -> None:
        """Make the optimizer, whose state is to be loaded.

        Args:
            make: Makes the optimizer from its parameters.
            layout: Names and shapes of one replica's parameters.
            rows: Rows of theta.
            theta: (R, P), gives device and type.
            lrs: Learning rates of the replicas in each of the optimizer's groups, (k,), float64; None: all replicas
                have those of the optimizer.
        """
        # torch would warn of operations that it makes for one replica after another.
        torch._C._functorch._set_vmap_fallback_warning_enabled(False)  # type: ignore[attr-defined]
        of_one = {name: torch.empty(shape, dtype=theta.dtype, device=theta.device) for name, shape in layout.items()}
        super().__init__(lambda _: make(of_one), layout, rows, theta, is_stacked=True)
        names = {id(parameter): name for name, parameter in of_one.items()}
        self._names = [[names[id(each)] for each in group["params"]] for group in self.optimizer.param_groups]
        self._first_lrs = lrs
        self._own_lrs = lrs
        self._places_of_lrs: list[int] = []
        self._one_by_one = OneByOne()
        self._state: Any = None

    @override
    def step(self, theta: Tensor, gradient: Tensor, seed: int | None, factors: Sequence[float] | None = None) -> None:
        """Make one step; see `ParameterGroup.step`.

        Raises:
            CannotStepTogetherError: Each replica has to make this step alone, from the state before it.
        """
        self._scale_lrs(factors)
        if not bool(gradient[self._index].isfinite().all()):
            raise CannotStepTogetherError
        starts, gradients = (
            [piece.clone(memory_format=torch.contiguous_format) for piece in self._views(given).values()]
            for given in (theta, gradient)
        )
        before = self.state()
        forms: list[Any] = []

        def step_of_one(parameters: Any, gradients: Any, tensors: Any, lrs: Any) -> Any:
            named = dict(zip(self.parameters, parameters, strict=True))
            self._give(named, gradients, with_tensors(before, iter(tensors)))
            with self._with_lrs(lrs):
                self.optimizer.step()
            forms.append(nested_state(self.optimizer, named))
            return parameters, tuple(tensors_of(forms[-1]))

        try:
            with (
                torch.no_grad(),
                contextlib.nullcontext() if seed is None else seeded(seed, theta.device),
                self._one_by_one,
            ):
                mapped = torch.func.vmap(step_of_one, randomness="same")
                weights, tensors = mapped(
                    tuple(starts), tuple(gradients), tuple(tensors_of(before)), tuple(self._own_lrs or ())
                )
        except Exception as error:  # an operation that vmap cannot run; if it is another one, it will come again
            raise CannotStepTogetherError from error
        finally:
            self.optimizer.state.clear()
        self._set(with_tensors(forms[-1], (tensor.contiguous() for tensor in tensors)))
        self.parameters = dict(zip(self.parameters, weights, strict=True))

    @contextlib.contextmanager
    def _with_lrs(self, lrs: Sequence[Tensor]) -> Iterator[None]:
        """While it is active, the groups have the learning rates of one replica; none: those that they have."""
        groups = self.optimizer.param_groups[: len(lrs)]
        numbers = [group["lr"] for group in groups]
        self._one_by_one.lrs = lrs
        for group, lr in zip(groups, lrs, strict=True):
            group["lr"] = lr
        yield
        for group, lr, number in zip(groups, lrs, numbers, strict=True):
            if group["lr"] is not lr:
                raise CannotStepTogetherError  # the class has changed it, so it belongs to the state
            group["lr"] = number

    @override
    def _scale_lrs(self, factors: Sequence[float] | None) -> None:
        super()._scale_lrs(factors)
        if factors is not None and self._first_lrs is not None:
            own = torch.tensor([factors[row] for row in self.rows], dtype=torch.float64)
            self._own_lrs = [lrs * own for lrs in self._first_lrs]

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
    def rows_of_state(self) -> dict[str, Tensor]:
        rows = super().rows_of_state()
        lrs = {} if self._own_lrs is None else dict(zip(filter(is_lr, rows), self._own_lrs, strict=True))
        return {**rows, **lrs}

    @override
    def flat_state(self, template: Any) -> list[Any]:
        leaves = super().flat_state(template)
        if self._own_lrs is not None:
            if not self._places_of_lrs:
                self._places_of_lrs = [place for place, name in enumerate(stored(template)) if is_lr(name)]
            for place, lrs in zip(self._places_of_lrs, self._own_lrs, strict=True):
                leaves[place] = lrs.tolist()
        return leaves

    @override
    def load(self, template: Any, named: Mapping[str, Tensor]) -> None:
        own = {}
        for name, rows in named.items():
            mine = rows[self._index.to(rows.device)]
            own[name] = mine[0] if is_number(name) else mine
        if self._own_lrs is not None:
            self._own_lrs = [rows[self._index] for name, rows in named.items() if is_lr(name)]
        self._set(restored(template, own))


def is_lr(name: str) -> bool:
    """Whether a name of a state is that of the learning rate of an optimizer's group."""
    return name.startswith("group/") and name.rpartition(":")[0].endswith("/lr")


def lrs_of(makes: Sequence[MakeOptimizer], layout: Layout) -> list[Tensor]:
    """Learning rates of several optimizers of a class, (k,), float64, of each of its groups.

    Args:
        makes: What makes each of them from parameters by name.
        layout: Names and shapes of the parameters.
    """
    parameters = {name: torch.empty(shape) for name, shape in layout.items()}
    rows = [[group["lr"] for group in make(parameters).param_groups] for make in makes]
    return [torch.tensor(lrs, dtype=torch.float64) for lrs in zip(*rows, strict=True)]
