"""Compares the engine with torch.nn and autograd: gradients of all nets, Gauss-Newton products of the simple RNN."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from rnnbench.bench import ours, peers_torch
from rnnbench.bench.announce import Announcer
from rnnbench.bench.case import Case, Computation, Way, check_agreement, make_case
from rnnbench.bench.options import Options, Shape
from rnnbench.bench.peak import LARGE_PRODUCT, Quantity, large_product, matrix_flops, peak_note, share_of_peak
from rnnbench.bench.peers_gated import torch_gated
from rnnbench.bench.report import Report, milliseconds
from rnnbench.bench.timing import Lanes, Statistics, Variant, interleave
from rnnbench.config.errors import ConfigError
from rnnbench.models.base import Model
from rnnbench.models.gru import Gru
from rnnbench.models.lstm import Lstm
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.records.wording import count
from rnnbench.run.machine import GIBIBYTE, available_bytes, resolve_device

SHAPES = (Shape(1, 100, 100, 100), Shape(32, 20, 100, 50))
SECONDS = 50.0

STATES_IN_MEMORY = 45
"""Memory of all ways that are prepared at the same time, in units of T R B n floats."""


@dataclass(frozen=True)
class Section:
    """Ways to compute one quantity.

    Attributes:
        name: Name of the quantity.
        net: Function that makes the net from the numbers of inputs, outputs and hidden units.
        ways: The ways, with that of rnnbench first.
        quantity: What its matrix products are counted for.
        blocks: Number of blocks of weights; see `rnnbench.bench.peak`.
    """

    name: str
    net: Callable[[int, int, int], Model]
    ways: Sequence[Way]
    quantity: Quantity
    blocks: int = 1


def _gated(name: str) -> Way:
    return Way(f"torch.nn.{name}, replicas in turn", lambda case, threads: torch_gated(case))


SECTIONS = (
    Section("rnn, gradient", SimpleRnn, (ours.GRADIENT, peers_torch.TORCH_RNN, peers_torch.LOOP), "gradient"),
    Section("rnn, Gauss-Newton product", SimpleRnn, (ours.PRODUCT, peers_torch.DOUBLE_BACKWARD), "product"),
    Section("lstm, gradient", Lstm, (ours.GRADIENT, _gated("LSTM")), "gradient", 4),
    Section("gru, gradient", Gru, (ours.GRADIENT, _gated("GRU")), "gradient", 3),
)


def label(shape: Shape) -> str:
    """Format a shape, as in R=1 B=100 T=100 n=100."""
    return f"R={shape.replicas} B={shape.sequences} T={shape.steps} n={shape.units}"


def check_shape(shape: Shape) -> None:
    """Check that all ways of a shape fit into memory together.

    Raises:
        ConfigError: The memory is too small.
    """
    replicas, sequences, steps, units = shape
    needed = STATES_IN_MEMORY * replicas * sequences * steps * units * 4
    available = available_bytes(resolve_device("cpu"))
    if available is not None and needed > available:
        raise ConfigError(
            f"--shape {','.join(map(str, shape))}: the comparison needs about {needed / GIBIBYTE:.1f} GiB of memory, "
            f"but {available / GIBIBYTE:.1f} GiB are available"
        )


def measure_engine(options: Options, settings: Sequence[int], announcer: Announcer) -> Iterator[Report]:
    """Measure every way at every shape, with every number of threads.

    Args:
        options: Options with shapes and rounds.
        settings: Numbers of threads.
        announcer: Shows the progress.

    Raises:
        ConfigError: A shape does not fit into memory; raised before any measurement.
        MismatchError: A way gives another result than rnnbench.
    """
    end = time.perf_counter() + SECONDS
    shapes = options.shapes or SHAPES
    for shape in shapes:
        check_shape(shape)
    with Lanes() as lanes:
        for number, shape in enumerate(shapes):
            times = {}
            for place, section in enumerate(SECTIONS):
                announcer.stage(f"{section.name}, {label(shape)}")
                left = (len(shapes) - number) * len(SECTIONS) - place
                seconds = (end - time.perf_counter()) / left
                case = make_case(shape, section.net)
                times[section.name] = measure_section(
                    section, case, settings, lanes, announcer, rounds=options.rounds, seconds=seconds
                )
            yield _report(shape, settings, times)


def measure_section(
    section: Section,
    case: Case,
    settings: Sequence[int],
    lanes: Lanes,
    announcer: Announcer,
    *,
    rounds: int | None,
    seconds: float,
) -> dict[tuple[str, int], list[float]]:
    """Check the results of all ways of a section, then time the ways and the large product, interleaved.

    Args:
        section: Quantity to compute, with the ways to compute it.
        case: The problem.
        settings: Numbers of threads.
        lanes: Threads in which the ways run.
        announcer: Shows the progress.
        rounds: Number of rounds; None: as many as fit.
        seconds: Time for all of this.

    Returns:
        (Way, number of threads) -> seconds of one call, one entry per round.

    Raises:
        MismatchError: A way gives another result than rnnbench.
    """
    start = time.perf_counter()
    made: dict[tuple[str, int], Computation] = {}
    variants = []
    expected: Tensor | None = None
    for way in section.ways:
        for threads in settings:
            announcer.detail(f"checking {way.name}")
            computation, circumstances = way.make(case, threads), way.circumstances(threads)
            assert computation.rows is not None
            rows = computation.rows(lanes.call(computation.run, **circumstances))
            expected = rows if expected is None else expected
            check_agreement(way.name, case, rows, expected)
            made[way.name, threads] = computation
            variants.append(Variant(f"{way.name}, {count(threads, 'thread')}", computation.run, **circumstances))
    for threads in settings:
        made[LARGE_PRODUCT, threads] = peak = large_product(threads)
        variants.append(Variant(f"{LARGE_PRODUCT}, {count(threads, 'thread')}", peak.run))
    left = seconds - (time.perf_counter() - start)
    times = interleave(variants, lanes, rounds=rounds, seconds=left, announce=announcer.detail)
    for computation in made.values():
        computation.close()
    return dict(zip(made, times.values(), strict=True))


def _report(
    shape: Shape, settings: Sequence[int], sections: Mapping[str, Mapping[tuple[str, int], list[float]]]
) -> Report:
    """Make the table of a shape: each way with each number of threads, and its best time relative to rnnbench."""
    rows: list[Sequence[str] | None] = []
    data: list[dict[str, Any]] = []
    for section in SECTIONS:
        times = sections[section.name]
        medians = {key: Statistics.of(seconds).median for key, seconds in times.items()}
        best = {way.name: min((medians[way.name, threads], threads) for threads in settings)[1] for way in section.ways}
        base = times[section.ways[0].name, best[section.ways[0].name]]
        rows.append(None)
        for way in section.ways:
            ratio = Statistics.of_ratio(times[way.name, best[way.name]], base)
            speed = shape.replicas * shape.sequences / medians[way.name, best[way.name]]
            shares = {
                threads: share_of_peak(
                    matrix_flops(section.quantity, shape, section.blocks),
                    times[way.name, threads],
                    times[LARGE_PRODUCT, threads],
                    threads,
                )
                for threads in settings
            }
            rows.append(
                [
                    f"{section.name.partition(',')[0]}: {way.name}",
                    *(milliseconds(medians[way.name, threads]) for threads in settings),
                    *(f"{shares[threads].median:.2f}" for threads in settings),
                    f"{ratio.median:.2f}",
                    f"{speed:,.0f}",
                ]
            )
            data.append(
                {
                    "section": section.name,
                    "name": way.name,
                    "seconds": {str(threads): times[way.name, threads] for threads in settings},
                    "share_of_peak": {str(threads): asdict(share) for threads, share in shares.items()},
                    "ratio": asdict(ratio),
                    "sequences_per_second": speed,
                }
            )
    first = sections[SECTIONS[0].name]
    peak = {threads: first[LARGE_PRODUCT, threads] for threads in settings}
    num_rounds = len(data[0]["seconds"][str(settings[0])])
    return Report(
        f"{label(shape)}, {count(num_rounds, 'round')}",
        [
            "",
            *(f"ms, {count(threads, 'thread')}" for threads in settings),
            *("of the peak" for _ in settings),
            "/ rnnbench",
            "sequences/s",
        ],
        rows[1:],
        ["Medians; ratio and speed are for the best number of threads of each way.", peak_note(peak)],
        {
            "shape": shape._asdict(),
            "threads": list(settings),
            "large_product": {str(threads): seconds for threads, seconds in peak.items()},
            "rows": data,
        },
    )
