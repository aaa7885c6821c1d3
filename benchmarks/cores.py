"""Times with 1, 2, 4, ... threads, compared with a prediction from what one thread does in the kernels.

Letters as in `rnnbench.bench.case`.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from benchmarks.engine import ALL_SHAPES
from benchmarks.options import Options
from rnnbench.bench import ours
from rnnbench.bench.announce import Announcer
from rnnbench.bench.case import Case, MeasurementError, Way, make_case
from rnnbench.bench.engine import label
from rnnbench.bench.report import Report, milliseconds
from rnnbench.bench.timing import Lanes, Statistics, Variant, interleave
from rnnbench.models.native_memory import tile_size
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.native import library
from rnnbench.objective.engine import Engine
from rnnbench.run.processors import num_processors

WAYS = (ours.GRADIENT, ours.PRODUCT)
SHORT_SECONDS, FULL_SECONDS = 30.0, 240.0

NUM_SERIAL_CALLS = 15

PREDICTED = (8, 16, 64)
"""Numbers of threads whose times are predicted on smaller machines too."""

HANDOVER_SECONDS = 5e-5
"""Time until a waiting thread has begun and its end is known."""


@dataclass(frozen=True)
class Prediction:
    """Time of a gradient or product against the number of threads.

    The kernels' tiles run in parallel, each on one thread; all else runs on one thread.

    Attributes:
        total: Seconds on one thread.
        serial: Of these, the seconds outside the kernels.
        tiles: Number of tiles of the batch.
    """

    total: float
    serial: float
    tiles: int

    def seconds(self, threads: int) -> float:
        """Return the predicted seconds with a number of threads."""
        if threads == 1:
            return self.total
        rounds = -(-self.tiles // threads)
        return self.serial + HANDOVER_SECONDS + (self.total - self.serial) * rounds / self.tiles


def outside_kernels(case: Case, way: Way) -> float:
    """Return the least seconds that a computation on one thread spends outside the kernels."""
    computation, kernels = way.make(case, 1), library.kernels(SimpleRnn.native_net, case.theta.dtype.itemsize)
    run, inside, found = kernels.run, 0.0, []

    def timed(*arguments: Any) -> None:
        nonlocal inside
        start = time.perf_counter()
        run(*arguments)
        inside += time.perf_counter() - start

    kernels.run = timed  # type: ignore[assignment] # in place of a function of the library
    try:
        for _ in range(NUM_SERIAL_CALLS):
            start, inside = time.perf_counter(), 0.0
            computation.run()
            found.append(time.perf_counter() - start - inside)
    finally:
        kernels.run = run
    computation.close()
    return min(found)


def num_tiles(case: Case) -> int:
    """Return the number of tiles of a batch, in all its blocks."""
    shape, engine = case.shape, Engine(case.model)
    blocks = engine.split(shape.replicas, shape.steps, shape.sequences)
    sizes = [(b.replicas.stop - b.replicas.start, b.sequences.stop - b.sequences.start) for b in blocks]
    return sum(replicas * -(-sequences // tile_size(sequences)) for replicas, sequences in sizes)


def thread_numbers(most: int) -> list[int]:
    """Return 1, 2, 4, ... and the largest number."""
    return sorted({*(2**k for k in range(most.bit_length())), most})


def measure_cores(options: Options, settings: Sequence[int], announcer: Announcer) -> Iterator[Report]:
    """Measure gradients and products with growing numbers of threads, all interleaved.

    Args:
        options: Shapes, rounds, the largest number of threads, and whether all is measured.
        settings: Not used.
        announcer: Shows the progress.

    Raises:
        MeasurementError: The native kernels, whose work is shared by tiles, cannot be used.
    """
    shapes = options.shapes or (ALL_SHAPES if options.full else ALL_SHAPES[:1])
    seconds = (FULL_SECONDS if options.full else SHORT_SECONDS) / (len(shapes) * len(WAYS))
    numbers = thread_numbers(options.threads or num_processors())
    for shape in shapes:
        case = make_case(shape)
        if not case.model.ignores_threads(case.theta.device, case.theta.dtype):
            name = case.model.backend_name(case.theta.device, case.theta.dtype)
            raise MeasurementError(f"cores: the sweeps are computed by {name}; only native kernels share tiles")
        for way in WAYS:
            announcer.stage(f"{way.name}, {label(shape)}")
            yield _measure(case, way, numbers, announcer, rounds=options.rounds, seconds=seconds)


def _measure(
    case: Case, way: Way, numbers: Sequence[int], announcer: Announcer, *, rounds: int | None, seconds: float
) -> Report:
    with Lanes() as lanes:
        serial = lanes.call(partial(outside_kernels, case, way))
        made = {str(threads): way.make(case, threads) for threads in numbers}
        variants = [Variant(name, computation.run) for name, computation in made.items()]
        times = interleave(variants, lanes, rounds=rounds, seconds=seconds, announce=announcer.detail)
        for computation in made.values():
            computation.close()
    medians = {name: Statistics.of(each).median for name, each in times.items()}
    prediction = Prediction(medians["1"], serial, num_tiles(case))
    rows, speed_ups = [], {}
    for threads in sorted({*numbers, *PREDICTED}):
        found, predicted = medians.get(str(threads)), prediction.seconds(threads)
        measured = None if found is None else prediction.total / found
        speed_ups[str(threads)] = measured, prediction.total / predicted
        rows.append(
            [
                str(threads),
                "-" if found is None else milliseconds(found),
                milliseconds(predicted),
                "-" if measured is None else f"{measured:.2f}",
                f"{prediction.total / predicted:.2f}",
            ]
        )
    return Report(
        f"{way.name}, {label(case.shape)}, {prediction.tiles} tiles",
        ["threads", "ms", "predicted", "speed-up", "predicted"],
        rows,
        [f"Outside the kernels, on one thread: {milliseconds(prediction.serial)} ms."],
        {
            "shape": case.shape._asdict(),
            "name": way.name,
            "seconds": times,
            "prediction": asdict(prediction),
            "speed_ups": speed_ups,
        },
    )
