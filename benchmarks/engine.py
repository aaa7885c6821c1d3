"""Compares the engine with all other ways to compute the same gradients and Gauss-Newton products."""

import gc
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from torch import Tensor

from benchmarks import peers_loops, peers_optional
from benchmarks.memory import peak_bytes
from benchmarks.options import Options
from benchmarks.scaling import scaling_reports
from rnnbench.bench import ours, peers_torch
from rnnbench.bench.announce import Announcer
from rnnbench.bench.case import Case, Computation, Way, check_agreement, make_case
from rnnbench.bench.engine import check_shape, label
from rnnbench.bench.options import Shape
from rnnbench.bench.peak import LARGE_PRODUCT, Quantity, large_product, matrix_flops, peak_note, share_of_peak
from rnnbench.bench.report import Report, mebibytes, milliseconds, spread
from rnnbench.bench.timing import Lanes, Statistics, Variant, interleave
from rnnbench.records.wording import count

ALL_SHAPES = (
    Shape(1, 100, 100, 100),
    Shape(1, 1000, 100, 100),
    Shape(1, 1000, 200, 100),
    Shape(32, 20, 100, 50),
    Shape(8, 100, 100, 100),
    Shape(1, 20, 1000, 100),
)
SHORT_SHAPES = (Shape(1, 100, 100, 100), Shape(32, 20, 100, 50))
SHORT_SECONDS, FULL_SECONDS = 40.0, 500.0
SCALING_SHARE = 0.15
"""Share of the time of a full run for the scaling reports."""

TINY = Shape(2, 2, 2, 2)
"""Everything is run at this shape first, so that memory of loaded libraries is not counted for a row."""

COMPILER = "The memory of {} includes its compiler's."
MISSING = "Not installed, so not measured: {}; they come with rnnbench[bench]."


@dataclass(frozen=True)
class Entry:
    """One row of a table, ready to be timed.

    Attributes:
        section: What is computed.
        way: Way that is timed.
        computation: Computation of the way for the case.
        peak_bytes: Peak memory, including its own copies of the data; None: unknown.
    """

    section: Quantity
    way: Way
    computation: Computation
    peak_bytes: int | None


def measure_engine(options: Options, settings: Sequence[int], announcer: Announcer) -> Iterator[Report]:
    """Measure every shape with every number of threads.

    Args:
        options: Shapes, rounds, and whether all is measured.
        settings: Numbers of threads.
        announcer: Shows the progress.

    Raises:
        ConfigError: A shape does not fit into memory; raised before any measurement.
        MismatchError: A way does not compute the same as ours.
    """
    end = time.perf_counter() + (FULL_SECONDS if options.full else SHORT_SECONDS)
    shapes = options.shapes or (ALL_SHAPES if options.full else SHORT_SHAPES)
    for shape in shapes:
        check_shape(shape)
    scales = options.full and not options.shapes
    reserved = SCALING_SHARE * FULL_SECONDS if scales else 0.0
    pairs = [(shape, threads) for shape in shapes for threads in settings]
    with Lanes() as lanes:
        announcer.stage("loading of libraries")
        for entry in set_up(make_case(TINY), 1, lanes, announcer):
            entry.computation.close()
        gc.freeze()  # the libraries' objects too
        for number, (shape, threads) in enumerate(pairs):
            seconds = (end - reserved - time.perf_counter()) / (len(pairs) - number)
            yield measure_shape(shape, threads, lanes, announcer, rounds=options.rounds, seconds=seconds)
        if scales:
            yield from scaling_reports(settings, lanes, announcer, rounds=options.rounds, end=end)


def ways() -> dict[Quantity, list[Way]]:
    """Return all ways whose package is installed, by section; all must agree with the first of their section."""
    return {
        "gradient": [
            ours.GRADIENT,
            *peers_loops.GRADIENTS,
            *peers_optional.installed(peers_optional.GRADIENTS),
        ],
        "product": [
            ours.PRODUCT,
            *peers_loops.PRODUCTS,
            *peers_optional.installed(peers_optional.PRODUCTS),
        ],
        "linearization": [ours.LINEARIZATION],
    }


def set_up(case: Case, threads: int, lanes: Lanes, announcer: Announcer) -> list[Entry]:
    """Prepare every way, measure its memory, and check its result.

    Raises:
        MismatchError: A way does not compute the same as ours.
    """
    entries = []
    for section, those in ways().items():
        expected: Tensor | None = None
        for way in those:
            announcer.detail(f"checking {way.name}")

            def work(way: Way = way) -> tuple[Computation, object]:
                computation = way.make(case, threads)
                return computation, computation.run()

            circumstances = way.circumstances(threads)
            (computation, result), peak = lanes.call(partial(peak_bytes, work), **circumstances)
            if computation.rows is not None:
                rows = lanes.call(partial(computation.rows, result), **circumstances)
                expected = rows if expected is None else expected
                check_agreement(way.name, case, rows, expected)
            del result
            entries.append(Entry(section, way, computation, peak))
    return entries


