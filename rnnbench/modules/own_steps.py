"""Steps of a cell of one's own: any module that is called once for each step.

The cell is called again, on the recorded states and arguments, for several steps at once: it has to compute each
sequence by itself, and the same at each step. That is checked against the recorded results.

Letters: T steps, B sequences, s size of the whole state, p parameters of the cell; K steps and b sequences that are
looked at.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from rnnbench.models.cell import rows_by_autograd
from rnnbench.objective.step_gradients import LagShares

TOLERANCE = 1e-3
"""Largest accepted difference between recorded and repeated results, relative to the largest of them."""


@dataclass(frozen=True)
class Call:
    """One call of a cell.

    Attributes:
        arguments: Everything that it was given, without the structure of tuples and dictionaries.
        form: That structure, of (args, kwargs).
        results: Everything that it returned, without structure.
    """

    arguments: Sequence[Any]
    form: TreeSpec
    results: Sequence[Any]


@dataclass(frozen=True)
class OwnSteps:
    """The calls of a cell.

    Attributes:
        name: Name of the cell, for messages.
        cell: The cell.
        calls: Its T calls.
        places: Index of each argument that is part of the state -> index of the result that it is at the next call.
        gradients: Gradient of the loss with respect to results of each call, by the index of the result.
    """

    name: str
    cell: torch.nn.Module
    calls: Sequence[Call]
    places: Mapping[int, int]
    gradients: Sequence[Mapping[int, Tensor]]

    @property
    def parts(self) -> list[int]:
        """Indices of the results that are parts of the state, in the order of the state."""
        return sorted(set(self.places.values()))

    def jacobians(self, steps: Tensor) -> Tensor:
        """See `Transitions.jacobians`; all sequences have the same steps. Cost: s backward passes."""
        count, calls = steps.shape[1], [self.calls[step] for step in steps[:, 0].tolist()]
        arguments = [self._together(index, calls, count) for index in range(len(calls[0].arguments))]
        parts = [arguments[self._origin(part)] for part in self.parts]
        before = torch.cat([part.flatten(1) for part in parts], 1).requires_grad_()  # (K b, s)
        slices = torch.split(before, [part[0].numel() for part in parts], 1)
        views = {part: flat.view_as(old) for part, flat, old in zip(self.parts, slices, parts, strict=True)}
        for argument, part in self.places.items():
            arguments[argument] = views[part]
        results = self._call(arguments, calls[0].form, dict(self.cell.named_parameters()))
        expected = [torch.cat([call.results[part][:count] for call in calls]) for part in self.parts]
        self._compare([results[part] for part in self.parts], expected)
        after = torch.cat([results[part].flatten(1) for part in self.parts], 1)
        self._check_connected(after, before)
        jacobians = rows_by_autograd(after, before)
        return jacobians.view(-1, count, *jacobians.shape[1:]).to("cpu", torch.float64)

    def _check_connected(self, after: Tensor, before: Tensor) -> None:
        """Check that states depend on the states before by operations that torch can differentiate.

        Raises:
            ValueError: They do not, so their Jacobians are not known.
        """
        if after.requires_grad:
            (found,) = torch.autograd.grad(after.sum(), before, retain_graph=True, allow_unused=True)
            if found is not None:
                return
        raise ValueError(
            f"the state that {self.name} returns does not depend on the state that it gets by operations that torch "
            "can differentiate: let the cell use the state, without detach() and without no_grad()"
        )

    def _origin(self, part: int) -> int:
        """Index of the first argument that is a part of the state."""
        return next(argument for argument, result in self.places.items() if result == part)

    def by_lag(self) -> LagShares:
        """See `Transitions.by_lag`. Cost: two gradients."""
        whole = torch.zeros(1, sum(parameter.numel() for parameter in self.cell.parameters()), dtype=torch.float64)
        for piece in self._pieces():
            whole += piece[0]
        return LagShares.of(whole, self._pieces())

    def _pieces(self) -> Iterator[Tensor]:
        """The gradient of the parameters by each step, the last one first, (1, 1, p), float64, on the CPU."""
        parameters = {name: each.detach().requires_grad_() for name, each in self.cell.named_parameters()}
        for call, gradients in zip(reversed(self.calls), reversed(self.gradients), strict=True):
            arguments = [each.detach() if isinstance(each, Tensor) else each for each in call.arguments]
            results = self._call(arguments, call.form, parameters)
            self._compare([results[index] for index in gradients], [call.results[index] for index in gradients])
            reached = [index for index in gradients if results[index].requires_grad]
            if not reached or not parameters:
                yield torch.zeros(1, 1, sum(each.numel() for each in parameters.values()), dtype=torch.float64)
                continue
            outputs, given = [results[index] for index in reached], [gradients[index] for index in reached]
            found = torch.autograd.grad(outputs, list(parameters.values()), given, materialize_grads=True)
            yield torch.cat([piece.to("cpu", torch.float64).flatten() for piece in found]).view(1, 1, -1)

    def _together(self, index: int, calls: Sequence[Call], count: int) -> Any:
        """One argument of some calls for the first sequences, as that of one call; what has no rows stays as it is."""
        first = calls[0].arguments[index]
        num_sequences = len(calls[0].results[self.parts[0]])
        if not isinstance(first, Tensor) or first.dim() == 0 or len(first) != num_sequences:
            return first
        return torch.cat([call.arguments[index][:count] for call in calls]).detach()

    def _call(self, arguments: Sequence[Any], form: TreeSpec, parameters: Mapping[str, Tensor]) -> list[Any]:
        args, kwargs = tree_unflatten(arguments, form)
        with torch.enable_grad():
            return tree_flatten(functional_call(self.cell, dict(parameters), args, kwargs))[0]

    def _compare(self, repeated: Sequence[Tensor], recorded: Sequence[Tensor]) -> None:
        for again, before in zip(repeated, recorded, strict=True):
            largest = before.detach().abs().max().clamp(min=torch.finfo(before.dtype).eps)
            if not (again - before).detach().abs().max() <= TOLERANCE * largest:
                raise ValueError(
                    f"{self.name} gives another result when it is called again with the same state: it has to treat "
                    "each sequence by itself and all steps alike, without randomness (module.eval() turns dropout off)"
                )
