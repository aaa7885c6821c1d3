"""The simple recurrent net, with hand-derived sweeps through time.

    h_t = f(W_hh h_{t-1} + W_ih x_t + b),  t = 1 .. T, from a learned h_0;  z = W_out h + b_out at the output steps.

Three things make the sweeps fast. A step's operand is the row [h_{t-1}, x_t, 1], so that the whole pre-activation is
one product, and the gradient of all three weights is one product over all steps. The transposed weights are copied
once per theta, so that every product has a contiguous right-hand side. And all buffers, with their views for each step,
are made once and reused (`rnnbench.models.products` has the products themselves).

Letters: r replicas, b sequences, T time steps, S outputs of a sequence, n hidden units, d inputs, o outputs,
P parameters, c = n + d + 1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.models.base import BlockShape, Model, Parameters, State, Sweeps
from rnnbench.models.nonlinearity import NONLINEARITIES
from rnnbench.models.products import OuterSum, StepProducts, diverging_quietly, squeeze
from rnnbench.tasks.base import Batch

ROWS_PER_CHUNK = 2000
"""Rows, over steps and sequences, whose part of the weights' gradient is taken at once, while they are in cache."""


@dataclass(frozen=True)
class Weights:
    """Operands of the sweeps for R replicas.

    Attributes:
        step: (R, c, n), rows [W_hh^T; W_ih^T; b].
        recurrent: (R, n, n), W_hh.
        readout: (R, n, o), W_out^T.
        output_bias: (R, 1, o).
        initial_state: (R, 1, n).
    """

    step: Tensor
    recurrent: Tensor
    readout: Tensor
    output_bias: Tensor
    initial_state: Tensor


class SimpleRnn(Model):
    """The simple (Elman) recurrent net with a learned initial state and a linear readout.

    Args:
        input_size: d.
        output_size: o.
        hidden_size: n.
        nonlinearity: "tanh", "relu", "linear" or "sigmoid".

    Raises:
        ValueError: The nonlinearity is none of these.
    """

    matching_distances = ("cross_entropy", "squared_error")

    def __init__(self, input_size: int, output_size: int, hidden_size: int, nonlinearity: str = "tanh") -> None:
        if nonlinearity not in NONLINEARITIES:
            raise ValueError(f"model.nonlinearity must be one of {', '.join(NONLINEARITIES)}, got {nonlinearity}")
        self.input_size, self.output_size, self.hidden_size = input_size, output_size, hidden_size
        self.nonlinearity = NONLINEARITIES[nonlinearity]
        self.layout = {
            "weight_hh": (hidden_size, hidden_size),
            "weight_ih": (hidden_size, input_size),
            "bias": (hidden_size,),
            "initial_state": (hidden_size,),
            "weight_out": (output_size, hidden_size),
            "bias_out": (output_size,),
        }

    @override
    def weights(self, theta: Tensor) -> Weights:
        p = self.parameters(theta)
        step = torch.cat([p["weight_hh"].mT, p["weight_ih"].mT, p["bias"].unsqueeze(1)], dim=1)
        return Weights(
            step,
            p["weight_hh"],
            p["weight_out"].mT.contiguous(),
            p["bias_out"].unsqueeze(1),
            p["initial_state"].unsqueeze(1),
        )

    @override
    def slice_weights(self, weights: object, replicas: slice) -> Weights:
        assert isinstance(weights, Weights)
        return Weights(*(operand[replicas] for operand in vars(weights).values()))

    @override
    def sweeps(self, shape: BlockShape) -> "SimpleRnnSweeps":
        return SimpleRnnSweeps(self, shape)

    @override
    def block_bytes(self, shape: BlockShape) -> int:
        rows = shape.replicas * shape.steps * shape.sequences
        width = _padded(self.hidden_size + self.input_size + 1) + 2 * self.hidden_size
        return rows * width * shape.dtype.itemsize

    @override
    def step(self, parameters: Parameters, state: State, inputs: Tensor) -> State:
        recurrent, from_inputs = state[0] @ parameters["weight_hh"].mT, inputs @ parameters["weight_ih"].mT
        return (self.nonlinearity.of(recurrent + from_inputs + parameters["bias"].unsqueeze(1)),)

    @override
    def state_jacobians(self, theta: Tensor, states: Tensor, inputs: Tensor) -> Tensor:
        p = self.parameters(theta)
        (after,) = self.step(p, (states,), inputs)
        return self.nonlinearity.derivative(after).unsqueeze(-1) * p["weight_hh"].unsqueeze(1)


