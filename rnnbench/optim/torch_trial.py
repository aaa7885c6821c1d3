"""Trial steps of a class with torch.optim's interface: what it needs, and whether it can train replicas together."""

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnbench.optim.mapped_group import MappedGroup, lrs_of
from rnnbench.optim.nested_state import stored
from rnnbench.optim.one_by_one import CannotStepTogetherError
from rnnbench.optim.parameter_group import Layout, MakeOptimizer, ParameterGroup

NUM_STEPS = 6
"""Trial steps before the state is saved, and after it; some classes do more at every tenth step."""

SCALES = (1e-3, 1.0, 30.0)
"""Factors of the parameters and gradients of the replicas in the trial."""

TRIED_LRS = (0.13, 0.0371, 0.5003)
"""Learning rates of the replicas where they differ; no float32 numbers, so that another rounding is noticed."""


class Together(Enum):
    """How a class trains several replicas with equal hyperparameters."""

    STACKED = "stacked"
    """Their parameters have a first axis for the replicas, of which the class knows nothing."""

    MAPPED = "mapped"
    """Its steps are made under torch.func.vmap; see `MappedGroup`."""

    ALONE = "alone"
    """Each replica has an optimizer of its own."""


NAMED = "named_parameters"
"""First argument of a class that takes pairs of name and parameter instead of parameters alone."""


@dataclass(frozen=True)
class Trial:
    """Results of the trial steps of a class.

    Attributes:
        template: Form of the nested state of one optimizer.
        prototypes: Name -> shape and type of the tensors and numbers of the state of one replica.
        together: How several replicas make, bit for bit, the steps that they make alone.
        maps_lrs: Whether they do so under vmap with different learning rates too.
        is_schedule_free: Whether it switches between training weights and their average (`train` and `eval`).
        draws_random_numbers: Whether its steps use torch's or numpy's global generator.
        takes_weight_decay: Whether it has the argument weight_decay.
        bytes_per_parameter: Memory of the state, per parameter of a replica.
    """

    template: Any
    prototypes: Mapping[str, tuple[torch.Size, torch.dtype]]
    together: Together
    maps_lrs: bool
    is_schedule_free: bool
    draws_random_numbers: bool
    takes_weight_decay: bool
    bytes_per_parameter: int


def make_optimizer(
    optimizer_class: Any, arguments: Mapping[str, Any], parameters: Mapping[str, Tensor]
) -> torch.optim.Optimizer:
    """Make an optimizer of a class from its arguments and the parameters by name."""
    first = next(iter(inspect.signature(optimizer_class).parameters))
    given = list(parameters.items()) if first == NAMED else list(parameters.values())
    optimizer: torch.optim.Optimizer = optimizer_class(given, **arguments)
    return optimizer


def try_class(optimizer_class: Any, layout: Layout, arguments: Mapping[str, Any], dtype: torch.dtype) -> Trial:
    """Make a few steps with a class.

    Args:
        optimizer_class: Class with torch.optim's interface.
        layout: Names and shapes of one replica's parameters.
        arguments: Its arguments besides the parameters, those of one replica.
        dtype: Type of the parameters.

    Raises:
        ValueError: The class does not take the arguments, needs a closure, fails, or keeps state that cannot be saved.
    """
    name = f"{optimizer_class.__module__}.{optimizer_class.__qualname__}"
    takes = _check_arguments(name, optimizer_class, arguments)
    own = {key: value for key, value in arguments.items() if key != "weight_decay" or takes}
    starts, gradients = _numbers(layout, dtype)
    make = _Maker(optimizer_class, own, layout, starts)
    try:
        group, draws = make([0]), False
        for gradient in gradients:
            before = _generators()
            group.step(starts, gradient, None)
            draws = draws or before != _generators()
    except Exception as error:
        raise ValueError(f"{name} failed at a trial step: {type(error).__name__}: {error}") from error
    template = group.template()
    _check_resume(name, make, gradients)
    tensors = stored(group.state())
    num_bytes = sum(tensor.numel() * tensor.itemsize for tensor in tensors.values())
    together, maps_lrs = _together(make, gradients, draws=draws, is_schedule_free=group.is_schedule_free)
    return Trial(
        template=template,
        prototypes={name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()},
        together=together,
        maps_lrs=maps_lrs,
        is_schedule_free=group.is_schedule_free,
        draws_random_numbers=draws,
        takes_weight_decay=takes,
        bytes_per_parameter=3 * num_bytes // starts.shape[1],  # in the optimizer, before and after an update
    )


def _check_arguments(name: str, optimizer_class: Any, arguments: Mapping[str, Any]) -> bool:
    """Check the arguments of a class; returns whether it takes weight_decay."""
    step = inspect.signature(optimizer_class.step).parameters.get("closure")
    if step is not None and step.default is inspect.Parameter.empty:
        raise ValueError(f"{name} needs a closure that computes the loss again, which a batch of one update has not")
    parameters = inspect.signature(optimizer_class).parameters
    known = [key for key, each in parameters.items() if each.kind is not each.VAR_KEYWORD][1:]
    for key, value in arguments.items():
        if key in known or (key == "weight_decay" and value == 0):
            continue
        raise ValueError(f"{name} has no argument {key}; it has {', '.join(known)}")
    return "weight_decay" in known


