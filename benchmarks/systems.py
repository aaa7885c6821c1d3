"""The linear system of one update, solved by a fixed number of conjugate-gradient iterations, by us and by others.

    (G + damping I) x = -g

G and g are those of one batch at the parameters of the case, x starts from zero, and no iteration stops early. What is
computed once per update (states, a graph) is prepared beforehand. One replica; letters as in `rnnbench.bench.case`.
"""

import importlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from benchmarks.peers_optional import curvlinops_operator, split_flat
from rnnbench.bench.case import Case, Computation, Way
from rnnbench.bench.ours import objective_of
from rnnbench.bench.peers_torch import (
    TorchRnn,
    hoisted_outputs,
    in_order,
    rows_of,
    sequences_of,
    total_loss,
    weights_of,
)
from rnnbench.objective.conjugate_gradient import CgRules, conjugate_gradient

NUM_ITERATIONS = 20
"""Number of CG iterations; each needs one product, and the first residual one more."""

DAMPING = 0.1


def _solve(product: Callable[[Tensor], Tensor], gradient: Tensor) -> Tensor:
    """Solve with our conjugate gradients and any product; returns the solution, (1, P)."""
    never = torch.zeros(1, dtype=torch.float64)
    rules = CgRules(max_iterations=NUM_ITERATIONS, tolerance=never, residual_tolerance=never)

    def damped(vector: Tensor, active: Sequence[bool]) -> Tensor:
        return product(vector).add_(vector, alpha=DAMPING)

    return conjugate_gradient(damped, -gradient, torch.zeros_like(gradient), rules).solution.to(gradient.dtype)


def our_system(case: Case, threads: int) -> Computation:
    """Prepare our solution: products of the engine, vectors in float64."""
    objective = objective_of(case, threads)
    gradient = objective.loss_and_gradient(case.theta).gradient
    curvature = objective.linearize(case.theta)
    return Computation(lambda: _solve(curvature.product, gradient), lambda x: x, close=objective.engine.close)


def curvlinops_system(case: Case) -> Computation:
    """Prepare our conjugate gradients with products of curvlinops, whose own CG has no fixed number of iterations."""
    operator = curvlinops_operator(case, 0)
    weights, inputs_targets = weights_of(case, case.theta), sequences_of(case)
    loss = total_loss(hoisted_outputs(weights, inputs_targets[0]), inputs_targets[1])
    gradient = _flat(torch.autograd.grad(loss, weights)).unsqueeze(0)
    sizes = [tuple(weight.shape) for weight in weights]

    def product(vector: Tensor) -> Tensor:
        image: Tensor = operator @ vector.squeeze(0)
        return image.unsqueeze(0)

    return Computation(lambda: _solve(product, gradient), lambda x: rows_of(split_flat(x.squeeze(0), sizes)))


def hessianfree_system(case: Case) -> Computation:
    """Prepare the products and conjugate gradients of PyTorchHessianFree, for the loop."""
    weights = weights_of(case, case.theta)
    inputs, targets = sequences_of(case)
    outputs = hoisted_outputs(weights, inputs)
    sizes = [tuple(weight.shape) for weight in weights]
    solve = _hessianfree(total_loss(outputs, targets), outputs, weights)
    return Computation(solve, lambda x: rows_of(split_flat(x, sizes)))


def hessianfree_on_torch_rnn(case: Case) -> Computation:
    """Prepare the products and conjugate gradients of PyTorchHessianFree, for torch.nn.RNN."""
    net = TorchRnn(case, 0)
    outputs = net(case.batch.inputs.squeeze(1).contiguous())
    solve = _hessianfree(total_loss(outputs, case.targets[0]), outputs, net.ordered())
    return Computation(solve, lambda x: in_order([[x]]))


def _hessianfree(loss: Tensor, outputs: Tensor, parameters: Sequence[Tensor]) -> Callable[[], Tensor]:
    """Make the solver as in its optimizer, which also builds the graph of the gradient beforehand."""
    optimizer = importlib.import_module("hessianfree.optimizer").HessianFree
    cg = importlib.import_module("hessianfree.cg").cg
    gradient = _flat(torch.autograd.grad(loss, parameters, create_graph=True, retain_graph=True))

    def product(vector: Tensor) -> Tensor:
        image: Tensor = optimizer._Gv(loss, outputs, parameters, vector) + DAMPING * vector
        return image

    def solve() -> Tensor:
        solution: Tensor = cg(A=product, b=-gradient, max_iter=NUM_ITERATIONS, tol=0.0)[0][-1]
        return solution

    return solve


def _flat(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([part.detach().reshape(-1) for part in parts])


OURS = Way("rnnbench", our_system, threading="own")
OTHERS = {
    "curvlinops": (Way("curvlinops", lambda case, threads: curvlinops_system(case)),),
    "hessianfree": (
        Way("PyTorchHessianFree", lambda case, threads: hessianfree_system(case)),
        Way("PyTorchHessianFree on torch.nn.RNN", lambda case, threads: hessianfree_on_torch_rnn(case)),
    ),
}
"""Required module -> ways to solve the system."""
