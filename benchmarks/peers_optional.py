"""Optional peers: JAX, curvlinops, and the product of PyTorchHessianFree (BackPACK).

The modules are imported by name, since they are not dependencies. Letters as in `rnnbench.bench.case`.
"""

import functools
import importlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnbench.bench.case import Case, Computation, Way
from rnnbench.bench.peers_torch import (
    TorchRnn,
    hoisted_outputs,
    in_order,
    rows_of,
    sequences_of,
    total_loss,
    weights_of,
)


def _jax_outputs(jax: Any) -> Callable[[Any, Any], Any]:
    """Make the net of one replica with lax.scan: (weights, inputs (T, B, d)) -> (B, o)."""

    def outputs(weights: Sequence[Any], inputs: Any) -> Any:
        recurrent, input_weight, bias, state, readout, output_bias = weights

        def step(hidden: Any, pre_activation: Any) -> tuple[Any, None]:
            return jax.numpy.tanh(pre_activation + hidden @ recurrent), None

        start = jax.numpy.broadcast_to(state, (inputs.shape[1], recurrent.shape[0]))
        last, _ = jax.lax.scan(step, start, inputs @ input_weight + bias)
        return last @ readout + output_bias

    return outputs


def _jax_weights(jax: Any, case: Case, theta: Tensor) -> tuple[Any, ...]:
    weights = (weight.detach() for weight in weights_of(case, theta))
    return tuple(jax.numpy.asarray((w if w.dim() == 3 else w.unsqueeze(0)).numpy()) for w in weights)


def _jax_rows(weights: Sequence[Any]) -> Tensor:
    return rows_of([torch.from_numpy(np.array(weight)) for weight in weights])


def jax_gradient(case: Case) -> Computation:
    """Prepare the gradient by jit of vmap of value_and_grad of scan."""
    jax = importlib.import_module("jax")
    outputs = _jax_outputs(jax)

    def loss(weights: Any, inputs: Any, targets: Any) -> Any:
        return ((outputs(weights, inputs) - targets) ** 2).sum(-1).mean()

    both = jax.jit(jax.vmap(jax.value_and_grad(loss), in_axes=(0, 1, 0)))
    weights = _jax_weights(jax, case, case.theta)
    inputs, targets = (jax.numpy.asarray(x.numpy()) for x in (case.batch.inputs, case.targets))
    return Computation(lambda: jax.block_until_ready(both(weights, inputs, targets))[1], _jax_rows)


def jax_product(case: Case) -> Computation:
    """Prepare the product by jit of vmap of jvp and vjp of scan."""
    jax = importlib.import_module("jax")
    outputs, scale = _jax_outputs(jax), 2 / case.shape.sequences

    def multiply(weights: Any, vector: Any, inputs: Any) -> Any:
        def function(parameters: Any) -> Any:
            return outputs(parameters, inputs)

        _, tangents = jax.jvp(function, (weights,), (vector,))
        _, pull_back = jax.vjp(function, weights)
        return pull_back(scale * tangents)[0]

    product = jax.jit(jax.vmap(multiply, in_axes=(0, 0, 1)))
    weights, vector = _jax_weights(jax, case, case.theta), _jax_weights(jax, case, case.vector)
    inputs = jax.numpy.asarray(case.batch.inputs.numpy())
    return Computation(lambda: jax.block_until_ready(product(weights, vector, inputs)), _jax_rows)