@dataclass(frozen=True)
class _Maker:
    """Makes the groups of the trial steps.

    Attributes:
        optimizer_class: Class with torch.optim's interface.
        arguments: Its arguments besides the parameters.
        layout: Names and shapes of one replica's parameters.
        theta: Parameters, a row for each replica; gives device and type.
        lrs: Learning rate of each replica; None: that of the arguments.
    """

    optimizer_class: Any
    arguments: Mapping[str, Any]
    layout: Layout
    theta: Tensor
    lrs: Sequence[float] | None = None

    def __call__(self, rows: Sequence[int], together: Together = Together.ALONE) -> ParameterGroup:
        """A group of some replicas."""
        makes = [self._make_of(row) for row in rows]
        if together is Together.MAPPED:
            lrs = None if self.lrs is None else lrs_of(makes, self.layout)
            return MappedGroup(makes[0], self.layout, rows, self.theta, lrs)
        return ParameterGroup(makes[0], self.layout, rows, self.theta, is_stacked=together is Together.STACKED)

    def _make_of(self, row: int) -> MakeOptimizer:
        own = {} if self.lrs is None else {"lr": self.lrs[row]}
        return partial(make_optimizer, self.optimizer_class, {**self.arguments, **own})


def _numbers(layout: Layout, dtype: torch.dtype) -> tuple[Tensor, list[Tensor]]:
    """Parameters and gradients of all trial steps, a row of each for every scale."""
    generator = torch.Generator().manual_seed(0)
    size = sum(math.prod(shape) for shape in layout.values())
    scale = torch.tensor(SCALES, dtype=dtype).unsqueeze(1)
    drawn = [torch.randn(len(scale), size, generator=generator, dtype=dtype) * scale for _ in range(2 * NUM_STEPS + 1)]
    return drawn[0], drawn[1:]


def _generators() -> tuple[bytes, bytes]:
    """The states of torch's and numpy's global generators."""
    keys = np.random.get_state()[1]  # type: ignore[index] # noqa: NPY002
    return torch.get_rng_state().numpy().tobytes(), keys.tobytes()


def _steps(group: ParameterGroup, theta: Tensor, gradients: Sequence[Tensor], first: int = 0) -> Tensor:
    """Make steps from theta; returns it with the rows of the group changed."""
    theta = theta.clone()
    for number, gradient in enumerate(gradients, first):
        group.step(theta, gradient, number)
        theta[group.rows] = group.weights()
    return theta


def _check_resume(name: str, make: _Maker, gradients: Sequence[Tensor]) -> None:
    """Check that an optimizer whose state was saved and loaded makes the same steps."""
    group = make([0])
    middle = _steps(group, torch.zeros_like(gradients[0]), gradients[:NUM_STEPS])
    resumed = make([0])
    resumed.load(group.template(), group.rows_of_state())
    rest = gradients[NUM_STEPS:]
    if not torch.equal(_steps(group, middle, rest, NUM_STEPS), _steps(resumed, middle, rest, NUM_STEPS)):
        raise ValueError(
            f"{name} keeps something outside the state and the parameter groups that torch.optim saves, "
            "so a run could not be resumed"
        )


def _together(
    make: _Maker, gradients: Sequence[Tensor], *, draws: bool, is_schedule_free: bool
) -> tuple[Together, bool]:
    """How replicas can be trained together so that each makes the steps that it makes alone, bit for bit.

    The second value is whether they may have different learning rates under vmap.
    """
    if not draws and _can_be_stacked(make, gradients):
        return Together.STACKED, False
    if is_schedule_free:
        return Together.ALONE, False
    if _can_be_mapped(replace(make, lrs=TRIED_LRS), gradients):
        return Together.MAPPED, True
    return Together.MAPPED if _can_be_mapped(make, gradients) else Together.ALONE, False


def _can_be_stacked(make: _Maker, gradients: Sequence[Tensor]) -> bool:
    """Whether replicas that are stacked make the steps that they make alone, bit for bit."""
    start = gradients[-1]
    try:
        stacked_group = make(range(len(start)), Together.STACKED)
        stacked = _steps(stacked_group, start, gradients)
    except Exception:
        return False  # it needs the shapes of the layout
    tensors = stored(stacked_group.state()).values()
    if any(tensor.dim() > 0 and tensor.shape[0] != len(stacked) for tensor in tensors):
        return False
    for row in range(len(start)):
        alone = _steps(make([row]), start, gradients)
        if not torch.equal(stacked[row], alone[row]):
            return False
    return True


def _can_be_mapped(make: _Maker, gradients: Sequence[Tensor]) -> bool:
    """Whether replicas under vmap, from the second step on, make the steps that they make alone, bit for bit."""
    groups = [make([row]) for row in range(len(SCALES))]
    alone = gradients[-1]
    for group in groups:
        alone = _steps(group, alone, gradients[:1])
    rows = [group.rows_of_state() for group in groups]
    try:
        mapped = make(range(len(groups)), Together.MAPPED)
        mapped.load(groups[0].template(), {name: torch.cat([each[name] for each in rows]) for name in rows[0]})
        theta = _steps(mapped, alone, gradients[1:], 1)
    except (Exception, CannotStepTogetherError):
        return False  # it branches on the values of tensors, or keeps state of another form after its first step
    for group in groups:
        alone = _steps(group, alone, gradients[1:], 1)
    rows = [group.rows_of_state() for group in groups]
    together = mapped.rows_of_state()
    same = together.keys() == rows[0].keys() and all(
        torch.equal(together[name], torch.cat([each[name] for each in rows])) for name in together
    )
    return same and torch.equal(theta, alone)
