"""Gauss-Newton products as a user of torch would compute them, of the loop with the input product taken beforehand.

Letters as in `rnnbench.bench.case`.
"""

import torch
from torch import Tensor

from rnnbench.bench.case import Case, Computation, Way
from rnnbench.bench.peers_torch import hoisted_outputs, rows_of, sequences_of, weights_of


def double_backward(case: Case) -> Computation:
    """J v by differentiating the gradient, whose graph is kept; J^T by one more backward."""
    weights, vector = weights_of(case, case.theta), [part.detach() for part in weights_of(case, case.vector)]
    outputs = hoisted_outputs(weights, sequences_of(case)[0])
    dummy = torch.zeros_like(outputs, requires_grad=True)
    gradient = torch.autograd.grad(outputs, weights, dummy, create_graph=True)
    scale = 2 / case.shape.sequences

    def run() -> tuple[Tensor, ...]:
        (tangents,) = torch.autograd.grad(gradient, dummy, vector, retain_graph=True)
        return torch.autograd.grad(outputs, weights, scale * tangents, retain_graph=True)

    return Computation(run, rows_of)


def forward_and_reverse(case: Case) -> Computation:
    """torch.func: jvp at every product, vjp made once."""
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


PRODUCTS = (
    Way("kept double backward", lambda case, threads: double_backward(case)),
    Way("torch.func jvp + vjp", lambda case, threads: forward_and_reverse(case)),
)
"""Every way to a Gauss-Newton product here."""
