"""Lower bounds for the engine's times: the bare matrix products, and its own linearization.

Letters as in `rnnbench.bench.case`; b sequences of one block.
"""

import itertools

import torch
from torch import Tensor

from rnnbench.bench.case import Case, Computation, Way
from rnnbench.bench.ours import objective_of
from rnnbench.objective.engine import Block


def our_linearize(case: Case, threads: int) -> Computation:
    """Prepare the linearization, which is computed once before any number of products."""
    objective = objective_of(case, threads)
    return Computation(
        lambda: objective.linearize(case.theta),
        lambda curvature: curvature.product(case.vector),
        close=objective.engine.close,
    )


def gradient_floor(case: Case, threads: int) -> Computation:
    """Prepare per step one product and tanh forward and one product backward, and finally the weight gradient."""
    return _floor(case, threads, forward_products=1, activates=True)


def product_floor(case: Case, threads: int) -> Computation:
    """Prepare per step two products forward and one backward, and finally the product for the weights."""
    return _floor(case, threads, forward_products=2, activates=False)


def _floor(case: Case, threads: int, *, forward_products: int, activates: bool) -> Computation:
    """Prepare the products that every implementation needs, in the blocks and on the workers of our engine."""
    objective = objective_of(case, threads)
    engine, blocks = objective.engine, objective.blocks
    weight = case.model.parameters(case.theta)["weight_hh"].contiguous()
    buffers = [_buffer(block, case) for block in blocks]
    steps = [list(states.unbind(0)) for states, _ in buffers]

    def run(index: int) -> Tensor:
        states, scratch = buffers[index]
        single = states.dim() == 3
        multiply = torch.mm if single else torch.bmm
        own = weight[blocks[index].replicas.start] if single else weight[blocks[index].replicas]
        for state, following in itertools.pairwise(steps[index]):
            for _ in range(forward_products):
                multiply(state, own, out=scratch)
            if activates:
                torch.tanh(scratch, out=following)
        for state in steps[index][1:]:
            multiply(state, own, out=scratch)
        rows = states.flatten(0, 1) if single else states.transpose(0, 1).flatten(1, 2)  # (r, T b, n)
        return multiply(rows.mT, rows)

    return Computation(lambda: engine.map(run, range(len(blocks))), None, close=engine.close)


def _buffer(block: Block, case: Case) -> tuple[Tensor, Tensor]:
    """Allocate states (T + 1, r, b, n) and a buffer for one step; without the replica axis if r is 1."""
    replicas, sequences = (part.stop - part.start for part in (block.replicas, block.sequences))
    size = (sequences, case.shape.units) if replicas == 1 else (replicas, sequences, case.shape.units)
    return torch.full((case.shape.steps + 1, *size), 0.5), torch.empty(size)


LINEARIZE = Way("rnnbench linearize", our_linearize, threading="own")
GRADIENT_FLOOR = Way("floor: bare products and tanh", gradient_floor, threading="own")
PRODUCT_FLOOR = Way("floor: bare products", product_floor, threading="own")
