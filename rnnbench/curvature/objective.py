"""One batch under one model and one loss, as a function of theta.

Letters: R replicas, P parameters of one replica, T time steps, S outputs of a sequence, B sequences, s size of
the model's whole state, o output units.
"""

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.curvature.engine import Block, Engine, split
from rnnbench.losses import Loss, mean_of
from rnnbench.models.base import Sweeps
from rnnbench.tasks.base import Batch


@dataclass(frozen=True)
class Gradient:
    """Loss and gradient of a batch, with what the probes may read.

    Attributes:
        loss: (R,).
        gradient: (R, P).
        trace: States and state gradients of the batch's first sequences.
        batch: The batch; of one in shares, this process's.
        num_sequences: B, of the whole batch.
    """

    loss: Tensor
    gradient: Tensor
    trace: "Trace"
    batch: Batch
    num_sequences: int


class Trace:
    """States and their gradients along the first sequences of a batch, as `Objective.loss_and_gradient` left them."""

    def __init__(self, engine: Engine, sweeps: Sequence[Sweeps]) -> None:
        self._sweeps = sweeps
        weakref.finalize(self, engine.give_back, sweeps)

    @property
    def num_sequences(self) -> int:
        """How many sequences of each replica are traced."""
        return min(one.shape.sequences for one in self._sweeps)

    def states(self, num_sequences: int) -> Tensor:
        """Whole states 0 .. T of the first sequences, (T + 1, R, num_sequences, s); a copy."""
        return torch.cat([one.states(num_sequences) for one in self._sweeps], dim=1)

    def state_gradients(self, num_sequences: int) -> Tensor:
        """Derivative of the batch's loss with respect to the whole states 1 .. T of the first sequences.

        The loss is the mean over B sequences: times B, this is the derivative of one sequence's own loss.

        Returns:
            (T, R, num_sequences, s); a copy.
        """
        return torch.cat([one.state_gradients(num_sequences) for one in self._sweeps], dim=1)


