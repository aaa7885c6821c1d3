"""Trains torch.nn.RNN with torch.optim, one seed at a time, in its own process.

usage: python -m benchmarks.torch_seeds R,B,T,n UPDATES LR MOMENTUM

It trains the seeds 0 to R - 1 on the adding problem, with the same sequences and initial parameters as
`rnnbench train`, and prints the final loss of each seed as JSON.
"""

import json
import sys
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from rnnbench.bench.case import Case
from rnnbench.bench.options import Shape
from rnnbench.bench.peers_torch import TorchRnn, total_loss
from rnnbench.config.noise_scale import noise_scale
from rnnbench.init.orthogonal import OrthogonalInit
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.objective.engine import flush_denormals
from rnnbench.tasks.adding import Adding
from rnnbench.tasks.base import Batch, Stream
from rnnbench.training.problem import EVALUATION_SEED, NUM_EVALUATION_SEQUENCES, UPDATES_AT_ONCE


class EndingRnn(TorchRnn):
    """A net with its output at the end of each sequence."""

    def loss(self, inputs: Tensor, ends: Tensor, targets: Tensor) -> Tensor:
        """Compute the mean over sequences of the squared error.

        Args:
            inputs: Inputs, (T, B, d).
            ends: Last step of each sequence, (B,).
            targets: Targets, (B, o).
        """
        states, _ = self.rnn(inputs, self.initial_state.expand(1, inputs.shape[1], -1).contiguous())
        return total_loss(self.readout(states[ends, torch.arange(len(ends))]), targets)


def train_seeds(
    shape: Shape, updates: int, learning_rate: float, momentum: float, dtype: torch.dtype = torch.float32
) -> list[float]:
    """Train one net at a time with Nesterov momentum.

    Args:
        shape: Size of the problem; its replicas are the seeds from 0.
        updates: Number of updates of each seed.
        learning_rate: Constant learning rate.
        momentum: Constant momentum.
        dtype: Data type of parameters and states.

    Returns:
        The loss of each net on the held-out sequences of all runs.
    """
    task = Adding(shape.steps)
    model = SimpleRnn(task.input_size, task.output_size, shape.units)
    init = OrthogonalInit(  # as in conf/init/edge_of_chaos.yaml
        input_scale=noise_scale(2, shape.steps),
        output_scale=0.1,
        bias_scale=0.0,
        initial_state_scale=0.0,
        spectral_radius=1.05,
    )
    held_out = task.replica_batch([EVALUATION_SEED], Stream.EVALUATION, 0, NUM_EVALUATION_SEQUENCES, dtype=dtype)
    losses = []
    for seed in range(shape.replicas):
        theta = model.flatten(init(torch.Generator().manual_seed(seed), model.layout)).to(dtype).unsqueeze(0)
        net = EndingRnn(Case(shape, model, held_out, theta, theta), 0)
        optimizer = torch.optim.SGD(net.ordered(), learning_rate, momentum=momentum, nesterov=True)
        for first in range(0, updates, UPDATES_AT_ONCE):
            numbers = range(first, min(first + UPDATES_AT_ONCE, updates))
            # Draw the sequences of several updates together, as rnnbench does: each draw has a fixed cost.
            drawn = task.replica_batch(
                [seed] * len(numbers), Stream.GRADIENT, list(numbers), shape.sequences, dtype=dtype
            )
            for place in range(len(numbers)):
                optimizer.zero_grad()
                net.loss(*_sequences(drawn, place)).backward()  # type: ignore[no-untyped-call] # torch has no type
                optimizer.step()
        with torch.no_grad():
            losses.append(net.loss(*_sequences(held_out, 0)).item())
    return losses


def _sequences(batch: Batch, place: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs, last steps and targets of one update."""
    ends = cast(Tensor, batch.output_steps)  # the adding problem has one target, at the end
    return batch.inputs[:, place].contiguous(), ends[0, place], batch.targets[0, place]


def main(words: Sequence[str]) -> None:
    """Train and print the losses."""
    torch.set_num_threads(1)  # with these sizes more threads do not help
    flush_denormals()
    shape, updates, learning_rate, momentum = words
    sizes = Shape(*(int(size) for size in shape.split(",")))
    print(json.dumps(train_seeds(sizes, int(updates), float(learning_rate), float(momentum))))


if __name__ == "__main__":
    main(sys.argv[1:])
