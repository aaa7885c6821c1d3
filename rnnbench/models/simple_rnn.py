"""The simple recurrent net.

    h_t = f(W_hh h_{t-1} + W_ih x_t + b),  t = 1 .. T, from a learned h_0;  z = W_out h + b_out at the output steps.

Its sweeps through time are derived by hand: `rnnbench.models.simple_rnn_sweeps`.

Letters: R replicas, b sequences, n hidden units, d inputs, o outputs, c = n + d + 1.
"""

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.kernels.availability import unavailable_reason
from rnnbench.models.base import BlockShape, Model, Parameters, Share, State, Sweeps, run_alone
from rnnbench.models.information_flow import InformationFlow, flow_of_steps
from rnnbench.models.kernel_sweeps import KernelSweeps
from rnnbench.models.native_memory import block_bytes
from rnnbench.models.native_net import NativeNet, native_weights
from rnnbench.models.native_sweeps import NativeSweeps
from rnnbench.models.nonlinearity import find_nonlinearity
from rnnbench.models.parameters import Parameter
from rnnbench.models.simple_rnn_sweeps import Weights, padded
from rnnbench.models.step_sweeps import StepSweeps
from rnnbench.native import library

RECURRENCES = ("auto", "torch", "native", "triton")

COST_OF_THE_REFERENCE = "an update takes about twice the time"
"""What a run loses if torch computes its sweeps on a CPU; see docs/performance.md."""


class SimpleRnn(NativeNet, Model):
    """The simple (Elman) recurrent net with a learned initial state and a linear readout.

    Args:
        input_size: d.
        output_size: o.
        hidden_size: n.
        nonlinearity: "tanh", "relu", "linear" or "sigmoid".
        recurrence: Backend of the recurrence: "torch" operations, the reference; "native" kernels, on a CPU; "triton"
            kernels, on a GPU; or "auto": the kernels of the device if they can run, otherwise torch.

    Raises:
        ValueError: The nonlinearity or the recurrence is unknown.
    """

    has_structural_damping = True
    has_hessian_sweeps = True
    native_net = "srn"

    def __init__(
        self,
        input_size: int,
        output_size: int,
        hidden_size: int,
        nonlinearity: str = "tanh",
        recurrence: str = "auto",
    ) -> None:
        self.nonlinearity = find_nonlinearity(nonlinearity)
        if recurrence not in RECURRENCES:
            raise ValueError(f"model.recurrence must be one of {', '.join(RECURRENCES)}, got {recurrence}")
        self.input_size, self.output_size, self.hidden_size = input_size, output_size, hidden_size
        self.recurrence = recurrence
        self.layout = {
            "weight_hh": Parameter((hidden_size, hidden_size), "recurrent"),
            "weight_ih": Parameter((hidden_size, input_size), "input"),
            "bias": Parameter((hidden_size,), "bias"),
            "initial_state": Parameter((hidden_size,), "initial_state"),
            "weight_out": Parameter((output_size, hidden_size), "readout"),
            "bias_out": Parameter((output_size,), "readout_bias"),
        }

    @override
    def weights(self, theta: Tensor) -> Weights | Tensor:
        if self.native_kernels(theta.device, theta.dtype) is not None:
            return native_weights(theta)
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
    def slice_weights(self, weights: object, replicas: slice) -> Weights | Tensor:
        if isinstance(weights, Tensor):
            return weights[replicas]
        assert isinstance(weights, Weights)
        return Weights(*(operand[replicas] for operand in vars(weights).values()))

    @override
    def sweeps(self, shape: BlockShape, share: Share = run_alone) -> Sweeps:
        kernels = self.native_kernels(shape.device, shape.dtype)
        if kernels is not None:
            return NativeSweeps(self, shape, kernels, share, self.nonlinearity.name)
        sweeps = KernelSweeps if self._has_triton(shape.device, shape.dtype) else StepSweeps
        return sweeps(self, self.nonlinearity, shape)

    def _wants_triton(self, device: torch.device) -> bool:
        return self.recurrence == "triton" or (self.recurrence == "auto" and device.type == "cuda")

    def _has_triton(self, device: torch.device, dtype: torch.dtype) -> bool:
        return self._wants_triton(device) and unavailable_reason(self.hidden_size, device, dtype) is None

    @override
    def information_flow(self, theta: Tensor, states: Tensor, state_gradients: Tensor) -> InformationFlow:
        recurrent = self.parameters(theta)["weight_hh"]
        derivatives = self.nonlinearity.derivative(states[1:])
        penalties, gradient, num_steps = flow_of_steps(recurrent, derivatives, state_gradients)
        gradients = {name: theta.new_zeros(len(theta), *entry.shape) for name, entry in self.layout.items()}
        rows = torch.cat([({**gradients, "weight_hh": gradient})[name].flatten(1) for name in self.layout], 1)
        return InformationFlow(penalties, rows, num_steps)

    @override
    def backend_name(self, device: torch.device, dtype: torch.dtype) -> str:
        torch_name = super().backend_name(device, dtype)
        if self._wants_triton(device):
            reason = unavailable_reason(self.hidden_size, device, dtype)
            name = "Triton kernels"
        elif self.wants_native(device):
            reason = library.unavailable_reason(self.native_net)
            name = "native kernels"
        elif self.recurrence == "native":
            reason, name = "the native kernels need a CPU", ""
        else:
            return torch_name
        if reason is None:
            return name
        if self.recurrence in ("triton", "native"):
            raise ValueError(f"model.recurrence={self.recurrence}: {reason}; use model.recurrence=auto")
        cost = f" ({COST_OF_THE_REFERENCE})" if device.type == "cpu" else ""
        return f"{torch_name}, since {reason}{cost}"

    @override
    def block_bytes(self, shape: BlockShape) -> int:
        kernels = self.native_kernels(shape.device, shape.dtype)
        if kernels is not None:
            return block_bytes(self, shape, kernels.num_saved)
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
