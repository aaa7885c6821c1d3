"""Sweeps by native kernels: one call for all steps of a block.

Letters as in `rnnbench.models.base`.
"""

import ctypes

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.losses import LOSSES, Loss
from rnnbench.models.base import BlockShape, Model, Share, Sweeps
from rnnbench.models.native_memory import padded, scratch, tile_size
from rnnbench.native import calls
from rnnbench.tasks.base import Batch

FLOPS_WORTH_A_WORKER = 2e7
"""Work for which a further worker is woken, which takes about 50 microseconds."""


def _native_name(loss: Loss) -> str | None:
    """Name of a loss that the kernels compute, or None."""
    return next((name for name in calls.LOSSES if loss is LOSSES[name]), None)


class NativeSweeps(Sweeps):
    """Sweeps of a net over a block, on a CPU.

    The weights of `forward` and `linearized_forward` are rows of theta and of a direction, (r, P).

    Args:
        model: The net; it has the kernels' layout of parameters.
        shape: Shape of the block.
        library: The kernels of the net for the block's type of numbers.
        share: Runs a part of the work on several threads.
        nonlinearity: Nonlinearity of the simple recurrent net; other kernels have their own.
    """

    def __init__(
        self, model: Model, shape: BlockShape, library: calls.Library, share: Share, nonlinearity: str = "tanh"
    ) -> None:
        self.model, self.shape, self.library, self.share = model, shape, library, share
        r, steps, b, n, o = shape.replicas, shape.steps, shape.sequences, model.hidden_size, model.output_size
        tile = tile_size(b)
        self.num_tiles = -(-b // tile)
        self.num_parameters = model.num_parameters
        self.width = padded(n + model.input_size + 1, shape.dtype)
        self.rows = self.saved = self.tangents = self._empty(0)  # allocated when they are needed
        self.num_kept = 0  # first sequences whose states are in them
        self.missing = torch.empty(r, dtype=torch.int64)
        self.block = calls.Block(
            replicas=r,
            sequences=b,
            steps=steps,
            hidden=n,
            inputs=model.input_size,
            outputs=o,
            tile=tile,
            nonlinearity=calls.NONLINEARITIES.index(nonlinearity),
            missing=self.missing.data_ptr(),
        )
        self.partials = self._empty(r * self.num_tiles * library.partial_size(self.block))
        self.block.partials = self.partials.data_ptr()
        self.flops = 2 * r * b * steps * sum(model.layout[name].size for name in model.step_parameters)

    def _empty(self, *size: int) -> Tensor:
        return torch.empty(size, dtype=self.shape.dtype)

    def _checked(self, tensor: Tensor, *size: int) -> Tensor:
        """Check what the kernels will read without checks: a tensor of the block's type, of a size, on the CPU."""
        if tensor.shape != size or tensor.dtype != self.shape.dtype or tensor.device.type != "cpu":
            found = f"{tensor.dtype} of size {tuple(tensor.shape)} on {tensor.device}"
            raise ValueError(f"expected {self.shape.dtype} of size {size} on cpu, got {found}")
        return tensor if tensor.stride(-1) == 1 or size[-1] == 1 else tensor.contiguous()

    @override
    def load(self, batch: Batch) -> None:
        shape, block = self.shape, self.block
        size = (shape.steps, shape.replicas, shape.sequences, self.model.input_size)
        self.inputs = self._checked(batch.inputs.to(shape.dtype), *size)
        self.ends, self.lengths = batch.output_steps, batch.lengths.to(torch.int64)
        if self.ends is not None:
            self.ends = self.ends.to(torch.int64)
            first, last = self.ends.aminmax()
            if self.ends.shape[1:] != size[1:3] or self.lengths.shape != size[1:3]:
                raise ValueError(f"expected outputs and lengths of {size[1:3]} sequences")
            if first < 0 or last >= shape.steps:
                raise ValueError(f"outputs at steps {int(first)} to {int(last)}, but the sequences have {shape.steps}")
        block.input, block.input_strides[:] = self.inputs.data_ptr(), self.inputs.stride()[:3]
        block.ends = block.lengths = None
        block.num_outputs = self.shape.steps
        if self.ends is not None:
            block.num_outputs = len(self.ends)
            block.ends, block.end_strides[:] = self.ends.data_ptr(), self.ends.stride()
            block.lengths, block.length_strides[:] = self.lengths.data_ptr(), self.lengths.stride()

    def _run(self, sweep: int, num_products: int) -> None:
        """Run the tiles of the block on as many workers as they are worth."""
        block, run = self.block, self.library.run
        block.next = 0
        num_bytes = self.library.scratch_bytes(block)
        reference = ctypes.byref(block)

        def work() -> None:
            run(reference, sweep, scratch(num_bytes).data_ptr())

        worth = int(num_products * self.flops / FLOPS_WORTH_A_WORKER)
        self.share(work, min(self.shape.replicas * self.num_tiles, max(1, worth)))

    def _values(self) -> Tensor:
        return self._empty(self.block.num_outputs, self.shape.replicas, self.shape.sequences, self.model.output_size)

    @override
    def forward(self, weights: object) -> Tensor:
        return self._forward(weights, self.shape.sequences, keeps_states=True)

    @override
    def outputs(self, weights: object) -> Tensor:
        return self._forward(weights, self.shape.sequences, keeps_states=False)

    def _forward(self, weights: object, sequences: int, *, keeps_states: bool) -> Tensor:
        """Run the tiles of the first sequences forward."""
        outputs = self._outputs_to_come(weights)
        self._set_memory(keeps_states=keeps_states)
        self.block.traced = sequences
        self._run(calls.FORWARD, 1)
        self.num_kept = sequences if keeps_states else 0
        return outputs

    def _set_memory(self, *, keeps_states: bool) -> None:
        """Let the kernels keep the states of the whole block, or of each tile only while a thread works on it."""
        block, shape = self.block, self.shape
        if keeps_states and not self.rows.numel():
            steps = (shape.steps + 1) * shape.sequences
            self.rows = self._empty(shape.replicas, steps, self.width)
            width = padded(self.model.hidden_size, shape.dtype)
            self.saved = self._empty(shape.replicas, steps, self.library.num_saved, width)
        block.rows = self.rows.data_ptr() if keeps_states else None
        block.saved = self.saved.data_ptr() if keeps_states else None
        self.num_kept = 0

    def _need_states(self, sequences: int) -> None:
        """Compute the states of the first sequences again if the last sweeps have not kept them."""
        if self.num_kept < sequences:
            self._forward(self.theta, sequences, keeps_states=True)

    def _outputs_to_come(self, weights: object) -> Tensor:
        """Set the weights, and memory for the outputs."""
        assert isinstance(weights, Tensor)
        self.theta = weights = self._checked(weights, self.shape.replicas, self.num_parameters)
        outputs = self._values()
        self.block.theta, self.block.theta_stride = weights.data_ptr(), weights.stride(0)
        self.block.values = outputs.data_ptr()
        return outputs

    @override
    def loss_and_gradient(self, weights: object, loss: Loss, targets: Tensor, divisor: int) -> tuple[Tensor, Tensor]:
        name = _native_name(loss)
        if name is None:
            return super().loss_and_gradient(weights, loss, targets, divisor)
        block, r = self.block, self.shape.replicas
        outputs = self._outputs_to_come(weights)
        self._set_memory(keeps_states=False)
        targets = self._checked_targets(name, targets)
        losses = torch.empty(r, dtype=torch.float64)
        tile_losses = torch.empty(r, self.num_tiles, dtype=torch.float64)
        block.targets, block.divisor, block.loss = targets.data_ptr(), divisor, calls.LOSSES.index(name)
        block.losses, block.tile_losses = losses.data_ptr(), tile_losses.data_ptr()
        try:
            gradient = self._gradient(calls.GRADIENT, 3, outputs, None)
        finally:
            block.losses = None
        return losses, gradient

    @override
    def curvature_product(
        self,
        direction: object,
        loss: Loss,
        outputs: Tensor,
        divisor: int,
        structural: Tensor | None = None,
    ) -> Tensor:
        name = _native_name(loss)
        if name is None:
            return super().curvature_product(direction, loss, outputs, divisor, structural)
        tangents = self._tangents_to_come(direction, keeps_tangents=False)
        outputs = self._checked(outputs, *tangents.shape).contiguous()
        self.block.predictions, self.block.divisor = outputs.data_ptr(), divisor
        self.block.loss = calls.LOSSES.index(name)
        return self._gradient(calls.PRODUCT, 4, tangents, structural)

    @override
    def hessian_product(self, direction: object, loss: Loss, outputs: Tensor, targets: Tensor, divisor: int) -> Tensor:
        tangents = self.linearized_forward(direction)  # which keeps those of the states
        slopes = self._checked(loss.gradient(outputs, targets).div_(divisor), *tangents.shape).contiguous()
        self.block.predictions = slopes.data_ptr()
        return self._gradient(calls.HESSIAN_BACKWARD, 5, loss.hessian_product(outputs, tangents).div_(divisor), None)

    def _checked_targets(self, name: str, targets: Tensor) -> Tensor:
        """Check targets, which the kernels read without checks."""
        shape, o = self.shape, self.model.output_size
        size = (self.block.num_outputs, shape.replicas, shape.sequences)
        if name != "softmax_cross_entropy":
            return self._checked(targets.to(shape.dtype), *size, o).contiguous()
        if targets.shape != size:
            raise ValueError(f"expected targets of size {size}, got {tuple(targets.shape)}")
        least, most = (int(bound) for bound in targets.aminmax())
        if least < 0 or most >= o:
            raise ValueError(f"targets must be classes 0 to {o - 1}, got {least} to {most}")
        return targets.to(torch.int64).contiguous()

    @override
    def backward(self, output_gradients: Tensor) -> Tensor:
        return self.linearized_backward(output_gradients, None)

    @override
    def linearized_backward(self, output_gradients: Tensor, structural: Tensor | None) -> Tensor:
        size = (self.block.num_outputs, self.shape.replicas, self.shape.sequences, self.model.output_size)
        output_gradients = self._checked(output_gradients, *size).contiguous()
        if structural is not None and self.block.tangents is None:
            raise ValueError("structural damping needs linearized_forward(..., for_damping=True) before")
        self._need_states(self.shape.sequences)
        return self._gradient(calls.BACKWARD, 2, output_gradients, structural)

    def _gradient(self, sweep: int, num_products: int, output_gradients: Tensor, structural: Tensor | None) -> Tensor:
        """Run a sweep that ends with a gradient, (r, P).

        Args:
            sweep: BACKWARD, or GRADIENT or PRODUCT, which compute the output gradients in their place.
            num_products: Matrix products of a step.
            output_gradients: Given, or to come.
            structural: As in `linearized_backward`.
        """
        block, shape = self.block, self.shape
        self.output_gradients = output_gradients
        gradient = self._empty(shape.replicas, self.num_parameters)
        block.values, block.gradient = self.output_gradients.data_ptr(), gradient.data_ptr()
        block.structural = None
        if structural is not None:
            structural = self._checked(structural, shape.replicas, 1, 1).contiguous()
            block.structural = structural.data_ptr()
        self.missing.fill_(self.num_tiles)
        self._run(sweep, num_products)
        return gradient

    @override
    def linearized_forward(self, direction: object, *, for_damping: bool = True) -> Tensor:
        tangents = self._tangents_to_come(direction, keeps_tangents=for_damping)
        self._run(calls.TANGENTS, 2)
        return tangents

    def _tangents_to_come(self, direction: object, *, keeps_tangents: bool) -> Tensor:
        """Set the direction, and memory for the tangents of the outputs and, if they are kept, of the states."""
        assert isinstance(direction, Tensor)
        self._need_states(self.shape.sequences)
        block, shape = self.block, self.shape
        if keeps_tangents and not self.tangents.numel():
            width = padded(self.model.hidden_size, shape.dtype)
            self.tangents = self._empty(shape.replicas * (shape.steps + 1) * shape.sequences * width)
        direction = self._checked(direction, shape.replicas, self.num_parameters)
        tangents = self._values()
        block.tangents, block.structural = self.tangents.data_ptr() if keeps_tangents else None, None
        block.direction, block.direction_stride = direction.data_ptr(), direction.stride(0)
        block.values = tangents.data_ptr()
        return tangents

    @override
    def states(self, sequences: int) -> Tensor:
        self._need_states(sequences)
        shape, tile = self.shape, self.block.tile
        steps, n = shape.steps + 1, self.model.hidden_size
        parts = [self.rows]
        if self.model.num_state_parts > 1:
            parts.append(self.saved[:, :, 0])
        result = self._empty(steps, shape.replicas, sequences, self.model.state_size)
        for part, kept in zip(parts, result.chunk(len(parts), -1), strict=True):
            for start in range(0, sequences, tile):
                stop = min(start + tile, shape.sequences)
                own = part[:, start * steps : stop * steps].reshape(shape.replicas, steps, stop - start, -1)
                kept[:, :, start:stop] = own[:, :, : sequences - start, :n].transpose(0, 1)
        return result

    @override
    def state_gradients(self, sequences: int) -> Tensor:
        self._need_states(sequences)
        shape, block = self.shape, self.block
        result = torch.zeros(shape.steps, shape.replicas, sequences, self.model.state_size, dtype=shape.dtype)
        block.values, block.structural, block.traced = self.output_gradients.data_ptr(), None, sequences
        block.state_gradients = result.data_ptr()
        try:
            self._run(calls.STATE_GRADIENTS, 1)
        finally:
            block.state_gradients = None
        return result
