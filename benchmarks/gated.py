"""Compares gradients and Gauss-Newton products of the gated nets, by every recurrence, with gradients of torch.nn.

Letters as in `rnnbench.bench.case`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial

from benchmarks.options import Options
from rnnbench.bench.announce import Announcer
from rnnbench.bench.case import Case, Computation, Way, check_agreement, make_case
from rnnbench.bench.options import Shape
from rnnbench.bench.ours import our_gradient, our_product
from rnnbench.bench.peers_gated import gated, torch_gated
from rnnbench.bench.report import Report, milliseconds, spread
from rnnbench.bench.timing import Lanes, Statistics, Variant, interleave
from rnnbench.models.gated_cell import GatedCell
from rnnbench.models.gru import Gru
from rnnbench.models.lstm import Lstm
from rnnbench.records.wording import count

SHAPES = (
    Shape(1, 20, 100, 50),
    Shape(32, 20, 100, 50),
    Shape(1, 100, 100, 100),
    Shape(8, 100, 100, 100),
    Shape(1, 1000, 100, 100),
)
NETS: tuple[type[GatedCell], ...] = (Lstm, Gru)
NUM_SHORT_SHAPES = 2
SHORT_SECONDS, FULL_SECONDS = 25.0, 240.0


def ours(what: str, compute: Callable[[Case, int], Computation], recurrence: str) -> Way:
    """Return the way to compute a gradient or a product of our net with a given `model.recurrence`."""

    def make(case: Case, threads: int) -> Computation:
        net = partial(type(gated(case)), recurrence=recurrence)
        return compute(make_case(case.shape, net), threads)

    return Way(f"{what}, recurrence={recurrence}", make, threading="own")


AUTO, PRODUCT = (ours(*each, "auto") for each in (("gradient", our_gradient), ("product", our_product)))
PEER = Way("gradient, torch.nn, replicas in turn", lambda case, threads: torch_gated(case))
GRADIENTS = (ours("gradient", our_gradient, "torch"), ours("gradient", our_gradient, "fused"), AUTO, PEER)
PRODUCTS = (ours("product", our_product, "torch"), PRODUCT)
"""The first way of each group is the reference for the others."""


def measure_gated(options: Options, settings: Sequence[int], announcer: Announcer) -> Iterator[Report]:
    """Measure every way for both nets at every shape, with every number of threads, all interleaved.

    Args:
        options: Shapes, rounds, and whether all is measured.
        settings: Numbers of threads.
        announcer: Shows the progress.

    Raises:
        MismatchError: A way does not compute the same as recurrence=torch.
    """
    shapes = options.shapes or (SHAPES if options.full else SHAPES[:NUM_SHORT_SHAPES])
    seconds = (FULL_SECONDS if options.full else SHORT_SECONDS) / (len(shapes) * len(NETS))
    for shape in shapes:
        for net in NETS:
            announcer.stage("{} R={} B={} T={} n={}".format(net.__name__.lower(), *shape))
            with Lanes() as lanes:
                entries = _set_up(make_case(shape, net), settings, lanes)
                variants = [
                    Variant(name, made.run, **way.circumstances(threads)) for name, way, threads, made in entries
                ]
                found = interleave(variants, lanes, rounds=options.rounds, seconds=seconds, announce=announcer.detail)
                for *_, made in entries:
                    made.close()
            yield _report(shape, net, found, settings)


def _set_up(case: Case, settings: Sequence[int], lanes: Lanes) -> list[tuple[str, Way, int, Computation]]:
    """Prepare and check every way with every number of threads."""
    entries = []
    for ways in (GRADIENTS, PRODUCTS):
        expected = None
        for threads in settings:
            for way in ways:
                made = way.make(case, threads)
                result = lanes.call(made.run, **way.circumstances(threads))
                assert made.rows is not None
                rows = made.rows(result)
                expected = rows if expected is None else expected
                check_agreement(way.name, case, rows, expected)
                entries.append((_name(way, threads), way, threads, made))
    return entries


def _name(way: Way, threads: int) -> str:
    return f"{way.name}, {count(threads, 'thread')}"


def _report(
    shape: Shape, net: type[GatedCell], found: Mapping[str, Sequence[float]], settings: Sequence[int]
) -> Report:
    statistics = {name: Statistics.of(times) for name, times in found.items()}
    best = {
        way: min((_name(way, t) for t in settings), key=lambda name: statistics[name].median)
        for way in (AUTO, PRODUCT, PEER)
    }
    ratios = {name: Statistics.of_ratio(times, found[best[PEER]]) for name, times in found.items()}
    rows = [
        [name, milliseconds(one.median), spread(one), f"{ratios[name].median:.2f}"] for name, one in statistics.items()
    ]
    title = "{}, R={} B={} T={} n={}".format(net.__name__.lower(), *shape)
    return Report(
        f"{title}, {count(len(next(iter(found.values()))), 'round')}",
        ["", "ms", "quartiles", "/ torch.nn"],
        rows,
        [
            f"By default a gradient takes {ratios[best[AUTO]].median:.2f} of the time of torch.nn's gradient, and a "
            f"product {ratios[best[PRODUCT]].median:.2f}, each at its best."
        ],
        {
            "net": net.__name__.lower(),
            "shape": list(shape),
            "rounds": {name: list(times) for name, times in found.items()},
            "statistics": {name: asdict(one) for name, one in statistics.items()},
            "ratios": {name: asdict(one) for name, one in ratios.items()},
        },
    )
