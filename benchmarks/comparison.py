"""Hessian-free's work beside that of other packages: one product, and conjugate gradients product by product."""

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
"""The curvature batch, length and net of the default command."""

SOLUTION_TOLERANCE = 0.05
"""Largest difference of a solution from that in float64, relative to it: conjugate gradients amplify rounding."""

MISSING = "Not installed, so not measured: {}."
SOURCES = {
    "curvlinops": "curvlinops (rnnbench[bench])",
    "hessianfree": "hessianfree (pip install git+https://github.com/ltatzel/PyTorchHessianFree)",
}


@dataclass(frozen=True)
class _Section:
    """Ways to the same, ours first.

    Attributes:
        name: What it is.
        products: In one computation.
        ways: To it.
    """

    name: str
    products: int
    ways: Sequence[Way]


@dataclass(frozen=True)
class _Entry:
    """One way, set up.

    Attributes:
        section: Section of the table.
        way: Way that is timed.
        threads: Number of threads.
        computation: The way for the case.
        difference: From float64, relative to the norm.
    """

    section: _Section
    way: Way
    threads: int
    computation: Computation
    difference: float

    @property
    def variant(self) -> Variant:
        """What is timed."""
        return Variant(self.key, self.computation.run, **self.way.circumstances(self.threads))

    @property
    def key(self) -> str:
        """Distinct among all."""
        return f"{self.section.name}: {self.way.name}"


def sections() -> list[_Section]:
    """What is compared, as far as it is installed."""
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
        MismatchError: A way does not compute what we do.
    """
    with Lanes() as lanes:
        for threads in settings:
            announcer.stage(f"products beside others', {count(threads, 'thread')}")
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
    """Set every way up, and check what it computes against ours and against float64.

    Raises:
        MismatchError: One does not compute what we do.
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

            computation, found = lanes.call(partial(work), **way.circumstances(threads))
            difference = float((found.double() - exact).norm() / exact.norm())
            if section.products == 1:
                expected = found if expected is None else expected
                check_agreement(way.name, case, found, expected)
            elif not difference <= SOLUTION_TOLERANCE:
                raise MismatchError(f"{way.name} does not solve what rnnbench does: it differs by {difference:.3g}")
            yield _Entry(section, way, threads, computation, difference)


def _exact(way: Way, case: Case) -> Tensor:
    """What one of ours finds in float64, (R, P)."""
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
        f"Per product beside others, {size}, {count(threads, 'thread')}, {count(len(seconds), 'round')}",
        ["", "ms", "quartiles", "/ rnnbench", "off float64"],
        rows,
        [MISSING.format(", ".join(missing))] if missing else [],
        {"shape": SHAPE._asdict(), "threads": threads, "comparison": data, "missing": missing},
    )
