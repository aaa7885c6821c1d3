"""A torch optimizer and its parameters: those of one replica, or of several with equal hyperparameters.

Letters: k replicas of the group, R replicas of the run, P parameters of one replica.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnbench.linear_algebra import LAPACK_ERROR
from rnnbench.optim.nested_state import (
    are_contiguous,
    contiguous,
    flat,
    is_number,
    restored,
    stored,
    without_tensors,
)

Layout = Mapping[str, tuple[int, ...]]
"""Name and shape of each parameter of one replica, in theta's order."""

MakeOptimizer = Callable[[Mapping[str, Tensor]], torch.optim.Optimizer]
"""What makes an optimizer from its parameters by name."""

NOT_STORED = ("params", "param_names")
"""Entries of a torch parameter group that are no state."""


class ParameterGroup:
    """Steps one optimizer of a class with torch.optim's interface.

    Attributes:
        rows: Rows of theta that the group trains, k of them.
        parameters: Parameters by name: (k, *shape) if the group is stacked, else *shape.
        optimizer: The optimizer.
        is_schedule_free: Whether it switches between training weights and their average (`train` and `eval`).
    """

    def __init__(
        self,
        make: MakeOptimizer,
        layout: Layout,
        rows: Sequence[int],
        theta: Tensor,
        *,
        is_stacked: bool,
    ) -> None:
        """Make the optimizer.

        Args:
            make: Makes the optimizer from its parameters.
            layout: Names and shapes of one replica's parameters.
            rows: Rows of theta; one if the group is not stacked.
            theta: (R, P), gives device and type.
            is_stacked: Whether the replicas lie along a first axis of each parameter.
        """
        self.rows, self._layout, self._is_stacked = list(rows), layout, is_stacked
        self._index = torch.tensor(self.rows, device=theta.device)
        self.parameters = {
            name: torch.empty((len(rows), *shape) if is_stacked else shape, dtype=theta.dtype, device=theta.device)
            for name, shape in layout.items()
        }
        self.optimizer = make(self.parameters)
        self._lrs = [group["lr"] for group in self.optimizer.param_groups]
        self.is_schedule_free = hasattr(self.optimizer, "train") and hasattr(self.optimizer, "eval")

    def step(self, theta: Tensor, gradient: Tensor, seed: int | None, factors: Sequence[float] | None = None) -> None:
        """Make one step from theta (R, P), or from the training weights of a schedule-free method.

        Args:
            theta: Where the step starts.
            gradient: Gradient there, (R, P).
            seed: Seed of the random numbers of the step; None: the class draws none.
            factors: Factor of the learning rates of each replica of the run; None: there is no schedule.
        """
        self._scale_lrs(factors)
        if self.is_schedule_free:
            self.optimizer.train()  # type: ignore[attr-defined]
        starts, gradients = self._views(theta), self._views(gradient)
        for name, parameter in self.parameters.items():
            parameter.copy_(starts[name])
            parameter.grad = gradients[name].clone()  # some classes change it; and products depend on its address
        is_finite = gradient[self._index].isfinite().all(1)
        if self._is_stacked or bool(is_finite):
            try:
                with torch.no_grad(), contextlib.nullcontext() if seed is None else seeded(seed, theta.device):
                    self.optimizer.step()
            except LAPACK_ERROR:  # of a matrix that is not finite, or whose decomposition does not converge
                is_finite = torch.zeros_like(is_finite)
        self._end_rows(~is_finite)
        for parameter in self.parameters.values():
            state = self.optimizer.state[parameter]
            if not are_contiguous(state):
                self.optimizer.state[parameter] = contiguous(state)  # as it is after it was saved and loaded

    def _scale_lrs(self, factors: Sequence[float] | None) -> None:
        if factors is not None:
            for group, lr in zip(self.optimizer.param_groups, self._lrs, strict=True):
                group["lr"] = lr * factors[self.rows[0]]

    def _end_rows(self, which: Tensor) -> None:
        """Set the parameters of some replicas to NaN, which ends them as diverged; some classes would hide it.

        Args:
            which: (k,), bool.
        """
        if bool(which.any()):
            for parameter in self.parameters.values():
                rows = parameter if self._is_stacked else parameter.unsqueeze(0)
                rows[which] = math.nan

    def weights(self) -> Tensor:
        """The parameters as they are, (k, P)."""
        count = len(self.rows)
        return torch.cat([parameter.detach().reshape(count, -1) for parameter in self.parameters.values()], 1)

    def evaluated_weights(self) -> Tensor:
        """The parameters to evaluate, (k, P): the average of a schedule-free method, else the parameters."""
        if self.is_schedule_free:
            with torch.no_grad():
                self.optimizer.eval()  # type: ignore[attr-defined]
        return self.weights()

    def state(self) -> Any:
        """The nested state of the optimizer."""
        return nested_state(self.optimizer, self.parameters)

    def _has_axis(self, tensor: Tensor) -> bool:
        """Whether the first axis of a tensor of the state is that of the replicas; else it is shared."""
        return self._is_stacked and tensor.dim() > 0

    def rows_of_state(self) -> dict[str, Tensor]:
        """The tensors and numbers of the state by name, (k, ...); new tensors."""
        return {
            name: (tensor if not is_number(name) and self._has_axis(tensor) else self._repeated(tensor)).clone()
            for name, tensor in stored(self.state()).items()
        }

    def flat_state(self, template: Any) -> list[Any]:
        """The tensors, (k, ...), and numbers of the state, in a template's order; later steps change the tensors."""
        leaves = flat(template, self.state())
        return [
            self._repeated(leaf) if isinstance(leaf, Tensor) and not self._has_axis(leaf) else leaf for leaf in leaves
        ]

    def _repeated(self, tensor: Tensor) -> Tensor:
        return tensor.expand(len(self.rows), *tensor.shape)

    def load(self, template: Any, named: Mapping[str, Tensor]) -> None:
        """Set the state.

        Args:
            template: Nested state of a group of the same class.
            named: Rows of all replicas of the run by name, (R, ...).
        """
        own = {}
        for name, rows in named.items():
            mine = rows[self._index.to(rows.device)]
            own[name] = mine if self._is_stacked and mine.dim() > 1 else mine[0].clone()
        state = restored(template, own)
        for name, parameter in self.parameters.items():
            self.optimizer.state[parameter] = state["state"][name]
        for group, values in zip(self.optimizer.param_groups, state["group"], strict=True):
            group.update(values)

    def template(self) -> Any:
        """The form of the nested state."""
        return without_tensors(self.state())

    def _views(self, theta: Tensor) -> dict[str, Tensor]:
        """Rows of the group, by parameter, in the shapes of `parameters`."""
        mine = theta[self._index]
        sizes = [math.prod(shape) for shape in self._layout.values()]
        pieces = torch.split(mine, sizes, 1)
        return {name: piece.view(self.parameters[name].shape) for name, piece in zip(self._layout, pieces, strict=True)}


def nested_state(optimizer: torch.optim.Optimizer, parameters: Mapping[str, Tensor]) -> Any:
    """The state of an optimizer, by name of the parameters, and its groups."""
    return {
        "state": {name: dict(optimizer.state[each]) for name, each in parameters.items()},
        "group": [{k: v for k, v in group.items() if k not in NOT_STORED} for group in optimizer.param_groups],
    }


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's and numpy's global generators, and restore those of the CPU and of a GPU afterwards."""
    ours = np.random.get_state()  # noqa: NPY002 - the generator that the classes use
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        if device.type == "cpu":
            torch.default_generator.manual_seed(seed)  # torch.manual_seed takes 80 times as long
        else:
            torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(ours)  # noqa: NPY002
