"""Compares updates of many seeds together with torch.nn.RNN and torch.optim, one seed at a time."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial

import torch
from torch import Tensor

from benchmarks.options import Options
from rnnbench.bench import peers_torch
from rnnbench.bench.announce import Announcer
from rnnbench.bench.case import Case, Computation, Way, check_agreement, make_case
from rnnbench.bench.options import Shape
from rnnbench.bench.report import Report, milliseconds, spread
from rnnbench.bench.timing import Lanes, Statistics, Variant, interleave
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.optim.nag import Nag
from rnnbench.records.wording import count

SHAPE = Shape(32, 20, 100, 50)
SHORT_SECONDS, FULL_SECONDS = 20.0, 60.0
LEARNING_RATE, MOMENTUM = 1e-3, 0.9
NUM_CHECKED_UPDATES = 3

BURST_SECONDS = 0.5
"""Time of consecutive updates, as in training: after a pause, caches are cold and threads asleep."""


def our_training(case: Case, threads: int) -> Computation:
    """Prepare updates of all replicas together; the rows of the computation are theta."""
    replicas = case.shape.replicas

    def same(value: float) -> Tensor:
        return torch.full((replicas, 1), value, dtype=torch.float64)

    optimizer = Nag(
        batch_size=case.shape.sequences,
        lr=same(LEARNING_RATE),
        weight_decay=same(0.0),
        clip_norm=same(torch.inf),
        clip_value=same(torch.inf),
        information_flow=same(0.0),
        form="torch",
        momentum=same(MOMENTUM),
        initial_momentum=same(MOMENTUM),
        initial_momentum_updates=0,
    )
    engine = Engine(case.model, threads)
    objective = Objective(engine, case.loss, case.batch)
    theta, state, number = case.theta.clone(), optimizer.initial_state(case.theta), 0

    def run() -> Tensor:
        nonlocal theta, state, number
        update = optimizer.update(theta, state, number, lambda stream, size: objective)
        theta, state, number = update.theta, update.state, number + 1
        return theta

    return Computation(run, lambda theta: theta, engine.close)


def torch_training(case: Case) -> Computation:
    """Prepare updates of torch.nn.RNN by torch.optim.SGD with Nesterov momentum, one replica at a time."""
    nets = [peers_torch.TorchRnn(case, replica) for replica in range(case.shape.replicas)]
    optimizers = [torch.optim.SGD(net.ordered(), LEARNING_RATE, momentum=MOMENTUM, nesterov=True) for net in nets]
    inputs = [one.contiguous() for one in case.batch.inputs.unbind(1)]

    def run() -> Sequence[Sequence[Tensor]]:
        for net, optimizer, x, y in zip(nets, optimizers, inputs, case.targets, strict=True):
            optimizer.zero_grad()
            peers_torch.total_loss(net(x), y).backward()  # type: ignore[no-untyped-call] # torch has no type for it
            optimizer.step()
        return [net.ordered() for net in nets]

    return Computation(run, peers_torch.in_order)


OURS = Way("rnnbench, all seeds together", our_training, threading="own")
PEER = Way("torch.nn.RNN and torch.optim, seed after seed", lambda case, threads: torch_training(case))


def measure_training(options: Options, settings: Sequence[int], announcer: Announcer) -> Iterator[Report]:
    """Measure updates in both ways, with every number of threads, all interleaved.

    Args:
        options: Shapes, rounds, and whether all is measured.
        settings: Numbers of threads.
        announcer: Shows the progress.

    Raises:
        MismatchError: The parameters of both ways differ after some updates.
    """
    seconds = FULL_SECONDS if options.full else SHORT_SECONDS
    for shape in options.shapes or (SHAPE,):
        case = make_case(shape)
        announcer.stage("training R={} B={} T={} n={}".format(*shape))
        with Lanes() as lanes:
            check(case, lanes)
            made = [(way, threads, way.make(case, threads)) for way in (OURS, PEER) for threads in settings]
            names = [f"{way.name}, {count(threads, 'thread')}" for way, threads, _ in made]
            variants = [
                Variant(name, computation.run, **way.circumstances(threads))
                for name, (way, threads, computation) in zip(names, made, strict=True)
            ]
            start = time.perf_counter()
            found = interleave(
                variants,
                lanes,
                rounds=options.rounds,
                seconds=seconds,
                announce=announcer.detail,
                burst_seconds=BURST_SECONDS,
            )
            for _, _, computation in made:
                computation.close()
        yield report_training(shape, found, time.perf_counter() - start)


def check(case: Case, lanes: Lanes) -> None:
    """Check that both ways give the same parameters.

    Raises:
        MismatchError: The parameters differ.
    """

    def train(way: Way) -> Tensor:
        computation = way.make(case, 1)
        results = [computation.run() for _ in range(NUM_CHECKED_UPDATES)]
        computation.close()
        assert computation.rows is not None
        return computation.rows(results[-1]).clone()

    changes = [lanes.call(partial(train, way), **way.circumstances(1)) - case.theta for way in (OURS, PEER)]
    check_agreement(PEER.name, case, changes[1], changes[0])


def report_training(shape: Shape, found: dict[str, list[float]], seconds: float) -> Report:
    """Make the table of one shape.

    Args:
        shape: Size of the problem.
        found: Way -> seconds of an update, one entry per round.
        seconds: Total time of the measurement.
    """
    statistics = {name: Statistics.of(times) for name, times in found.items()}
    sequences = shape.replicas * shape.sequences
    ours = min(one.median for name, one in statistics.items() if name.startswith(OURS.name))
    peer = min(one.median for name, one in statistics.items() if name.startswith(PEER.name))
    rows = [
        [name, milliseconds(one.median), spread(one), f"{sequences / one.median:,.0f}"]
        for name, one in statistics.items()
    ]
    return Report(
        "Whole updates, R={} B={} T={} n={}, ".format(*shape) + count(len(next(iter(found.values()))), "round"),
        ["nag, momentum 0.9", "ms", "quartiles", "sequences/s"],
        rows,
        [f"rnnbench makes {peer / ours:.1f} times the sequences per second, each way at its best number of threads."],
        {
            "shape": list(shape),
            "rounds": found,
            "statistics": {name: asdict(one) for name, one in statistics.items()},
            "speed_up": peer / ours,
            "seconds": seconds,
        },
    )