class _BatchFirst(torch.nn.Module):
    """The loop of one replica with the interface that curvlinops requires: inputs (B, T, d)."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        super().__init__()
        self.weights = torch.nn.ParameterList(weight.detach() for weight in weights)

    def forward(self, inputs: Tensor) -> Tensor:
        return hoisted_outputs(tuple(self.weights), inputs.transpose(0, 1))


def curvlinops_operator(case: Case, replica: int) -> Any:
    """Make the curvlinops.GGNLinearOperator of the loop of one replica."""
    curvlinops = importlib.import_module("curvlinops")
    one = slice(replica, replica + 1)
    net = _BatchFirst([_matrix(weight, replica) for weight in weights_of(case, case.theta)])
    data = [(case.batch.inputs[:, one].squeeze(1).transpose(0, 1).contiguous(), case.targets[replica])]
    return curvlinops.GGNLinearOperator(net, torch.nn.MSELoss(), list(net.weights), data, check_deterministic=False)


def curvlinops_product(case: Case) -> Computation:
    """Prepare products by curvlinops, one replica at a time."""
    replicas = range(case.shape.replicas)
    operators = [curvlinops_operator(case, replica) for replica in replicas]
    parts = [[_matrix(weight, replica) for weight in weights_of(case, case.vector)] for replica in replicas]
    vectors = [torch.cat([part.detach().reshape(-1) for part in of_replica]) for of_replica in parts]
    sizes = [tuple(_matrix(weight, 0).shape) for weight in weights_of(case, case.theta)]

    def rows(found: Sequence[Tensor]) -> Tensor:
        return torch.cat([rows_of(split_flat(flat, sizes)) for flat in found])

    return Computation(lambda: [o @ v for o, v in zip(operators, vectors, strict=True)], rows)


def _matrix(weight: Tensor, replica: int) -> Tensor:
    return weight if weight.dim() == 2 else weight[replica]


def split_flat(flat: Tensor, sizes: Sequence[Sequence[int]]) -> list[Tensor]:
    """Split a vector into matrices of given sizes."""
    parts = torch.split(flat, [int(np.prod(size)) for size in sizes])
    return [part.view(*size) for part, size in zip(parts, sizes, strict=True)]


def backpack_product(case: Case) -> Computation:
    """Prepare BackPACK's product of the loop, as PyTorchHessianFree calls it; the graph of the loss is kept."""
    multiply = importlib.import_module("backpack.hessianfree.ggnvp").ggn_vector_product_from_plist
    inputs, targets = sequences_of(case)
    weights = list(weights_of(case, case.theta))
    vector = [part.detach() for part in weights_of(case, case.vector)]
    outputs = hoisted_outputs(tuple(weights), inputs)
    loss = total_loss(outputs, targets)
    return Computation(lambda: multiply(loss, outputs, weights, vector), rows_of)


def backpack_on_torch_rnn(case: Case) -> Computation:
    """Prepare BackPACK's product of torch.nn.RNN, one replica at a time."""
    multiply = importlib.import_module("backpack.hessianfree.ggnvp").ggn_vector_product_from_plist
    nets = [TorchRnn(case, replica) for replica in range(case.shape.replicas)]
    vectors = [[part[r] for part in case.model.parameters(case.vector).values()] for r in range(case.shape.replicas)]
    graphs = []
    for net, inputs, targets, vector in zip(nets, case.batch.inputs.unbind(1), case.targets, vectors, strict=True):
        outputs = net(inputs)
        shaped = [part.view_as(parameter) for part, parameter in zip(vector, net.ordered(), strict=True)]
        graphs.append((total_loss(outputs, targets), outputs, net.ordered(), shaped))
    return Computation(lambda: [multiply(*graph) for graph in graphs], in_order)


GRADIENTS = {"jax": (Way("JAX jit(vmap(grad(scan)))", lambda case, threads: jax_gradient(case), threading="process"),)}
PRODUCTS = {
    "jax": (Way("JAX jvp + vjp", lambda case, threads: jax_product(case), threading="process"),),
    "curvlinops": (Way("curvlinops", lambda case, threads: curvlinops_product(case)),),
    "backpack": (
        Way("PyTorchHessianFree (BackPACK)", lambda case, threads: backpack_product(case)),
        Way("PyTorchHessianFree on torch.nn.RNN", lambda case, threads: backpack_on_torch_rnn(case)),
    ),
}
"""Required module -> ways to compute a product."""


@functools.cache
def is_installed(module: str) -> bool:
    """Whether a module can be imported."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about their own dependencies do not concern our users
            importlib.import_module(module)
    except ImportError:
        return False
    return True


def missing_modules() -> tuple[str, ...]:
    """Return the names of the optional modules that cannot be imported."""
    return tuple(name for name in PRODUCTS if not is_installed(name))


def installed(ways: Mapping[str, Sequence[Way]]) -> list[Way]:
    """Return the ways of a mapping such as `PRODUCTS` whose module is installed."""
    return [way for module, those in ways.items() if is_installed(module) for way in those]
