"""Further loops that users of torch might write for gradients and Gauss-Newton products.

Letters as in `rnnbench.bench.case`.
"""

import torch
from torch import Tensor

from rnnbench.bench.case import Case, Computation, Way
from rnnbench.bench.peers_torch import (
    DOUBLE_BACKWARD,
    LOOP,
    TORCH_RNN,
    Weights,
    autograd_loop,
    hoisted_outputs,
    rows_of,
    sequences_of,
    total_loss,
    weights_of,
)


def plain_outputs(weights: Weights, inputs: Tensor) -> Tensor:
    """Run the loop that multiplies the inputs of each step at that step; returns (R, B, o) or (B, o)."""
    recurrent, input_weight, bias, state, readout, output_bias = weights
    accumulate = torch.addmm if recurrent.dim() == 2 else torch.baddbmm
    hidden = state.expand(*inputs.shape[1:-1], recurrent.shape[-1])
    for step_inputs in inputs.unbind(0):
        hidden = torch.tanh(accumulate(accumulate(bias, step_inputs, input_weight), hidden, recurrent))
    return accumulate(output_bias, hidden, readout)


def vmap_loop(case: Case) -> Computation:
    """Prepare the loop of one replica under torch.func.grad and torch.func.vmap."""
    weights = tuple(weight if weight.dim() == 3 else weight.unsqueeze(0) for weight in weights_of(case, case.theta))
    weights = tuple(weight.detach() for weight in weights)

    def loss(one: Weights, inputs: Tensor, targets: Tensor) -> Tensor:
        return total_loss(hoisted_outputs(one, inputs), targets)

    gradients = torch.func.vmap(torch.func.grad(loss), in_dims=(0, 1, 0))
    return Computation(lambda: gradients(weights, case.batch.inputs, case.targets), rows_of)


def forward_and_reverse(case: Case) -> Computation:
    """Prepare a product by torch.func: jvp for every product, vjp prepared once."""
    weights = tuple(weight.detach() for weight in weights_of(case, case.theta))
    vector = tuple(part.detach() for part in weights_of(case, case.vector))
    inputs, scale = sequences_of(case)[0], 2 / case.shape.sequences

    def outputs(*parameters: Tensor) -> Tensor:
        return hoisted_outputs(parameters, inputs)

    pull_back = torch.func.vjp(outputs, *weights)[1]

    def run() -> tuple[Tensor, ...]:
        tangents = torch.func.jvp(outputs, weights, vector)[1]
        gradient: tuple[Tensor, ...] = pull_back(scale * tangents)
        return gradient

    return Computation(run, rows_of)


GRADIENTS = (
    LOOP,
    Way("autograd loop, input product step by step", lambda case, threads: autograd_loop(case, plain_outputs)),
    Way(
        "autograd loop, denormals as they come",
        lambda case, threads: autograd_loop(case, hoisted_outputs),
        flushes=False,
    ),
    Way("loop under torch.func grad and vmap", lambda case, threads: vmap_loop(case)),
    TORCH_RNN,
)
"""Ways to compute a gradient; the first is the base of all ratios."""

PRODUCTS = (DOUBLE_BACKWARD, Way("torch.func jvp + vjp", lambda case, threads: forward_and_reverse(case)))
"""Ways to compute a Gauss-Newton product."""
