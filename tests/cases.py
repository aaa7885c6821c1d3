"""Models, losses and batches on which the tests of numbers run, and how two results are compared."""

from typing import NamedTuple

import torch
from torch import Tensor

from rnnbench.losses import LOSSES
from rnnbench.models.base import Model
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.tasks.base import Batch

F64 = torch.float64
RELATIVE = 1e-12
"""Of the largest entry: a few hundred roundings of float64, 1e-16 each."""

INPUT_SIZE = 2


class Case(NamedTuple):
    """A model at random parameters, with the objective of a random batch.

    Attributes:
        model: The model, whose R replicas have different parameters.
        theta: Their parameters, (R, P), float64.
        batch: The batch.
        objective: The loss of the batch.
        generator: For further random numbers.
    """

    model: Model
    theta: Tensor
    batch: Batch
    objective: Objective
    generator: torch.Generator

    def vector(self):
        """A new direction in parameter space, (R, P)."""
        return torch.randn(self.theta.shape, generator=self.generator, dtype=F64)


def output_size(loss):
    """Units of the readout for a loss: three classes, or two outputs of their own."""
    return 2 if loss == "squared_error" else 3


def make_case(
    model,
    loss="squared_error",
    *,
    every_step=False,
    num_replicas=2,
    num_sequences=3,
    num_steps=5,
    threads=1,
    seed=0,
):
    """A case of a model with a random batch of inputs of size `INPUT_SIZE`; see `random_batch`."""
    generator = torch.Generator().manual_seed(seed)
    shape = num_steps, num_replicas, num_sequences
    batch = random_batch(*shape, model.output_size, loss, every_step=every_step, generator=generator)
    return case_of(model, loss, batch, threads=threads, generator=generator)


def case_of(model, loss, batch, *, threads=1, generator=None):
    """A case of a model with a batch that is given."""
    generator = generator or torch.Generator().manual_seed(1)
    theta = 0.5 * torch.randn(batch.inputs.shape[1], model.num_parameters, generator=generator, dtype=F64)
    objective = Objective(Engine(model, threads, dtype=F64), LOSSES[loss], batch)
    return Case(model, theta, batch, objective, generator)


def random_batch(
    num_steps,
    num_replicas,
    num_sequences,
    num_outputs,
    loss,
    *,
    every_step,
    generator,
):
    """Sequences of different lengths with a target each at its own end, or of equal lengths with one at every step."""
    lengths = torch.randint(max(1, num_steps - 2), num_steps + 1, (num_replicas, num_sequences), generator=generator)
    if every_step:
        lengths = torch.full_like(lengths, num_steps)
    inputs = torch.randn(num_steps, num_replicas, num_sequences, INPUT_SIZE, generator=generator, dtype=F64)
    inputs *= (torch.arange(num_steps).view(-1, 1, 1) < lengths).unsqueeze(-1)
    shape = (num_steps if every_step else 1, num_replicas, num_sequences)
    if loss == "squared_error":
        targets = torch.randn(*shape, num_outputs, generator=generator, dtype=F64)
    elif loss == "sigmoid_cross_entropy":
        targets = torch.randint(0, 2, (*shape, num_outputs), generator=generator).double()
    else:
        targets = torch.randint(0, num_outputs, shape, generator=generator)
    return Batch(inputs, lengths, None if every_step else (lengths - 1)[None], targets)


def mean_loss(name, outputs, targets):
    """A loss of each replica, (R,), by torch's own functions.

    Args:
        name: One of `LOSSES`.
        outputs: (S, R, B, o).
        targets: Of a batch.
    """
    if name == "squared_error":
        return (outputs - targets).square().sum(-1).mean((0, 2))
    if name == "sigmoid_cross_entropy":
        function = torch.nn.functional.binary_cross_entropy
        return function(outputs.sigmoid(), targets, reduction="none").sum(-1).mean((0, 2))
    return torch.nn.functional.cross_entropy(outputs.movedim(-1, 1), targets, reduction="none").mean((0, 2))


def assert_close(actual, expected, relative=RELATIVE):
    """Compare two tensors, relative to the largest entry of the expected one; both may be zero."""
    error = (actual - expected).abs().max() / expected.abs().max().clamp(min=1e-300)
    assert error < relative, f"relative error {error:.2e}"


def assert_replica_law(case, weight):
    """Check that replica r of a batched run equals the run alone, in loss, gradient and Gauss-Newton product.

    Args:
        case: R replicas.
        weight: Structural damping of each, (R, 1).
    """
    _, theta, batch, objective, _ = case
    vector = case.vector()
    together, product = objective.loss_and_gradient(theta), objective.linearize(theta, weight).product(vector)
    for r in range(len(theta)):
        rows = slice(r, r + 1)
        alone = Objective(objective.engine, objective.loss_function, batch.replicas(rows))
        result = alone.loss_and_gradient(theta[rows])
        assert_close(result.loss, together.loss[rows])
        assert_close(result.gradient, together.gradient[rows])
        assert_close(alone.linearize(theta[rows], weight[rows]).product(vector[rows]), product[rows])
    objective.engine.close()
