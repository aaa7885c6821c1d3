"""Time and memory of a gradient as functions of the number of time steps, replicas and sequences."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial

import numpy as np

from benchmarks.memory import peak_bytes
from rnnbench.bench import ours
from rnnbench.bench.announce import Announcer
from rnnbench.bench.case import Computation, make_case
from rnnbench.bench.options import Shape
from rnnbench.bench.report import Report, mebibytes, milliseconds, spread
from rnnbench.bench.timing import Lanes, Statistics, Variant, interleave
from rnnbench.records.wording import count

SERIES = {
    "steps": [Shape(1, 100, steps, 100) for steps in (50, 100, 200, 500, 1000, 2000)],
    "replicas": [Shape(replicas, 20, 100, 50) for replicas in (1, 2, 4, 8, 16, 32, 64)],
    "sequences": [Shape(1, sequences, 100, 100) for sequences in (20, 50, 100, 200, 500, 1000, 2000)],
}
"""Field of a shape -> shapes that differ only in this field."""

LETTERS = {"replicas": "R", "sequences": "B", "steps": "T", "units": "n"}


def scaling_reports(
    settings: Sequence[int], lanes: Lanes, announcer: Announcer, *, rounds: int | None, end: float
) -> Iterator[Report]:
    """Yield a table for every series and number of threads.

    Args:
        settings: Numbers of threads.
        lanes: Threads in which the computations run.
        announcer: Shows the progress.
        rounds: Number of rounds; None: as many as fit.
        end: Time at which all tables should be done, by `time.perf_counter`.
    """
    pairs = [(axis, threads) for axis in SERIES for threads in settings]
    for number, (axis, threads) in enumerate(pairs):
        seconds = (end - time.perf_counter()) / (len(pairs) - number)
        announcer.stage(f"growth with {LETTERS[axis]}, {count(threads, 'thread')}")
        yield measure_series(axis, SERIES[axis], threads, lanes, announcer, rounds=rounds, seconds=seconds)


def measure_series(
    axis: str,
    shapes: Sequence[Shape],
    threads: int,
    lanes: Lanes,
    announcer: Announcer,
    *,
    rounds: int | None,
    seconds: float,
) -> Report:
    """Time our gradient at shapes that differ in one field; every round includes all shapes.

    Args:
        axis: Name of the field.
        shapes: The shapes.
        threads: Number of threads.
        lanes: Threads in which the computations run.
        announcer: Shows the progress.
        rounds: Number of rounds; None: as many as fit.
        seconds: Time for all of this.
    """
    start = time.perf_counter()
    computations, peaks = [], []
    for shape in shapes:

        def work(shape: Shape = shape) -> Computation:
            computation = ours.GRADIENT.make(make_case(shape), threads)
            computation.run()
            return computation

        computation, peak = lanes.call(partial(peak_bytes, work))
        computations.append(computation)
        peaks.append(peak)
    sizes = [getattr(shape, axis) for shape in shapes]
    variants = [Variant(str(size), one.run) for size, one in zip(sizes, computations, strict=True)]
    left = seconds - (time.perf_counter() - start)
    times = interleave(variants, lanes, rounds=rounds, seconds=left, announce=announcer.detail)
    for computation in computations:
        computation.close()
    found = [Statistics.of(times[str(size)]) for size in sizes]
    exponents = {"seconds": exponent(sizes, [one.median for one in found])}
    if all(peak for peak in peaks):
        exponents["peak_bytes"] = exponent(sizes, [peak for peak in peaks if peak])
    fixed = " ".join(
        f"{LETTERS[name]}={value}" for name, value in zip(Shape._fields, shapes[0], strict=True) if name != axis
    )
    return Report(
        f"rnnbench gradient against {LETTERS[axis]} ({fixed}), {count(threads, 'thread')}",
        [LETTERS[axis], "ms", "quartiles", f"ms / {LETTERS[axis]}", "MiB"],
        [
            [str(size), milliseconds(one.median), spread(one), milliseconds(one.median / size), mebibytes(peak)]
            for size, one, peak in zip(sizes, found, peaks, strict=True)
        ],
        [
            "Fitted exponents over the upper half (1 is linear): "
            + ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in exponents.items())
            + "."
        ],
        {
            "axis": axis,
            "threads": threads,
            "shapes": [shape._asdict() for shape in shapes],
            "rows": [
                {"size": size, "seconds": times[str(size)], **asdict(one), "peak_bytes": peak}
                for size, one, peak in zip(sizes, found, peaks, strict=True)
            ],
            "exponents": exponents,
        },
    )


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Fit the exponent k of values ~ sizes^k by least squares of logarithms, over the upper half of the sizes.

    Small sizes are excluded, since fixed costs dominate there and would make the growth look slower.
    """
    kept = len(sizes) // 2
    slope, _ = np.polyfit(np.log(sizes[kept:]), np.log(values[kept:]), 1)
    return float(slope)