def measure_shape(
    shape: Shape, threads: int, lanes: Lanes, announcer: Announcer, *, rounds: int | None, seconds: float
) -> Report:
    """Time every way at one shape.

    Args:
        shape: Size of the problem.
        threads: Number of threads.
        lanes: Threads in which the ways run.
        announcer: Shows the progress.
        rounds: Number of rounds; None: as many as fit.
        seconds: Time for all of this.

    Raises:
        MismatchError: A way does not compute the same as ours.
    """
    start = time.perf_counter()
    announcer.stage(f"{label(shape)}, {count(threads, 'thread')}")
    entries = set_up(make_case(shape), threads, lanes, announcer)
    variants = [Variant(entry.way.name, entry.computation.run, **entry.way.circumstances(threads)) for entry in entries]
    peak = large_product(threads)
    variants.append(Variant(LARGE_PRODUCT, peak.run))
    left = seconds - (time.perf_counter() - start)
    times = interleave(variants, lanes, rounds=rounds, seconds=left, announce=announcer.detail)
    for computation in (peak, *(entry.computation for entry in entries)):
        computation.close()
    return _report(shape, threads, entries, times)


def _report(shape: Shape, threads: int, entries: Sequence[Entry], times: Mapping[str, Sequence[float]]) -> Report:
    rows: list[Sequence[str] | None] = []
    data: list[dict[str, Any]] = []
    base, peak = times[peers_torch.BASE], times[LARGE_PRODUCT]
    for entry in entries:
        name, rounds = entry.way.name, times[entry.way.name]
        found, ratio = Statistics.of(rounds), Statistics.of_ratio(rounds, base)
        speed = shape.replicas * shape.sequences / found.median
        share = share_of_peak(matrix_flops(entry.section, shape), rounds, peak, threads)
        if data and data[-1]["section"] != entry.section:
            rows.append(None)
        rows.append(
            [
                name,
                milliseconds(found.median),
                spread(found),
                f"{ratio.median:.2f}",
                f"{share.median:.2f}",
                f"{speed:,.0f}",
                mebibytes(entry.peak_bytes),
            ]
        )
        data.append(
            {
                "section": entry.section,
                "name": name,
                "seconds": list(rounds),
                **asdict(found),
                "ratio": asdict(ratio),
                "share_of_peak": asdict(share),
                "sequences_per_second": speed,
                "peak_bytes": entry.peak_bytes,
            }
        )
    fastest = {section: _fastest_peer(section, entries, times) for section in ("gradient", "product")}
    compiled = [entry.way.name for entry in entries if entry.way.threading == "process"]
    notes = [
        f"{mine} takes {ratio:.2f} of the time of the fastest peer, {peer}." for mine, peer, ratio in fastest.values()
    ]
    notes.append(peak_note({threads: peak}))
    if compiled:
        notes.append(COMPILER.format(" and ".join(compiled)))
    missing = peers_optional.missing_modules()
    if missing:
        notes.append(MISSING.format(", ".join(missing)))
    return Report(
        f"{label(shape)}, {count(threads, 'thread')}, {count(len(base), 'round')}",
        ["", "ms", "quartiles", f"/ {peers_torch.BASE}", "of the peak", "sequences/s", "MiB"],
        rows,
        notes,
        {
            "shape": shape._asdict(),
            "threads": threads,
            "base": peers_torch.BASE,
            "rows": data,
            "fastest_peer": {section: {"name": peer, "ratio": ratio} for section, (_, peer, ratio) in fastest.items()},
            "large_product": {"seconds": list(peak), **asdict(Statistics.of(peak))},
            "missing": list(missing),
        },
    )


def _fastest_peer(
    section: str, entries: Sequence[Entry], times: Mapping[str, Sequence[float]]
) -> tuple[str, str, float]:
    """Return the name of our way, the name of the fastest peer, and the median ratio of their times per round."""
    mine, *others = [entry.way for entry in entries if entry.section == section]
    peers = [way.name for way in others if way.threading != "own"]
    best = min(peers, key=lambda name: Statistics.of(times[name]).median)
    return mine.name, best, Statistics.of_ratio(times[mine.name], times[best]).median
