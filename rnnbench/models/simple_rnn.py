"""The simple recurrent net.

    h_t = f(W_hh h_{t-1} + W_ih x_t + b),  t = 1 .. T, from a learned h_0;  z = W_out h + b_out at the output steps.

Its sweeps through time are derived by hand: `rnnbench.models.simple_rnn_sweeps`.

Letters: R replicas, b sequences, n hidden units, d inputs, o outputs, c = n + d + 1.
"""

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.kernels.availability import unavailable_reason
from rnnbench.models.base import BlockShape, Model, Parameters, State
from rnnbench.models.kernel_sweeps import KernelSweeps
from rnnbench.models.nonlinearity import NONLINEARITIES
from rnnbench.models.parameters import Parameter
from rnnbench.models.simple_rnn_sweeps import SimpleRnnSweeps, Weights, padded
from rnnbench.models.step_sweeps import StepSweeps

RECURRENCES = ("auto", "torch", "triton")


class SimpleRnn(Model):
    """The simple (Elman) recurrent net with a learned initial state and a linear readout.

    Args:
        input_size: d.
        output_size: o.
        hidden_size: n.
        nonlinearity: "tanh", "relu", "linear" or "sigmoid".
        recurrence: Backend of the recurrence: "torch" operations, "triton" kernels, or "auto": kernels on a GPU that
            can run them, otherwise torch.

    Raises:
        ValueError: The nonlinearity or the recurrence is unknown.
    """

    matching_distances = ("cross_entropy", "squared_error")

    def __init__(
        self,
        input_size: int,
        output_size: int,
        hidden_size: int,
        nonlinearity: str = "tanh",
        recurrence: str = "auto",
    ) -> None:
        if nonlinearity not in NONLINEARITIES:
            raise ValueError(f"model.nonlinearity must be one of {', '.join(NONLINEARITIES)}, got {nonlinearity}")
        if recurrence not in RECURRENCES:
            raise ValueError(f"model.recurrence must be one of {', '.join(RECURRENCES)}, got {recurrence}")
        self.input_size, self.output_size, self.hidden_size = input_size, output_size, hidden_size
        self.recurrence, self.nonlinearity = recurrence, NONLINEARITIES[nonlinearity]
        self.layout = {
            "weight_hh": Parameter((hidden_size, hidden_size), "recurrent"),
            "weight_ih": Parameter((hidden_size, input_size), "input"),
            "bias": Parameter((hidden_size,), "bias"),
            "initial_state": Parameter((hidden_size,), "initial_state"),
            "weight_out": Parameter((output_size, hidden_size), "readout"),
            "bias_out": Parameter((output_size,), "readout_bias"),
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
    def sweeps(self, shape: BlockShape) -> SimpleRnnSweeps:
        sweeps = KernelSweeps if self._has_kernels(shape.device, shape.dtype) else StepSweeps
        return sweeps(self, self.nonlinearity, shape)

    def _wants_kernels(self, device: torch.device) -> bool:
        return self.recurrence == "triton" or (self.recurrence == "auto" and device.type == "cuda")

    def _has_kernels(self, device: torch.device, dtype: torch.dtype) -> bool:
        return self._wants_kernels(device) and unavailable_reason(self.hidden_size, device, dtype) is None

    @override
    def backend_name(self, device: torch.device, dtype: torch.dtype) -> str:
        if not self._wants_kernels(device):
            return super().backend_name(device, dtype)
        reason = unavailable_reason(self.hidden_size, device, dtype)
        if reason is None:
            return "Triton kernels"
        if self.recurrence == "triton":
            raise ValueError(f"model.recurrence=triton: {reason}; use model.recurrence=auto")
        return f"{super().backend_name(device, dtype)}, since {reason}"

    @override
    def block_bytes(self, shape: BlockShape) -> int:
        rows = shape.replicas * shape.steps * shape.sequences
        width = padded(self.hidden_size + self.input_size + 1) + 2 * self.hidden_size
        return rows * width * shape.dtype.itemsize

    @override
    def step(self, parameters: Parameters, state: State, inputs: Tensor) -> State:
        recurrent, from_inputs = state[0] @ parameters["weight_hh"].mT, inputs @ parameters["weight_ih"].mT
        return (self.nonlinearity.of(recurrent + from_inputs + parameters["bias"].unsqueeze(1)),)

    @override
    def state_jacobians(self, theta: Tensor, states: Tensor, inputs: Tensor) -> Tensor:
        return self._slopes(theta, states, inputs) * self.parameters(theta)["weight_hh"].unsqueeze(1)

    @override
    def input_jacobians(self, theta: Tensor, states: Tensor, inputs: Tensor) -> Tensor:
        return self._slopes(theta, states, inputs) * self.parameters(theta)["weight_ih"].unsqueeze(1)

    def _slopes(self, theta: Tensor, states: Tensor, inputs: Tensor) -> Tensor:
        """f'(a_t) as a column, (..., R, b, n, 1)."""
        (after,) = self.step(self.parameters(theta), (states,), inputs)
        return self.nonlinearity.derivative(after).unsqueeze(-1)
