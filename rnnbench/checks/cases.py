"""Models with random parameters and random batches, on which numbers are compared."""

from typing import NamedTuple

import torch
from torch import Tensor

from rnnbench.losses import Loss, loss_of
from rnnbench.models.base import Model
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.tasks.base import Batch

F64 = torch.float64


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

    def vector(self) -> Tensor:
        """A new direction in parameter space, (R, P)."""
        return torch.randn(self.theta.shape, generator=self.generator, dtype=F64)


def make_case(
    model: Model,
    loss: str = "squared_error",
    *,
    every_step: bool = False,
    num_replicas: int = 2,
    num_sequences: int = 3,
    num_steps: int = 5,
    threads: int = 1,
    seed: int = 0,
) -> Case:
    """A case of a model with a random batch; see `random_batch`."""
    generator = torch.Generator().manual_seed(seed)
    shape = num_steps, num_replicas, num_sequences
    batch = random_batch(
        *shape, model.output_size, loss, every_step=every_step, generator=generator, input_size=model.input_size
    )
    return case_of(model, loss, batch, threads=threads, generator=generator)


def case_of(
    model: Model, loss: str | Loss, batch: Batch, *, threads: int = 1, generator: torch.Generator | None = None
) -> Case:
    """A case of a model with a batch that is given."""
    generator = generator or torch.Generator().manual_seed(1)
    theta = 0.5 * torch.randn(batch.inputs.shape[1], model.num_parameters, generator=generator, dtype=F64)
    objective = Objective(Engine(model, threads, dtype=F64), loss_of(loss), batch)
    return Case(model, theta, batch, objective, generator)


def random_batch(
    num_steps: int,
    num_replicas: int,
    num_sequences: int,
    num_outputs: int,
    loss: str,
    *,
    every_step: bool,
    generator: torch.Generator,
    input_size: int = 2,
) -> Batch:
    """Sequences of different lengths with a target each at its own end, or of equal lengths with one at every step."""
    lengths = torch.randint(max(1, num_steps - 2), num_steps + 1, (num_replicas, num_sequences), generator=generator)
    if every_step:
        lengths = torch.full_like(lengths, num_steps)
    inputs = torch.randn(num_steps, num_replicas, num_sequences, input_size, generator=generator, dtype=F64)
    inputs *= (torch.arange(num_steps).view(-1, 1, 1) < lengths).unsqueeze(-1)
    shape = (num_steps if every_step else 1, num_replicas, num_sequences)
    if loss == "squared_error":
        targets = torch.randn(*shape, num_outputs, generator=generator, dtype=F64)
    elif loss == "sigmoid_cross_entropy":
        targets = torch.randint(0, 2, (*shape, num_outputs), generator=generator).double()
    else:
        targets = torch.randint(0, num_outputs, shape, generator=generator)
    return Batch(inputs, lengths, None if every_step else (lengths - 1)[None], targets)