def _padded(width: int) -> int:
    """Width of a row in memory: whole cache lines make the product for the weights' gradient up to 20 % faster."""
    return -(-width // 16) * 16


class SimpleRnnSweeps(Sweeps):
    """Sweeps of the simple recurrent net over a block; see the module's first lines for the layout."""

    def __init__(self, model: SimpleRnn, shape: BlockShape) -> None:
        self.model, self.shape = model, shape
        r, steps, b = shape.replicas, shape.steps, shape.sequences
        n = self.n = model.hidden_size
        self.c = n + model.input_size + 1
        width = _padded(self.c)

        def buffer(*size: int) -> Tensor:
            return torch.zeros(size, dtype=shape.dtype, device=shape.device)

        # rows[:, t] = [h_t, x_{t+1}, 1]; tangents[:, t] = dh_t along a direction; pre_gradients[:, t - 1] = dL/da_t.
        self.rows = buffer(r, steps + 1, b, width)
        self.rows[..., self.c - 1] = 1
        self.tangents = buffer(r, steps + 1, b, n)
        self.pre_gradients = buffer(r, steps, b, n)
        self.products = StepProducts(shape, self.c * n)
        self.scratch, self.second_scratch = (self._squeeze(buffer(r, b, n)) for _ in range(2))
        self.row_steps = [self._squeeze(x)[..., : self.c] for x in self.rows.unbind(1)]
        self.state_steps = [x[..., :n] for x in self.row_steps]
        self.activate, view = model.nonlinearity.fastest(shape.device)
        self.activation_source = view(self.scratch)
        self.activation_targets = [view(state) for state in self.state_steps[1:]]
        self.tangent_steps = [self._squeeze(x) for x in self.tangents.unbind(1)]
        self.gradient_steps = [self._squeeze(x) for x in self.pre_gradients.unbind(1)]
        self.row_operands, self.tangent_operands, self.gradient_operands = (
            [self.products.rows(x) for x in steps]
            for steps in (self.row_steps, self.tangent_steps, self.gradient_steps)
        )
        self.product, self.second_product = map(self.products.rows, (self.scratch, self.second_scratch))
        self.step_gradient = OuterSum(buffer(r, n, width))
        length = max(1, ROWS_PER_CHUNK // b)
        self.chunks = {
            start: self.step_gradient.chunk(
                self.pre_gradients[:, start : start + length].flatten(1, 2),
                self.rows[:, start : min(start + length, steps)].flatten(1, 2),
            )
            for start in range(0, steps, length)
        }
        self.replica_index = torch.arange(r, device=shape.device).view(1, r, 1)
        self.sequence_index = torch.arange(b, device=shape.device).view(1, 1, b)

    def _squeeze(self, tensor: Tensor) -> Tensor:
        return squeeze(tensor, self.shape.replicas)

    @override
    def load(self, batch: Batch) -> None:
        self.rows[:, :-1, :, self.n : self.c - 1] = batch.inputs.transpose(0, 1)
        self.output_steps = batch.output_steps
        # Steps from first_end to last_end may be a sequence's last output; no gradient enters after last_end.
        self.first_end, self.last_end = 0, self.shape.steps - 1
        self.running: Tensor | None = None
        if batch.output_steps is not None:
            self.first_end = int(batch.output_steps.min())
            self.last_end = int(batch.output_steps.max())
            steps = torch.arange(self.first_end, self.shape.steps, device=self.shape.device).view(-1, 1, 1, 1)
            running = steps < batch.lengths.unsqueeze(-1)  # (steps, r, b, 1)
            self.running = running.to(self.shape.dtype)

    @override
    @diverging_quietly
    def forward(self, weights: object) -> Tensor:
        assert isinstance(weights, Weights)
        self.theta_weights = weights
        self.rows[:, 0, :, : self.n] = weights.initial_state
        step, product, multiply = self.products.matrix(weights.step), self.product, self.products.multiply
        activate, source = self.activate, self.activation_source
        for row, following in zip(self.row_operands[:-1], self.activation_targets, strict=True):
            multiply(row, step, out=product)
            activate(source, following)
        return torch.matmul(self._at_outputs(self.rows, self.n), weights.readout) + weights.output_bias

    def _at_outputs(self, sequence: Tensor, width: int) -> Tensor:
        """Rows of (r, T + 1, b, ...) after the output steps, (S, r, b, width)."""
        if self.output_steps is None:
            return sequence[:, 1:, :, :width].transpose(0, 1)
        return sequence[self.replica_index, self.output_steps + 1, self.sequence_index][..., :width]

    def _inject(self, state_gradients: Tensor) -> None:
        """Lay the readout's dL/dh, (S, r, b, n), into `pre_gradients` at the output steps, zeros elsewhere."""
        if self.output_steps is None:
            self.pre_gradients.copy_(state_gradients.transpose(0, 1))
        else:
            self.pre_gradients[:, self.first_end :].zero_()
            self.pre_gradients[self.replica_index, self.output_steps, self.sequence_index] = state_gradients

    @override
    def backward(self, output_gradients: Tensor) -> Tensor:
        return self._backward(output_gradients, None)

    @override
    def linearized_backward(self, output_gradients: Tensor, structural: Tensor | None, distance: str) -> Tensor:
        return self._backward(output_gradients, structural, distance)

    @diverging_quietly
    def _backward(self, output_gradients: Tensor, structural: Tensor | None, distance: str = "") -> Tensor:
        weights, pull_back = self.theta_weights, self.model.nonlinearity.backward
        recurrent, scratch = self.products.matrix(weights.recurrent), self.scratch
        self.output_gradients = output_gradients
        self._inject(torch.matmul(output_gradients, weights.readout.mT))
        first, last = self.first_end, self.last_end if structural is None else self.shape.steps - 1
        if structural is not None and distance == "squared_error":
            # As further gradients of the states, so that they pass through f' with the others.
            self.pre_gradients[:, :first].zero_()
            self.pre_gradients.addcmul_(self.tangents[:, 1:], structural.unsqueeze(1))
            first, structural = 0, None
        self.step_gradient.total.zero_()
        scale = None if structural is None else self._squeeze(structural)
        for t in range(last, -1, -1):
            gradient = self.gradient_steps[t]
            if t < last:
                self.products.multiply(self.gradient_operands[t + 1], recurrent, out=self.product)
                if t >= first:
                    scratch.add_(gradient)
                pull_back(scratch, self.state_steps[t + 1], gradient)
            else:
                pull_back(gradient, self.state_steps[t + 1], gradient)
            if scale is not None:
                gradient.addcmul_(self.tangent_steps[t + 1], scale)
            if t in self.chunks:
                self.step_gradient.add(self.chunks[t])
        return self._parameter_gradient(output_gradients)

    def _parameter_gradient(self, output_gradients: Tensor) -> Tensor:
        """Collect (r, P) from `pre_gradients` and (S, r, b, o), in the layout's order."""
        r, n = self.shape.replicas, self.n
        step = self.step_gradient.total  # (r, n, padded c)
        initial = torch.matmul(self.pre_gradients[:, 0].sum(1, keepdim=True), self.theta_weights.recurrent)
        states = self._at_outputs(self.rows, n).transpose(0, 1).flatten(1, 2)  # (r, S b, n)
        outputs = output_gradients.transpose(0, 1).flatten(1, 2)  # (r, S b, o)
        pieces = {
            "weight_hh": step[:, :, :n],
            "weight_ih": step[:, :, n : self.c - 1],
            "bias": step[:, :, self.c - 1],
            "initial_state": initial,
            "weight_out": torch.matmul(outputs.mT, states),
            "bias_out": outputs.sum(1),
        }
        return torch.cat([pieces[name].reshape(r, -1) for name in self.model.layout], dim=1)

    @override
    @diverging_quietly
    def linearized_forward(self, direction: object) -> Tensor:
        assert isinstance(direction, Weights)
        weights, push = self.theta_weights, self.model.nonlinearity.backward
        step, recurrent = map(self.products.matrix, (direction.step, weights.step[:, : self.n]))
        scratch, multiply = self.scratch, self.products.multiply
        self.tangents[:, 0] = direction.initial_state
        for t in range(self.shape.steps):
            multiply(self.row_operands[t], step, out=self.product)
            multiply(self.tangent_operands[t], recurrent, out=self.second_product)
            scratch.add_(self.second_scratch)
            push(scratch, self.state_steps[t + 1], self.tangent_steps[t + 1])
            if self.running is not None and t >= self.first_end:
                # States after a sequence's end touch no output; they must not enter structural damping either.
                self.tangent_steps[t + 1].mul_(self._squeeze(self.running[t - self.first_end]))
        tangents = self._at_outputs(self.tangents, self.n)
        states = self._at_outputs(self.rows, self.n)
        return torch.matmul(tangents, weights.readout) + torch.matmul(states, direction.readout) + direction.output_bias

    @override
    def states(self, sequences: int) -> Tensor:
        return self.rows[:, :, :sequences, : self.n].transpose(0, 1).clone()

    @override
    def state_gradients(self, sequences: int) -> Tensor:
        later = self.pre_gradients[:, 1:, :sequences]
        result = torch.zeros_like(self.pre_gradients[:, :, :sequences])
        result[:, :-1] = torch.matmul(later, self.theta_weights.recurrent.unsqueeze(1))
        at_outputs = torch.matmul(self.output_gradients[:, :, :sequences], self.theta_weights.readout.mT)
        if self.output_steps is None:
            result += at_outputs.transpose(0, 1)
        else:
            index = (self.replica_index, self.output_steps[:, :, :sequences], self.sequence_index[..., :sequences])
            result[index] += at_outputs
        return result.transpose(0, 1)
