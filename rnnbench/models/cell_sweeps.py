"""Sweeps through time of any cell, by automatic differentiation of its step.

`forward` records the steps for autograd and keeps the graph. Every backward sweep is one autograd pass over this graph:
nothing is recomputed, and the loop over time runs outside Python. `linearized_forward` runs the steps on dual numbers
(forward mode). There is no double backward.

Letters as in `rnnbench.models.cell`.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.models.base import BIAS_OUT, INITIAL_STATE, WEIGHT_OUT, BlockShape, Model, State
from rnnbench.models.forward_mode import dual_level, make_dual, tangent_of
from rnnbench.models.readout_sweeps import ReadoutSweeps, named
from rnnbench.tasks.base import Batch


class CellSweeps(ReadoutSweeps):
    """Sweeps of a cell over a block.

    Structural damping applies to the hidden state h, the first part of the state:

        S = mean over sequences of sum over t of J_h(t)^T J_h(t),

    where J_h(t) is the Jacobian of h_t with respect to theta, and t runs over the steps of the sequence. To second
    order, this is half the squared distance between the hidden states before and after a change of theta. Other parts
    of the state are damped only through their effect on h.
    """

    def __init__(self, model: Model, shape: BlockShape) -> None:
        super().__init__(model, shape)
        size = (shape.steps, shape.replicas, shape.sequences, model.hidden_size)
        self.tangents = torch.zeros(size, dtype=shape.dtype, device=shape.device)  # [t - 1]: dh_t along a direction

    @override
    def load(self, batch: Batch) -> None:
        super().load(batch)
        self.record: list[State] = []  # frees the steps of the last batch before the next are recorded
        self.inputs = batch.inputs.contiguous().unbind(0)
        self.running: Tensor | None = None
        if batch.output_steps is not None:
            steps = torch.arange(self.first, self.shape.steps, device=self.shape.device).view(-1, 1, 1, 1)
            self.running = (steps < batch.lengths.unsqueeze(-1)).to(self.shape.dtype)  # (steps, r, b, 1)

    @override
    def forward(self, weights: object) -> Tensor:
        self.weights = weights = named(weights)
        names = [*self.model.step_parameters, INITIAL_STATE]
        self.parameters = {name: weights[name].detach().requires_grad_() for name in names}
        with torch.enable_grad():
            self.record = [self.model.initial_state(self.parameters, self.shape.sequences)]
            effective = self.model.effective_parameters(self.parameters)
            for inputs in self.inputs:
                state = self.model.step(effective, self.record[-1], inputs)
                # Views, so that the derivative with respect to one part holds the others fixed (c_t and h_t).
                self.record.append(tuple(part.view_as(part) for part in state))
        return self._read_out(torch.stack([state.detach() for state in self._hidden_states()]))

    def _hidden_states(self) -> list[Tensor]:
        """The recorded h of the steps from first to last."""
        return [state[0] for state in self.record[self.first + 1 : self.last + 2]]

    @override
    def backward(self, output_gradients: Tensor) -> Tensor:
        self.injected = self._inject(output_gradients)
        return self._parameter_gradient(self._hidden_states(), self.injected, output_gradients)

    @override
    def linearized_backward(self, output_gradients: Tensor, structural: Tensor | None) -> Tensor:
        injected = self._inject(output_gradients)
        if structural is None:
            return self._parameter_gradient(self._hidden_states(), injected, output_gradients)
        gradients = self.tangents * structural
        gradients[self.first : self.last + 1] += injected
        return self._parameter_gradient([state[0] for state in self.record[1:]], gradients, output_gradients)

    def _parameter_gradient(self, hidden: list[Tensor], gradients: Tensor, output_gradients: Tensor) -> Tensor:
        """Backpropagate dL/dh of the given steps, and dL/dz, to the parameters: (r, P), in the layout's order."""
        pieces = dict(zip(self.parameters, self._pull_back(hidden, gradients, self.parameters.values()), strict=True))
        return self._collect(pieces, output_gradients)

    @staticmethod
    def _pull_back(hidden: list[Tensor], gradients: Tensor, inputs: Iterable[Tensor]) -> tuple[Tensor, ...]:
        """Backpropagate dL/dh of the given steps, (steps, r, b, n), through the recorded graph, which is kept."""
        return torch.autograd.grad(
            hidden, tuple(inputs), gradients.unbind(0), retain_graph=True, allow_unused=True, materialize_grads=True
        )

    @override
    def linearized_forward(self, direction: object, *, for_damping: bool = True) -> Tensor:
        weights, direction = self.weights, named(direction)
        with torch.no_grad(), dual_level():
            dual = {name: make_dual(weights[name], direction[name]) for name in self.parameters}
            state = self.model.initial_state(dual, self.shape.sequences)
            effective = self.model.effective_parameters(dual)
            for inputs, tangent in zip(self.inputs, self.tangents, strict=True):
                state = self.model.step(effective, state, inputs)
                tangent.copy_(tangent_of(state[0]))
        if self.running is not None:
            # States after a sequence's end affect no output; they must not enter structural damping either.
            self.tangents[self.first :].mul_(self.running)
        tangents = self._at_outputs(self.tangents[self.first : self.last + 1])
        through_states = torch.matmul(tangents, weights[WEIGHT_OUT].mT)
        readout = torch.matmul(self.output_states, direction[WEIGHT_OUT].mT)
        return through_states + readout + direction[BIAS_OUT].unsqueeze(1)

    @override
    def states(self, sequences: int) -> Tensor:
        return torch.stack([torch.cat([part.detach()[:, :sequences] for part in x], -1) for x in self.record])

    @override
    def state_gradients(self, sequences: int) -> Tensor:
        # A separate backward pass, so that updates without this probe do not pay for it.
        parts = [part for state in self.record[1:] for part in state]
        gradients = self._pull_back(self._hidden_states(), self.injected, parts)
        num_parts = self.model.num_state_parts
        steps = [gradients[start : start + num_parts] for start in range(0, len(gradients), num_parts)]
        return torch.stack([torch.cat(step, -1)[:, :sequences] for step in steps])
