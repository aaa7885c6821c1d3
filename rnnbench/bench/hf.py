"""Hessian-free's products beside other packages', and where the time of an update goes, part by part."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial

from rnnbench.bench.announce import Announcer
from rnnbench.bench.comparison import measure_comparison
from rnnbench.bench.options import Options
from rnnbench.bench.report import Report, in_words, milliseconds, percent, spread
from rnnbench.bench.session import (
    BATCHES,
    HF_RUN,
    NAG_REPLICAS,
    NAG_RUN,
    PARTS,
    PRODUCTS,
    REST,
    VECTORS,
    Clock,
    MakeRun,
    Session,
)
from rnnbench.bench.timing import Lanes, Statistics

SHORT_SECONDS, FULL_SECONDS = 40.0, 180.0
NAG_UPDATES = 25
"""Updates of nag in a round: one lasts some milliseconds only."""

OVERHEAD = (BATCHES, VECTORS, REST)
"""What is neither gradient, nor product, nor evaluation of an objective."""


@dataclass
class Times:
    """What the updates of one session took.

    Attributes:
        parts: Seconds by part, one mapping per round.
        products: Gauss-Newton products by round, of all replicas.
    """

    parts: list[Mapping[str, float]] = field(default_factory=list)
    products: list[float] = field(default_factory=list)


def measure_hf(
    options: Options, settings: Sequence[int], announcer: Announcer, *, make_run: MakeRun
) -> Iterator[Report]:
    """Compare products, then measure updates of Hessian-free and of nag with every number of threads, in turn.

    Args:
        options: What was asked for; its rounds are updates of Hessian-free, or `NAG_UPDATES` of nag.
        settings: Numbers of threads.
        announcer: Told how far it is.
        make_run: Builds a run.
    """
    seconds = FULL_SECONDS if options.full else SHORT_SECONDS
    yield from measure_comparison(options, settings, announcer, seconds=0.5 * seconds)
    hf = "Hessian-free, default settings at T=50"
    yield from _measure(hf, HF_RUN, 1, 1, 0.4 * seconds, options, settings, announcer, make_run)
    nag = f"nag, R={NAG_REPLICAS} B=20 T=50 n=50"
    yield from _measure(nag, NAG_RUN, NAG_REPLICAS, NAG_UPDATES, 0.1 * seconds, options, settings, announcer, make_run)


def _measure(
    name: str,
    overrides: Sequence[str],
    num_replicas: int,
    updates: int,
    seconds: float,
    options: Options,
    settings: Sequence[int],
    announcer: Announcer,
    make_run: MakeRun,
) -> Iterator[Report]:
    """Rounds of so many updates with each number of threads, until the time is up."""
    end = time.perf_counter() + seconds
    announcer.stage(name)
    found = {threads: Times() for threads in settings}
    with Lanes() as lanes:
        sessions = {threads: Session(make_run, overrides, num_replicas, threads) for threads in settings}
        for session in sessions.values():
            lanes.call(session.warm_up)
        done = 0
        while done < options.rounds if options.rounds else (done == 0 or time.perf_counter() < end):
            for threads, session in sessions.items():
                announcer.detail(f"round {done + 1}, {in_words(threads, 'thread')}")
                parts, products = lanes.call(partial(_round, session, updates))
                found[threads].parts.append(parts)
                found[threads].products.append(products)
            done += 1
        for session in sessions.values():
            session.close()
    for threads, times in found.items():
        yield report_parts(f"{name}, {in_words(threads, 'thread')}", threads, updates, times)


def _round(session: Session, updates: int) -> tuple[Mapping[str, float], float]:
    """Seconds by part of one update, the mean over so many, and the number of products of all of them."""
    clock, products = Clock(), 0.0
    for _ in range(updates):
        products += float(session.update(clock).products.sum())
    return {part: clock.seconds[part] / updates for part in PARTS if part in clock.seconds}, products


def report_parts(title: str, threads: int, updates: int, times: Times) -> Report:
    """The table of one session.

    Args:
        title: What it is.
        threads: Number of threads.
        updates: Updates in a round.
        times: What they took.
    """
    totals = [sum(parts.values()) for parts in times.parts]
    names = [part for part in PARTS if any(part in parts for parts in times.parts)]
    columns = {name: [parts.get(name, 0.0) for parts in times.parts] for name in names}
    shares = {name: sum(column) / sum(totals) for name, column in columns.items()}
    rows: list[Sequence[str] | None] = [
        [name, milliseconds(Statistics.of(column).median), spread(Statistics.of(column)), percent(shares[name])]
        for name, column in columns.items()
    ]
    total = Statistics.of(totals)
    outside = [name for name in OVERHEAD if name in shares]
    overhead = sum(shares[name] for name in outside)
    notes = [f"{', '.join(outside)} together: {percent(overhead)} of an update."]
    data = {
        "threads": threads,
        "updates_per_round": updates,
        "seconds": columns,
        "shares": shares,
        "update": asdict(total),
        "overhead_share": overhead,
        "products": times.products,
    }
    if sum(times.products) > 0:
        data["products_per_second"] = sum(times.products) / sum(columns[PRODUCTS]) / updates
        notes.append(
            f"{sum(times.products):,.0f} products in {in_words(len(totals) * updates, 'update')}, "
            f"{data['products_per_second']:,.1f} per second of their own time."
        )
    return Report(
        f"{title}, {in_words(len(totals) * updates, 'update')}",
        ["part of an update", "ms", "quartiles", "share"],
        [*rows, None, ["update", milliseconds(total.median), spread(total), percent(1.0)]],
        notes,
        data,
    )
