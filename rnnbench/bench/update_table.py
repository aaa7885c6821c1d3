"""The table of the parts of an update: one row per part, one column per number of threads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rnnbench.bench.clock import BACKTRACKING, BATCHES, LINE_SEARCH, LINEARIZE, PRODUCTS, RATIO, REST, VECTORS
from rnnbench.bench.report import Report, milliseconds, percent
from rnnbench.bench.timing import Statistics
from rnnbench.records.wording import count

FORWARD, BACKWARD = "gradient, forward", "gradient, backward"
EVALUATION, CAPTURE = "evaluation", "copies for probes"
UPDATE_PARTS = (
    BATCHES,
    FORWARD,
    BACKWARD,
    LINEARIZE,
    PRODUCTS,
    VECTORS,
    BACKTRACKING,
    RATIO,
    LINE_SEARCH,
    REST,
)
PARTS = (*UPDATE_PARTS, EVALUATION, CAPTURE)
"""Parts of an update, in order: those of the optimizer, then those that follow in the training loop."""

OVERHEAD = (BATCHES, VECTORS, REST)
"""Parts that are neither gradient, nor product, nor evaluation of the loss."""


@dataclass
class Times:
    """Times of the updates with one number of threads.

    Attributes:
        parts: Seconds of an update by part, one mapping per round.
        products: Number of Gauss-Newton products per update of all replicas, one number per round.
    """

    parts: list[Mapping[str, float]] = field(default_factory=list)
    products: list[float] = field(default_factory=list)

    @property
    def total(self) -> float:
        """Median seconds of an update."""
        return Statistics.of([sum(parts.values()) for parts in self.parts]).median

    def median(self, part: str) -> float:
        """Median seconds of a part; 0 if there is none."""
        return Statistics.of([parts.get(part, 0.0) for parts in self.parts]).median

    def mean(self, part: str) -> float:
        """Mean seconds of a part; shares are computed from means, so that they add up."""
        return sum(parts.get(part, 0.0) for parts in self.parts) / len(self.parts)


@dataclass(frozen=True)
class LoopCosts:
    """Costs that follow an update in the training loop, in seconds per update.

    Attributes:
        evaluation: Number of threads -> seconds of the evaluation on the held-out sequences.
        capture: Seconds of copies for the probes, on the training thread.
        probes: Processor seconds of the probes, on their own thread.
        records: Seconds of rows and checkpoints, on the records' thread.
        cadence: Description of how often each part is due.
    """

    evaluation: Mapping[int, float]
    capture: float
    probes: float
    records: float
    cadence: str


def report_update(
    title: str, updates: int, times: Mapping[int, Times], loop: LoopCosts | None = None, notes: Sequence[str] = ()
) -> Report:
    """Make the table of a run's update: one row per part, one column per number of threads.

    Args:
        title: Title of the table.
        updates: Number of updates per round.
        times: Number of threads -> times.
        loop: Costs that follow an update in the training loop; None: omitted.
        notes: Further sentences below the table.
    """
    best = min(times, key=lambda threads: times[threads].total)
    after = {
        threads: {} if loop is None else {EVALUATION: loop.evaluation[threads], CAPTURE: loop.capture}
        for threads in times
    }
    seconds = {
        threads: {part: own.median(part) for part in UPDATE_PARTS} | after[threads] for threads, own in times.items()
    }
    totals = {threads: own.total + sum(after[threads].values()) for threads, own in times.items()}
    means = {
        threads: {part: own.mean(part) for part in UPDATE_PARTS} | after[threads] for threads, own in times.items()
    }
    shares = {
        threads: {part: value / sum(own.values()) for part, value in own.items()} for threads, own in means.items()
    }
    names = [part for part in PARTS if any(own.get(part) for own in seconds.values())]
    rows: list[Sequence[str] | None] = [
        [name, *(milliseconds(own[name]) for own in seconds.values()), percent(shares[best][name])] for name in names
    ]
    rows += [None, ["all", *map(milliseconds, totals.values()), percent(1.0)]]
    rows.append(["updates / s", *(f"{1 / total:,.3g}" for total in totals.values()), ""])
    overhead = {threads: sum(own[part] for part in OVERHEAD) for threads, own in shares.items()}
    made = len(times[best].parts) * updates
    notes = [*_notes(times, totals, overhead, best, loop), *notes]
    return Report(
        f"{title}, {count(made, 'update')}",
        ["part of an update", *(f"ms, {count(threads, 'thread')}" for threads in times), "share"],
        rows,
        notes,
        {
            "updates_per_round": updates,
            "threads": list(times),
            "seconds": {str(threads): [dict(parts) for parts in own.parts] for threads, own in times.items()},
            "products": {str(threads): own.products for threads, own in times.items()},
            "shares": {str(threads): own for threads, own in shares.items()},
            "totals": {str(threads): total for threads, total in totals.items()},
            "overhead_share": {str(threads): share for threads, share in overhead.items()},
            "beside": None if loop is None else {"probes": loop.probes, "records": loop.records},
        },
    )


def _notes(
    times: Mapping[int, Times],
    totals: Mapping[int, float],
    overhead: Mapping[int, float],
    best: int,
    loop: LoopCosts | None,
) -> Iterator[str]:
    """Yield the sentences below the table."""
    yield f"Shares with {count(best, 'thread')}; {', '.join(OVERHEAD)} together: {percent(overhead[best])}."
    products = Statistics.of(times[best].products).median
    if products > 0:
        speed = products / times[best].median(PRODUCTS)
        yield f"{products:,.4g} Gauss-Newton products per update; the products alone run at {speed:,.1f} per second."
    if loop is not None:
        yield f"Averaged over all updates: {loop.cadence}."
        yield (
            f"In addition, on other threads: {milliseconds(loop.probes)} ms of probes and "
            f"{milliseconds(loop.records)} ms of records per update."
        )
    if len(times) > 1:
        gain = "" if best == 1 else f": {totals[1] / totals[best]:.2f} times as fast as with 1"
        yield f"Fastest with {count(best, 'thread')}{gain}."
