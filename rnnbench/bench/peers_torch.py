"""Gradients and Gauss-Newton products of the simple RNN as users of torch would compute them.

Letters as in `rnnbench.bench.case`. The loops store their weights in the layout of the fastest product: transposed, and
without the replica axis if there is one replica.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rnnbench.bench.case import Case, Computation, Way

Weights = tuple[Tensor, ...]
"""W_hh^T, W_ih^T, b, h_0, W_out^T, b_out; (R, rows, columns) each, or (rows, columns) for one replica."""


def weights_of(case: Case, theta: Tensor) -> Weights:
    """Convert theta (R, P) to weights, as leaves of a graph; without the replica axis if R is 1."""
    p = case.model.parameters(theta)
    weights = (
        p["weight_hh"].mT,
        p["weight_ih"].mT,
        p["bias"].unsqueeze(1),
        p["initial_state"].unsqueeze(1),
        p["weight_out"].mT,
        p["bias_out"].unsqueeze(1),
    )
    squeezed = [weight.squeeze(0) if case.shape.replicas == 1 else weight for weight in weights]
    return tuple(weight.contiguous().clone().requires_grad_() for weight in squeezed)


def rows_of(weights: Sequence[Tensor]) -> Tensor:
    """Convert weights or their gradients to the layout of theta, (R, P)."""
    hh, ih, bias, state, out, out_bias = (w if w.dim() == 3 else w.unsqueeze(0) for w in weights)
    parts = (hh.mT, ih.mT, bias, state, out.mT, out_bias)
    return torch.cat([part.flatten(1) for part in parts], dim=1).detach()


def sequences_of(case: Case) -> tuple[Tensor, Tensor]:
    """Return inputs (T, R, B, d) and targets (R, B, o), without the replica axis if R is 1."""
    if case.shape.replicas == 1:
        return case.batch.inputs.squeeze(1), case.targets.squeeze(0)
    return case.batch.inputs, case.targets


def hoisted_outputs(weights: Weights, inputs: Tensor) -> Tensor:
    """Run the loop with precomputed products of all inputs; returns (R, B, o) or (B, o)."""
    recurrent, input_weight, bias, state, readout, output_bias = weights
    pre_activations = torch.matmul(inputs, input_weight) + bias
    accumulate = torch.addmm if recurrent.dim() == 2 else torch.baddbmm
    hidden = state.expand(pre_activations.shape[1:])
    for pre_activation in pre_activations.unbind(0):
        hidden = torch.tanh(accumulate(pre_activation, hidden, recurrent))
    return accumulate(output_bias, hidden, readout)


def total_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Compute the mean over sequences of the squared error, summed over replicas so that each has its own gradient."""
    return (outputs - targets).square().sum(-1).mean(-1).sum()


def autograd_loop(case: Case, outputs: Callable[[Weights, Tensor], Tensor]) -> Computation:
    """Prepare the gradient of a loop under autograd."""
    weights = weights_of(case, case.theta)
    inputs, targets = sequences_of(case)

    def run() -> tuple[Tensor, ...]:
        return torch.autograd.grad(total_loss(outputs(weights, inputs), targets), weights)

    return Computation(run, rows_of)


class TorchRnn(torch.nn.Module):
    """One replica as torch.nn.RNN, with a learned initial state and a readout; inputs (T, B, d)."""

    def __init__(self, case: Case, replica: int) -> None:
        """Copy a replica's parameters.

        Args:
            case: The problem.
            replica: Index of the replica.
        """
        super().__init__()
        dtype = case.theta.dtype
        self.rnn = torch.nn.RNN(case.batch.inputs.shape[-1], case.shape.units, dtype=dtype)
        self.readout = torch.nn.Linear(case.shape.units, case.targets.shape[-1], dtype=dtype)
        p = {name: value[replica].clone() for name, value in case.model.parameters(case.theta).items()}
        self.initial_state = torch.nn.Parameter(p["initial_state"].view(1, 1, -1))
        self.rnn.load_state_dict(
            {
                "weight_hh_l0": p["weight_hh"],
                "weight_ih_l0": p["weight_ih"],
                "bias_ih_l0": p["bias"],
                "bias_hh_l0": torch.zeros_like(p["bias"]),
            }
        )
        self.readout.load_state_dict({"weight": p["weight_out"], "bias": p["bias_out"]})
        self.rnn.get_parameter("bias_hh_l0").requires_grad_(False)  # the net has one bias, not two

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the outputs at the last step, (B, o)."""
        states, _ = self.rnn(inputs, self.initial_state.expand(1, inputs.shape[1], -1).contiguous())
        outputs: Tensor = self.readout(states[-1])
        return outputs

    def ordered(self) -> list[torch.nn.Parameter]:
        """Return the trained parameters in the order of theta."""
        names = ("rnn.weight_hh_l0", "rnn.weight_ih_l0", "rnn.bias_ih_l0", "initial_state")
        return [self.get_parameter(name) for name in (*names, "readout.weight", "readout.bias")]


def in_order(replicas: Sequence[Sequence[Tensor]]) -> Tensor:
    """Convert each replica's tensors, in the order of theta, to (R, P)."""
    return torch.stack([torch.cat([part.detach().reshape(-1) for part in one]) for one in replicas])


def torch_rnn(case: Case) -> Computation:
    """Prepare the gradient by torch.nn.RNN, one replica at a time."""
    nets = [TorchRnn(case, replica) for replica in range(case.shape.replicas)]
    inputs = [one.contiguous() for one in case.batch.inputs.unbind(1)]

    def run() -> list[tuple[Tensor, ...]]:
        return [
            torch.autograd.grad(total_loss(net(x), y), net.ordered())
            for net, x, y in zip(nets, inputs, case.targets, strict=True)
        ]

    return Computation(run, in_order)


def double_backward(case: Case) -> Computation:
    """Prepare a product: J v by differentiating the gradient, whose graph is kept; J^T by one more backward pass."""
    weights, vector = weights_of(case, case.theta), [part.detach() for part in weights_of(case, case.vector)]
    outputs = hoisted_outputs(weights, sequences_of(case)[0])
    dummy = torch.zeros_like(outputs, requires_grad=True)
    gradient = torch.autograd.grad(outputs, weights, dummy, create_graph=True)
    scale = 2 / case.shape.sequences

    def run() -> tuple[Tensor, ...]:
        (tangents,) = torch.autograd.grad(gradient, dummy, vector, retain_graph=True)
        return torch.autograd.grad(outputs, weights, scale * tangents, retain_graph=True)

    return Computation(run, rows_of)


BASE = "autograd loop"
LOOP = Way(BASE, lambda case, threads: autograd_loop(case, hoisted_outputs))
TORCH_RNN = Way("torch.nn.RNN, replicas in turn", lambda case, threads: torch_rnn(case))
DOUBLE_BACKWARD = Way("kept double backward", lambda case, threads: double_backward(case))
