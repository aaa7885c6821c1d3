"""Optimizers with torch.optim's interface, for many replicas.

Letters: R replicas, P parameters of one replica.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.objective.objective import Objective
from rnnbench.optim.base import State, UpdateIndex
from rnnbench.optim.first_order import AVERAGE, GradientMethod
from rnnbench.optim.mapped_group import MAPPED_DEVICE, MappedGroup, is_lr, lrs_of
from rnnbench.optim.nested_state import is_number
from rnnbench.optim.one_by_one import CannotStepTogetherError
from rnnbench.optim.parameter_group import Layout, MakeOptimizer, ParameterGroup
from rnnbench.optim.torch_trial import Together, Trial, make_optimizer, try_class

POINT = "point"
"""Name of the training weights of a schedule-free method in the state; theta is their average."""

HAS_STEPPED = "has_stepped"
"""Name of a number in the state, (R,): 0 before the first update of a replica, whose other tensors are zero, then 1."""

SMALLEST_MAPPED = 6
"""Replicas from which on a step under vmap takes less time than a step of each."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TorchOptimizer(GradientMethod):
    """Steps by a class with torch.optim's interface; every replica has its own hyperparameters and state.

    Replicas with equal hyperparameters are trained in one call where trial steps have shown that each gets the bits
    that it gets alone. A class whose arithmetic treats every entry alone, or `Muon`, is given replicas stacked along a
    first axis. The steps of most others are made under torch.func.vmap, where learning rates may differ if there is no
    weight decay, except the first step of all, which makes the state, and those at which a decomposition fails or a
    gradient is not finite. Of any other class, and of these on a GPU, each replica has an optimizer of its own. Unless
    stacked, parameters have the shapes of the model's layout.

    Attributes:
        optimizer_class: Class with torch.optim's interface, or a function that makes such an optimizer.
        layout: Names and shapes of one replica's parameters, in theta's order.
        shared: Arguments of the class that are the same for all replicas.
        own: Arguments that may differ between replicas, (R, 1) or (R, length) each, float64.
        trial: Results of a few trial steps.
    """

    optimizer_class: Any
    layout: Layout
    shared: Mapping[str, Any]
    own: Mapping[str, Tensor]
    trial: Trial
    _live: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of_class(
        cls, optimizer_class: Any, layout: Layout, arguments: Mapping[str, Any], *, dtype: torch.dtype, **keys: Any
    ) -> Self:
        """Make the optimizer of a class after a few trial steps.

        Args:
            optimizer_class: Class with torch.optim's interface.
            layout: Names and shapes of one replica's parameters.
            arguments: Further arguments of the class; a tensor, (R, 1) or (R, length), has a value for each replica.
            dtype: Type of the parameters.
            keys: Attributes of `GradientMethod`.

        Raises:
            ValueError: The class cannot train replicas, or does not take the arguments.
        """
        own = {name: value for name, value in arguments.items() if isinstance(value, Tensor)}
        shared = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in arguments.items()
            if name not in own
        }
        first = {"lr": keys["lr"], "weight_decay": keys["weight_decay"], **own}
        trial = try_class(optimizer_class, layout, {**shared, **_values(first, 0)}, dtype)
        return cls(optimizer_class=optimizer_class, layout=layout, shared=shared, own=own, trial=trial, **keys)

    @property
    @override
    def bytes_per_parameter(self) -> int:
        return 64 + self.trial.bytes_per_parameter

    @override
    def initial_state(self, theta: Tensor) -> State:
        count = len(theta)
        state = {
            name: torch.zeros((count, *shape), dtype=dtype, device=theta.device if shape else "cpu")
            for name, (shape, dtype) in self.trial.prototypes.items()
        }
        state[HAS_STEPPED] = torch.zeros(count, dtype=torch.float64)
        return {**state, POINT: theta.clone()} if self.trial.is_schedule_free else state

    @override
    def point(self, theta: Tensor, state: State, update: UpdateIndex) -> Tensor:
        return state.get(POINT, theta)

    @override
    def with_lr(self, lr: Tensor, theta: Tensor) -> Self:
        """The same method: as torch's schedules do, `advance` scales each learning rate of a class that has several."""
        return self

    @override
    def advance(
        self, gradient: Tensor, theta: Tensor, state: State, update: UpdateIndex, objective: Objective
    ) -> tuple[Tensor, State]:
        groups = self._groups(theta, state)
        points, weights = [], []
        seed = int(update) if self.trial.draws_random_numbers else None
        start = self.point(theta, state, update)
        factors = None if self.schedule is None else self.schedule.factor(update).flatten().tolist()
        stepped: list[ParameterGroup] = []
        for group in groups:
            try:
                group.step(start, gradient, seed, factors)
                stepped.append(group)
            except CannotStepTogetherError:
                for each in self._loaded_groups([[row] for row in group.rows], theta, state):
                    each.step(start, gradient, seed, factors)
                    stepped.append(each)
        is_first = not bool(state[HAS_STEPPED].all())
        for group in stepped:
            if self.trial.is_schedule_free:
                points.append(group.weights())
            weights.append(group.evaluated_weights())
        order = _order(stepped)
        following = self._joined(stepped, order)
        following[HAS_STEPPED] = torch.ones(len(theta), dtype=torch.float64)
        if points:
            following[POINT] = _by_replica(torch.cat(points), order)
        # After a step that replicas made alone, they are put together again.
        stay = len(stepped) == len(groups) and not (is_first and self.trial.together is Together.MAPPED)
        self._live["state"], self._live["groups"] = (following, groups) if stay else (None, [])
        return _by_replica(torch.cat(weights), order), following

    def _joined(self, groups: Sequence[ParameterGroup], order: Tensor | None) -> State:
        """The states of all groups by name, (R, ...); new tensors, except those of numbers that stay as they were."""
        counts = [len(group.rows) for group in groups]
        named: State = {}
        numbers: dict[str, tuple[list[Any], Tensor]] = self._live["numbers"]
        columns = zip(*(group.flat_state(self.trial.template) for group in groups), strict=True)
        for name, column in zip(self.trial.prototypes, columns, strict=True):
            if not isinstance(column[0], Tensor):
                values = [
                    each
                    for value, count in zip(column, counts, strict=True)
                    for each in (value if isinstance(value, list) else [value] * count)
                ]
                if name not in numbers or numbers[name][0] != values:
                    numbers[name] = values, _by_replica(torch.tensor(values, dtype=torch.float64), order)
                named[name] = numbers[name][1]
                continue
            named[name] = _by_replica(torch.cat(column), order)
        return named

    def _groups(self, theta: Tensor, state: State) -> Sequence[ParameterGroup]:
        """The groups that hold a state: those of the last update, or new ones into which it is loaded."""
        if self._live.get("state") is state:
            groups: Sequence[ParameterGroup] = self._live["groups"]
            return groups
        self._live["numbers"] = {}
        named = {name: rows for name, rows in state.items() if name not in (POINT, AVERAGE)}
        return self._loaded_groups(self._rows_of_groups(theta, named), theta, named)

    def _loaded_groups(
        self, rows_of_groups: Sequence[Sequence[int]], theta: Tensor, named: Mapping[str, Tensor]
    ) -> list[ParameterGroup]:
        """Groups of some rows each, with their state."""
        groups = []
        for rows in rows_of_groups:
            groups.append(self._make_group(rows, theta))
            if named[HAS_STEPPED][rows[0]]:
                groups[-1].load(self.trial.template, named)
        return groups

    def _make_group(self, rows: Sequence[int], theta: Tensor) -> ParameterGroup:
        makes = [self._make_of(row) for row in rows]
        if self.trial.together is Together.MAPPED and len(rows) > 1:
            lrs = lrs_of(makes, self.layout) if self._maps_lrs else None
            return MappedGroup(makes[0], self.layout, rows, theta, lrs)
        return ParameterGroup(makes[0], self.layout, rows, theta, is_stacked=self.trial.together is Together.STACKED)

    @property
    def _maps_lrs(self) -> bool:
        """Whether learning rates may differ in a group.

        A factor with both, 1 - lr * weight_decay, is rounded in another way if the learning rate is a tensor.
        """
        return self.trial.maps_lrs and not bool(self.weight_decay.any())

    def _make_of(self, row: int) -> MakeOptimizer:
        """What makes the optimizer of a replica from its parameters by name."""
        return partial(make_optimizer, self.optimizer_class, {**self.shared, **_values(self._arguments(), row)})

    def _arguments(self) -> dict[str, Tensor]:
        """The arguments that may differ between replicas, the learning rate and the weight decay among them."""
        decay = {"weight_decay": self.weight_decay} if self.trial.takes_weight_decay else {}
        return {"lr": self.lr, **decay, **self.own}

    def _rows_of_groups(self, theta: Tensor, named: Mapping[str, Tensor]) -> list[list[int]]:
        """Rows of the replicas that share a group: those with equal hyperparameters and step counts."""
        num_replicas, is_mapped = len(theta), self.trial.together is Together.MAPPED
        if self.trial.together is Together.ALONE or (is_mapped and theta.device.type != MAPPED_DEVICE):
            return [[row] for row in range(num_replicas)]
        own = self._arguments()
        lrs = {"lr": own.pop("lr"), **({} if self.schedule is None else self.schedule.tensors())}
        counts = {name: rows for name, rows in named.items() if rows.dim() == 1 and (is_number(name) or not is_mapped)}
        if is_mapped and self._maps_lrs:
            lrs, counts = {}, {name: rows for name, rows in counts.items() if not is_lr(name)}
        together: dict[Any, list[int]] = {}
        for row in range(num_replicas):
            key = (
                *(tuple(tensor[row].tolist()) for tensor in (*own.values(), *lrs.values())),
                *(count[row].item() for count in counts.values()),
            )
            makes_its_state = is_mapped and not named[HAS_STEPPED][row]
            together.setdefault((row, *key) if makes_its_state else key, []).append(row)
        smallest = SMALLEST_MAPPED if is_mapped else 1
        return [
            part
            for rows in together.values()
            for part in ([rows] if len(rows) >= smallest else [[row] for row in rows])
        ]

    @override
    def replicas(self, index: Tensor) -> Self:
        own = {name: tensor[index.to(tensor.device)] for name, tensor in self.own.items()}
        return replace(super().replicas(index), own=own)


def _values(tensors: Mapping[str, Tensor], row: int) -> dict[str, Any]:
    """The hyperparameters of one replica as numbers and tuples."""
    rows = {name: tensor[row].tolist() for name, tensor in tensors.items()}
    return {name: row[0] if len(row) == 1 else tuple(row) for name, row in rows.items()}


def _order(groups: Sequence[ParameterGroup]) -> Tensor | None:
    """Where the rows of each replica are among those of all groups, (R,), int64; None: in this order already."""
    rows = [row for group in groups for row in group.rows]
    return None if rows == sorted(rows) else torch.tensor(rows).argsort()


def _by_replica(joined: Tensor, order: Tensor | None) -> Tensor:
    """The rows of all groups in the order of the replicas."""
    return joined if order is None else joined[order.to(joined.device)]
