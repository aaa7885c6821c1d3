"""Compares the work of Hessian-free with other packages: a Gauss-Newton product, and conjugate gradients."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from torch import Tensor

from benchmarks import peers_loops, peers_optional, systems
from benchmarks.options import Options
from rnnbench.bench import ours
from rnnbench.bench.announce import Announcer
from rnnbench.bench.case import Case, Computation, MismatchError, Way, check_agreement, make_case
from rnnbench.bench.options import Shape
from rnnbench.bench.report import Report, milliseconds, spread
from rnnbench.bench.timing import Lanes, Statistics, Variant, interleave
from rnnbench.records.wording import count

SHAPE = Shape(1, 500, 50, 100)
"""Curvature batch, sequence length and net of the default command."""

SOLUTION_TOLERANCE = 0.05
"""Largest relative difference of a solution from that in float64: conjugate gradients amplify rounding errors."""

MISSING = "Not installed, so not measured: {}."
SOURCES = {
    "curvlinops": "curvlinops (rnnbench[bench])",
    "hessianfree": "hessianfree (pip install git+https://github.com/ltatzel/PyTorchHessianFree)",
}


@dataclass(frozen=True)
class _Section:
    """Ways to compute one quantity, ours first.

    Attributes:
        name: Name of the quantity.
        products: Number of products in one computation.
        ways: Ways to compute it.
    """

    name: str
    products: int
    ways: Sequence[Way]


@dataclass(frozen=True)
class _Entry:
    """One way, ready to be timed.

    Attributes:
        section: Section of the table.
        way: Way that is timed.
        threads: Number of threads.
        computation: Computation of the way for the case.
        difference: Norm of the difference from the result in float64, relative to the norm of the latter.
    """

    section: _Section
    way: Way
    threads: int
    computation: Computation
    difference: float

    @property
    def variant(self) -> Variant:
        """The variant that is timed."""
        return Variant(self.key, self.computation.run, **self.way.circumstances(self.threads))

    @property
    def key(self) -> str:
        """Unique name of the entry."""
        return f"{self.section.name}: {self.way.name}"


def sections() -> list[_Section]:
    """Return what is compared; packages that are not installed are omitted."""
    products = [*peers_loops.PRODUCTS, *peers_optional.installed(peers_optional.PRODUCTS)]
    solved = [systems.OURS, *peers_optional.installed(systems.OTHERS)]
    iterations = f"{systems.NUM_ITERATIONS} CG iterations"
    return [
        _Section("product", 1, [ours.PRODUCT, *products]),
        _Section(iterations, systems.NUM_ITERATIONS + 1, solved),
    ]


def measure_comparison(
    options: Options, settings: Sequence[int], announcer: Announcer, *, seconds: float
) -> Iterator[Report]:
    """Compare with every number of threads.

    Args:
        options: Shapes, rounds, and whether all is measured.
        settings: Numbers of threads.
        announcer: Shows the progress.
        seconds: Time for all of this.

    Raises:
        MismatchError: A way does not compute the same as ours.
    """
    with Lanes() as lanes:
        for threads in settings:
            announcer.stage(f"products compared with other packages, {count(threads, 'thread')}")
            entries = list(_set_up(make_case(SHAPE), threads, lanes, announcer))
            times = interleave(
                [entry.variant for entry in entries],
                lanes,
                rounds=options.rounds,
                seconds=seconds / len(settings),
                announce=announcer.detail,
            )
            for entry in entries:
                entry.computation.close()
            yield _report(threads, entries, times)


def _set_up(case: Case, threads: int, lanes: Lanes, announcer: Announcer) -> Iterator[_Entry]:
    """Prepare every way, and check its result against ours and against float64.

    Raises:
        MismatchError: A way does not compute the same as ours.
    """
    for section in sections():
        exact = _exact(section.ways[0], case)
        expected: Tensor | None = None
        for way in section.ways:
            announcer.detail(f"checking {way.name}")

            def work(way: Way = way) -> tuple[Computation, Tensor]:
                computation = way.make(case, threads)
                assert computation.rows is not None
                return computation, computation.rows(computation.run())

            computation, rows = lanes.call(partial(work), **way.circumstances(threads))
            difference = float((rows.double() - exact).norm() / exact.norm())
            if section.products == 1:
                expected = rows if expected is None else expected
                check_agreement(way.name, case, rows, expected)
            elif not difference <= SOLUTION_TOLERANCE:
                raise MismatchError(
                    f"the solution of {way.name} differs from that of rnnbench by {difference:.3g} of its norm"
                )
            yield _Entry(section, way, threads, computation, difference)


def _exact(way: Way, case: Case) -> Tensor:
    """Compute the result of one of our ways in float64, (R, P)."""
    batch = replace(case.batch, inputs=case.batch.inputs.double(), targets=case.batch.targets.double())
    computation = way.make(replace(case, batch=batch, theta=case.theta.double(), vector=case.vector.double()), 1)
    assert computation.rows is not None
    rows = computation.rows(computation.run())
    computation.close()
    return rows


def _report(threads: int, entries: Sequence[_Entry], times: dict[str, list[float]]) -> Report:
    rows: list[Sequence[str] | None] = []
    data: list[dict[str, Any]] = []
    for entry in entries:
        first = next(one for one in entries if one.section is entry.section)
        if entry is first:
            rows += [None] if rows else []
        seconds = [total / entry.section.products for total in times[entry.key]]
        base = [total / first.section.products for total in times[first.key]]
        found, ratio = Statistics.of(seconds), Statistics.of_ratio(seconds, base)
        rows.append(
            [
                entry.key,
                milliseconds(found.median),
                spread(found),
                f"{ratio.median:.2f}",
                f"{entry.difference:.1e}",
            ]
        )
        data.append(
            {
                "section": entry.section.name,
                "name": entry.way.name,
                "seconds_per_product": seconds,
                "median": found.median,
                "ratio": asdict(ratio),
                "difference": entry.difference,
            }
        )
    missing = [source for module, source in SOURCES.items() if not peers_optional.is_installed(module)]
    size = f"B={SHAPE.sequences} T={SHAPE.steps} n={SHAPE.units}"
    return Report(
        f"Per product, compared with others, {size}, {count(threads, 'thread')}, {count(len(seconds), 'round')}",
        ["", "ms", "quartiles", "/ rnnbench", "off float64"],
        rows,
        [MISSING.format(", ".join(missing))] if missing else [],
        {"shape": SHAPE._asdict(), "threads": threads, "comparison": data, "missing": missing},
    )
