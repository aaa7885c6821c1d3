"""Base class of the sweeps of the simple recurrent net, for every backend of the recurrence.

A step's operand is the row [h_{t-1}, x_t, 1], so that the whole pre-activation is one product, and the gradient of all
three weights is one product over all steps. The transposed weights are copied once per theta, so that every product has
a contiguous right-hand side. All buffers are allocated once and reused.

Letters: r replicas, b sequences, T time steps, S outputs of a sequence, n hidden units, d inputs, o outputs,
P parameters, c = n + d + 1.
"""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.losses import Loss
from rnnbench.models.base import BlockShape, Model, Sweeps
from rnnbench.models.nonlinearity import Nonlinearity
from rnnbench.tasks.base import Batch


@dataclass(frozen=True)
class Weights:
    """Weights of the sweeps for R replicas.

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


def padded(width: int) -> int:
    """Width of a row padded to whole cache lines, which makes the weight-gradient product up to 20 % faster."""
    return -(-width // 16) * 16


class SimpleRnnSweeps(Sweeps):
    """Buffers, readout, and assembly of the gradient; a subclass runs the recurrences.

    Attributes:
        rows: (r, T + 1, b, padded c), [h_t, x_{t+1}, 1] at index t.
        tangents: (r, T + 1, b, n), dh_t along a direction.
        pre_gradients: (r, T, b, n), dL/da_t at index t - 1.
    """

    def __init__(self, model: Model, nonlinearity: Nonlinearity, shape: BlockShape) -> None:
        self.model, self.nonlinearity, self.shape = model, nonlinearity, shape
        r, steps, b = shape.replicas, shape.steps, shape.sequences
        n = self.n = model.hidden_size
        self.c = n + model.input_size + 1
        self.rows = self._buffer(r, steps + 1, b, padded(self.c))
        self.rows[..., self.c - 1] = 1
        self.tangents = self._buffer(r, steps + 1, b, n)
        self.pre_gradients = self._buffer(r, steps, b, n)
        self.replica_index = torch.arange(r, device=shape.device).view(1, r, 1)
        self.sequence_index = torch.arange(b, device=shape.device).view(1, 1, b)

    def _buffer(self, *size: int) -> Tensor:
        return torch.zeros(size, dtype=self.shape.dtype, device=self.shape.device)

    @abstractmethod
    def _run_states(self, weights: Weights) -> None:
        """Compute the states h_1 .. h_T from the h_0 and inputs in `rows`, and store them in `rows`."""

    @abstractmethod
    def _run_gradients(self, state_gradients: Tensor, structural: Tensor | None) -> None:
        """Compute `pre_gradients` from the readout's dL/dh at the output steps, (S, r, b, n)."""

    @abstractmethod
    def _outer_products(self, pre_gradients: Tensor, rows: Tensor) -> Tensor:
        """Sum over steps and sequences of the outer products of dL/da_t and [h_{t-1}, x_t, 1], (r, n, at least c).

        Args:
            pre_gradients: dL/da_t, (r, T, b, n), contiguous.
            rows: [h_{t-1}, x_t, 1] and what follows the last step, (r, T + 1, b, at least c), contiguous.
        """

    @abstractmethod
    def _run_tangents(self, direction: Weights) -> None:
        """Compute dh_1 .. dh_T in `tangents` from dh_0; zero after a sequence's end unless every step has an output."""

    @override
    def load(self, batch: Batch) -> None:
        self.rows[:, :-1, :, self.n : self.c - 1] = batch.inputs.transpose(0, 1)
        self.output_steps, self.lengths = batch.output_steps, batch.lengths

    @override
    def forward(self, weights: object) -> Tensor:
        assert isinstance(weights, Weights)
        self.theta_weights = weights
        self.rows[:, 0, :, : self.n] = weights.initial_state
        self._run_states(weights)
        return torch.matmul(self._at_outputs(self.rows, self.n), weights.readout) + weights.output_bias

    def _at_outputs(self, sequence: Tensor, width: int) -> Tensor:
        """Entries of (r, T + 1, b, ...) after the output steps, (S, r, b, width)."""
        if self.output_steps is None:
            return sequence[:, 1:, :, :width].transpose(0, 1)
        return sequence[self.replica_index, self.output_steps + 1, self.sequence_index][..., :width]

    @override
    def backward(self, output_gradients: Tensor) -> Tensor:
        return self._backward(output_gradients, None)

    @override
    def linearized_backward(self, output_gradients: Tensor, structural: Tensor | None) -> Tensor:
        return self._backward(output_gradients, structural)

    def _backward(self, output_gradients: Tensor, structural: Tensor | None) -> Tensor:
        self.output_gradients = output_gradients
        self._run_gradients(torch.matmul(output_gradients, self.theta_weights.readout.mT), structural)
        step = self._outer_products(self.pre_gradients, self.rows)
        initial = torch.matmul(self.pre_gradients[:, 0].sum(1, keepdim=True), self.theta_weights.recurrent)
        states, outputs = self._at_outputs(self.rows, self.n), output_gradients
        return self._assembled(step, initial, _outer_products_at_outputs(outputs, states), outputs)

    def _assembled(self, step: Tensor, initial: Tensor, readout: Tensor, outputs: Tensor) -> Tensor:
        """The gradient (r, P), in the layout's order.

        Args:
            step: Gradient of W_hh, W_ih and b side by side, (r, n, at least c).
            initial: Gradient of h_0, (r, 1, n).
            readout: Gradient of W_out, (r, o, n).
            outputs: dL/dz, (S, r, b, o).
        """
        n = self.n
        pieces = {
            "weight_hh": step[:, :, :n],
            "weight_ih": step[:, :, n : self.c - 1],
            "bias": step[:, :, self.c - 1],
            "initial_state": initial,
            "weight_out": readout,
            "bias_out": outputs.sum((0, 2)),
        }
        return torch.cat([pieces[name].reshape(self.shape.replicas, -1) for name in self.model.layout], dim=1)

    @override
    def linearized_forward(self, direction: object, *, for_damping: bool = True) -> Tensor:
        assert isinstance(direction, Weights)
        self.tangents[:, 0] = direction.initial_state
        self._run_tangents(direction)
        tangents = self._at_outputs(self.tangents, self.n)
        states = self._at_outputs(self.rows, self.n)
        readout = self.theta_weights.readout
        return torch.matmul(tangents, readout) + torch.matmul(states, direction.readout) + direction.output_bias

    @override
    def hessian_product(self, direction: object, loss: Loss, outputs: Tensor, targets: Tensor, divisor: int) -> Tensor:
        # A dot is the derivative along the direction; the backward sweep is differentiated step by step. The parts that
        # need no recurrence are computed for all steps at once. rnnbench/native/srn_hessian.h has the equations.
        assert isinstance(direction, Weights)
        weights = self.theta_weights
        slopes = loss.gradient(outputs, targets).div_(divisor)  # dL/dz
        self.output_gradients = slopes
        self._run_gradients(torch.matmul(slopes, weights.readout.mT), None)
        curved = loss.hessian_product(outputs, self.linearized_forward(direction)).div_(divisor)  # dL/dz.
        states, tangents = self.rows[:, 1:, :, : self.n], self.tangents[:, 1:]
        bent = self.nonlinearity.bend(states).mul_(tangents).mul_(self._all_state_gradients(self.shape.sequences))
        at_outputs = torch.matmul(curved, weights.readout.mT) + torch.matmul(slopes, direction.readout.mT)
        changes = self._place_at_outputs(at_outputs)  # dL/dh., later dL/da.
        later = self.pre_gradients[:, 1:].flatten(1, 2)
        changes[:, :-1] += torch.bmm(later, direction.recurrent).view_as(changes[:, 1:])
        for t in range(self.shape.steps - 1, -1, -1):
            if t + 1 < self.shape.steps:
                changes[:, t].baddbmm_(changes[:, t + 1], weights.recurrent)
            self.nonlinearity.backward(changes[:, t], states[:, t], changes[:, t])
            changes[:, t] += bent[:, t]
        step = self._outer_products(changes, self.rows)
        step[:, :, : self.n] += self._outer_products(self.pre_gradients, self.tangents)
        first, first_change = self.pre_gradients[:, 0], changes[:, 0]
        initial = torch.matmul(first_change.sum(1, keepdim=True), weights.recurrent)
        initial += torch.matmul(first.sum(1, keepdim=True), direction.recurrent)
        readout = _outer_products_at_outputs(curved, self._at_outputs(self.rows, self.n))
        readout += _outer_products_at_outputs(slopes, self._at_outputs(self.tangents, self.n))
        return self._assembled(step, initial, readout, curved)

    @override
    def states(self, sequences: int) -> Tensor:
        return self.rows[:, :, :sequences, : self.n].transpose(0, 1).clone()

    @override
    def state_gradients(self, sequences: int) -> Tensor:
        return self._all_state_gradients(sequences).transpose(0, 1)

    def _all_state_gradients(self, sequences: int) -> Tensor:
        """dL/dh_t of the last `_run_gradients` for the first sequences, (r, T, sequences, n), new."""
        at_outputs = torch.matmul(self.output_gradients[:, :, :sequences], self.theta_weights.readout.mT)
        result = self._place_at_outputs(at_outputs)
        # One product for all steps of a replica; a batched product over steps would copy the weights for each step.
        later = self.pre_gradients[:, 1:, :sequences]
        result[:, :-1] += torch.bmm(later.flatten(1, 2), self.theta_weights.recurrent).view(later.shape)
        return result

    def _place_at_outputs(self, at_outputs: Tensor) -> Tensor:
        """Entries at the output steps, (S, r, sequences, n), among zeros, (r, T, sequences, n), new."""
        if self.output_steps is None:
            return at_outputs.transpose(0, 1).contiguous()
        sequences = at_outputs.shape[2]
        result = at_outputs.new_zeros(self.shape.replicas, self.shape.steps, sequences, self.n)
        index = (self.replica_index, self.output_steps[:, :, :sequences], self.sequence_index[..., :sequences])
        result[index] = at_outputs
        return result


def _outer_products_at_outputs(outputs: Tensor, states: Tensor) -> Tensor:
    """Sum over outputs and sequences of the outer products of (S, r, b, o) and (S, r, b, n), (r, o, n)."""
    return torch.matmul(outputs.transpose(0, 1).flatten(1, 2).mT, states.transpose(0, 1).flatten(1, 2))
