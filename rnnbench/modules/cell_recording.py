"""Cells that a loop of their owner calls once for each step: those of torch, and cells of one's own.

Letters: T steps, B sequences, n hidden units, d inputs, s size of the whole state.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten
from torch.utils.hooks import RemovableHandle
from typing_extensions import override

from rnnbench.modules.own_steps import Call, OwnSteps
from rnnbench.modules.recording import Recording, on_host
from rnnbench.modules.torch_layers import layer_of
from rnnbench.modules.transitions import LayerStack, LayerSteps, Trajectory, Transitions


class CellRecording(Recording):
    """Calls of a cell. Its state is what it returns and gets again at the next call: the same tensor objects.

    Args:
        cell: The cell.
        name: Its name, for messages.
    """

    def __init__(self, cell: torch.nn.Module, name: str) -> None:
        super().__init__(name)
        self.cell = cell
        self.calls: list[Call] = []

    @override
    def attach(self) -> Sequence[RemovableHandle]:
        return [self.cell.register_forward_hook(self._record, with_kwargs=True)]

    def _record(self, cell: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> Any:
        """Return the same result in tensors whose gradients are those of the state; see `Recording`."""
        results, form = tree_flatten(output)
        own: dict[int, Tensor] = {}
        for tensor in results:
            if isinstance(tensor, Tensor) and tensor.is_floating_point() and id(tensor) not in own:
                alias = tensor.view_as(tensor)
                own[id(tensor)] = alias if alias.requires_grad else alias.requires_grad_()
        results = [own.get(id(each), each) for each in results]
        arguments, arguments_form = self._arguments(args, kwargs, results)
        self.calls.append(Call(arguments, arguments_form, results))
        return tree_unflatten(results, form)

    def _arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], results: Sequence[Any]) -> Any:
        """Arguments and their form; those of a cell of torch are its inputs and every part of its state."""
        if isinstance(self.cell, torch.nn.RNNCellBase):
            args, kwargs = (*_torch_arguments(*args, **kwargs),), {}
            if args[1] is None:
                args = (args[0], [torch.zeros_like(result) for result in results])
        return tree_flatten((args, dict(kwargs)))

    @override
    def trajectory(self, loss: Tensor) -> Trajectory:
        if not self.calls:
            raise ValueError(f"module(inputs) does not call {self.name}; of a compiled module give the original")
        places = self._places()
        parts = sorted(set(places.values()))
        states = [self._start(places), *([call.results[part] for part in parts] for call in self.calls)]
        if states[1][0].dim() < 2:
            raise ValueError(
                f"{self.name} has a state of shape {tuple(states[1][0].shape)}: give it (sequences, units)"
            )
        visited = _stack(states)
        self.check_states(visited)
        gradients = self._gradients(loss)
        by_state = _stack([[each[part] for part in parts] for each in gradients])
        lengths = torch.full((visited.shape[1],), len(self.calls))
        return Trajectory(visited, by_state, lengths, self._transitions(places, visited, gradients, by_state, lengths))

    def _places(self) -> dict[int, int]:
        """Index of each argument that is part of the state -> index of the result that it is at the next call.

        Raises:
            ValueError: The calls do not pass on a state.
        """
        if isinstance(self.cell, torch.nn.RNNCellBase):
            first = {index + 1: index for index in range(len(self.calls[0].results))}
        elif len(self.calls) == 1:
            raise ValueError(f"module(inputs) calls {self.name} once: call it once for each step")
        else:
            first = _passed_on(*self.calls[:2])
        for step, (before, after) in enumerate(zip(self.calls, self.calls[1:], strict=False), start=2):
            if not first or not first.items() <= _passed_on(before, after).items():
                raise ValueError(
                    f"call {step} of {self.name} does not get the state that the call before returned: call the cell "
                    "once for each step of one batch, and pass its state on as it is returned, the same tensors"
                )
        return first

    def _start(self, places: Mapping[int, int]) -> list[Tensor]:
        """The parts of the state at the first call.

        Raises:
            ValueError: It does not get them.
        """
        start = []
        for part in sorted(set(places.values())):
            argument = next(argument for argument, result in places.items() if result == part)
            result, arguments = self.calls[0].results[part], self.calls[0].arguments
            given = arguments[argument] if argument < len(arguments) else None
            if not isinstance(given, Tensor) or given.shape != result.shape:
                raise ValueError(
                    f"the first call of {self.name} does not get a state of shape {tuple(result.shape)}: give it one, "
                    "such as zeros, in the place of the later ones"
                )
            start.append(given)
        return start

    def _gradients(self, loss: Tensor) -> list[dict[int, Tensor]]:
        """Gradient of a loss with respect to the different results of each call, by their index."""
        places = []
        for call in self.calls:
            first = {id(each): index for index, each in reversed(list(enumerate(call.results)))}
            places.append([index for index in sorted(first.values()) if _is_number(call.results[index])])
        results = [call.results[index] for call, own in zip(self.calls, places, strict=True) for index in own]
        found = iter(self.gradients(loss, results))
        return [{index: next(found) for index in own} for own in places]

    def _transitions(
        self,
        places: Mapping[int, int],
        states: Tensor,
        gradients: Sequence[Mapping[int, Tensor]],
        by_state: Tensor,
        lengths: Tensor,
    ) -> Transitions:
        if not isinstance(self.cell, torch.nn.RNNCellBase):
            return OwnSteps(self.name, self.cell, self.calls, places, gradients)
        layer, inputs = layer_of(self.cell).on_host(), torch.stack([call.arguments[0] for call in self.calls])
        steps = LayerSteps(layer.model, layer.theta, layer.names, states, on_host(inputs), by_state)
        return LayerStack([steps], lengths)


def _torch_arguments(input: Tensor, hx: Any = None) -> tuple[Tensor, Any]:  # torch's names
    return input, hx


def _passed_on(before: Call, after: Call) -> dict[int, int]:
    """Index of each argument of a call that a result of the call before is -> index of that result, the first one."""
    results = {id(each): index for index, each in reversed(list(enumerate(before.results))) if _is_number(each)}
    return {index: results[id(each)] for index, each in enumerate(after.arguments) if id(each) in results}


def _is_number(each: Any) -> bool:
    return isinstance(each, Tensor) and each.is_floating_point()


def _stack(steps: Sequence[Sequence[Tensor]]) -> Tensor:
    """Parts of each step, (B, ...) each -> (steps, B, s), float64, on the CPU."""
    return on_host(torch.stack([torch.cat([part.flatten(1) for part in parts], 1) for parts in steps]))