class Objective:
    """The loss of one batch, as a function of theta (R, P): the mean over a replica's B sequences and S outputs.

    Args:
        engine: Runs the sweeps.
        loss: Of one output.
        batch: The sequences.
    """

    def __init__(self, engine: Engine, loss: Loss, batch: Batch) -> None:
        self.engine, self.loss_function, self.batch = engine, loss, batch
        num_steps, num_replicas, num_sequences, _ = batch.inputs.shape
        self.num_steps, self.size = num_steps, num_sequences
        self.blocks = split(num_replicas, num_sequences, engine.threads)
        self.num_outputs = batch.targets.shape[0] * num_sequences

    def rows(self, start: int, stop: int) -> "Objective":
        """The objective of sequences start to stop of every replica."""
        return Objective(self.engine, self.loss_function, self.batch.rows(start, stop))

    def _block_batch(self, block: Block) -> Batch:
        return self.batch.replicas(block.replicas).rows(block.sequences.start, block.sequences.stop)

    def _forward(self, block: Block, weights: object) -> tuple[Sweeps, Tensor, Batch]:
        """Run one block forward on lent buffers; returns them, the outputs (S, r, b, o) and the block's batch."""
        batch = self._block_batch(block)
        sweeps = self.engine.lend(batch.inputs.shape[1], self.num_steps, batch.size)
        sweeps.load(batch)
        return sweeps, sweeps.forward(self.engine.model.slice_weights(weights, block.replicas)), batch

    def read_outputs(self, theta: Tensor, read: Callable[[Tensor, Batch], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Read something off the outputs, block by block, so that they are never all in memory at once.

        Args:
            theta: (R, P).
            read: From the readout (S, r, b, o) of a block's sequences at their output steps, and their batch, to
                tensors (..., r, b) by name.

        Returns:
            The tensors of all blocks put together, (..., R, B).
        """
        weights = self.engine.model.weights(theta)

        found: dict[str, Tensor] = {}
        lock = threading.Lock()

        def run(block: Block) -> None:
            sweeps, outputs, batch = self._forward(block, weights)
            self.engine.give_back([sweeps])
            # At once into the whole: pieces kept between the blocks' large tensors would fragment the heap.
            for name, piece in read(outputs, batch).items():
                with lock:
                    if name not in found:
                        found[name] = piece.new_empty(*piece.shape[:-2], *self.batch.inputs.shape[1:3])
                found[name][..., block.replicas, block.sequences] = piece

        self.engine.map(run, self.blocks)
        return found

    def outputs(self, theta: Tensor) -> Tensor:
        """The readout of every sequence at its output steps, (S, R, B, o)."""
        return self.read_outputs(theta, lambda outputs, _: {"outputs": outputs.movedim(-1, 0)})["outputs"].movedim(
            0, -1
        )

    def loss(self, theta: Tensor) -> Tensor:
        """The loss of every replica, (R,), float64."""
        values = self.read_outputs(
            theta, lambda outputs, batch: {"loss": self.loss_function.values(outputs, batch.targets)}
        )
        return mean_of(values["loss"])

    def loss_and_gradient(self, theta: Tensor) -> Gradient:
        """Loss (R,) and gradient (R, P) in one forward and one backward sweep; both in theta's dtype."""
        weights = self.engine.model.weights(theta)
        num_replicas = theta.shape[0]

        def run(block: Block) -> tuple[Tensor, Tensor, Sweeps | None]:
            sweeps, outputs, batch = self._forward(block, weights)
            values = self.loss_function.values(outputs, batch.targets).sum((0, 2), dtype=torch.float64)
            gradients = self.loss_function.gradient(outputs, batch.targets).div_(self.num_outputs)
            gradient = sweeps.backward(gradients)
            if block.sequences.start == 0:
                return values, gradient, sweeps
            self.engine.give_back([sweeps])
            return values, gradient, None

        loss = torch.zeros(num_replicas, dtype=torch.float64, device=theta.device)
        gradient = torch.zeros_like(theta)
        traced = []
        for block, (values, piece, sweeps) in zip(self.blocks, self.engine.map(run, self.blocks), strict=True):
            loss[block.replicas] += values / self.num_outputs
            gradient[block.replicas] += piece
            if sweeps is not None:
                traced.append(sweeps)
        return Gradient(loss, gradient, Trace(self.engine, traced), self.batch, self.size)

    def linearize(self, theta: Tensor, structural_damping: Tensor | None = None) -> "GaussNewton":
        """Linearize the outputs at theta: made once, applied to many vectors.

        Args:
            theta: (R, P).
            structural_damping: (R, 1), weight of the structural-damping matrix; None or all zeros: left out.
        """
        return GaussNewton(self, theta, structural_damping)


class GaussNewton:
    """The Gauss-Newton matrix of an objective at one theta, with structural damping, as a product.

    G = mean over sequences and outputs of J^T H J, where J is the Jacobian of an output with respect to theta and H the
    Hessian of its loss at that output; symmetric, and positive semi-definite since the losses are convex in the
    outputs. Structural damping adds weight * S, where S is the model's; for the simple recurrent net

        S = mean over sequences of sum over t of J_a(t)^T diag(f'(a_t)) J_a(t),

    where J_a(t) is the Jacobian of the pre-activations a_t. diag(f') is the Hessian of the matching loss of the
    nonlinearity; for tanh it is 1 - h^2, the cross-entropy between (1 + h)/2 before and after a step. For other cells
    S = mean over sequences of sum over t of J_h(t)^T J_h(t), of the hidden state h_t (`rnnbench.models.cell_sweeps`).

    Attributes:
        loss: Of the batch at theta, (R,), float64.

    Source: Schraudolph (2002), Neural Computation 14; Martens and Sutskever (2011), ICML, section 3.2.
    """

    def __init__(self, objective: Objective, theta: Tensor, structural_damping: Tensor | None) -> None:
        self.engine, self.objective = objective.engine, objective
        self.theta_shape = theta.shape
        weights = self.engine.model.weights(theta)
        self._blocks = self.engine.map(lambda block: objective._forward(block, weights), objective.blocks)
        weakref.finalize(self, self.engine.give_back, [sweeps for sweeps, _, _ in self._blocks])
        self.structural: Tensor | None = None
        if structural_damping is not None and bool((structural_damping != 0).any()):
            self.structural = (structural_damping / objective.size).to(theta.dtype).unsqueeze(-1)  # (R, 1, 1)
        self.loss = torch.zeros(theta.shape[0], dtype=torch.float64, device=theta.device)
        for block, (_, outputs, batch) in zip(objective.blocks, self._blocks, strict=True):
            values = objective.loss_function.values(outputs, batch.targets).sum((0, 2), dtype=torch.float64)
            self.loss[block.replicas] += values / objective.num_outputs

    def product(self, vector: Tensor, active: Sequence[bool] | None = None) -> Tensor:
        """Multiply each replica's matrix by one vector.

        Args:
            vector: One direction per replica, (R, P), theta's dtype and device.
            active: Which replicas are wanted; the rows of the others may be zero.

        Returns:
            (G + weight * S) @ vector for each replica, (R, P). A new tensor.

        Raises:
            ValueError: The vector's shape is not theta's.

        Cost: one linearized forward and one backward sweep, about one gradient of the same batch for the simple
        recurrent net and 1.5 for other cells.
        """
        if vector.shape != self.theta_shape:
            raise ValueError(f"expected a vector of theta's shape {tuple(self.theta_shape)}, got {tuple(vector.shape)}")
        objective, direction = self.objective, self.engine.model.weights(vector)

        def run(index: int) -> Tensor | None:
            block, (sweeps, outputs, _) = objective.blocks[index], self._blocks[index]
            if active is not None and not any(active[block.replicas]):
                return None
            tangents = sweeps.linearized_forward(self.engine.model.slice_weights(direction, block.replicas))
            cotangents = objective.loss_function.hessian_product(outputs, tangents).div_(objective.num_outputs)
            structural = None if self.structural is None else self.structural[block.replicas]
            return sweeps.linearized_backward(cotangents, structural)

        result = torch.zeros_like(vector)
        pieces = self.engine.map(run, range(len(objective.blocks)))
        for block, piece in zip(objective.blocks, pieces, strict=True):
            if piece is not None:
                result[block.replicas] += piece
        return result
