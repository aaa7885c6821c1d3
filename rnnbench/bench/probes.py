"""What looking costs: every probe in its own seconds, and the default set by the clock on the wall."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from rnnbench.bench.announce import Announcer
from rnnbench.bench.options import Options
from rnnbench.bench.report import Report, in_words, milliseconds, percent, spread
from rnnbench.bench.session import HF_RUN, NAG_REPLICAS, NAG_RUN, MakeRun, Session
from rnnbench.bench.timing import Lanes, Statistics
from rnnbench.optim.base import Update
from rnnbench.probes.base import Probe, View
from rnnbench.records.writer import Records
from rnnbench.training.observation import NUM_PICTURED_REPLICAS, Observer, ScheduledProbe, columns

SHORT_SECONDS, FULL_SECONDS = 50.0, 180.0
READINGS = 5
"""Readings of each probe, with and without its picture, of which the median counts."""

CG_ITERATIONS = 20
"""Of a Hessian-free update here: few, so that the share is not made small by long ones."""


def measure_probes(
    options: Options, settings: Sequence[int], announcer: Announcer, *, make_run: MakeRun
) -> Iterator[Report]:
    """Measure both kinds of run with the largest number of threads: probes disturb most where no core is idle.

    Args:
        options: What was asked for; its rounds are pairs of blocks with and without probes.
        settings: Numbers of threads.
        announcer: Told how far it is.
        make_run: Builds a run.
    """
    threads = max(settings)
    seconds = (FULL_SECONDS if options.full else SHORT_SECONDS) / 2
    kinds = {
        f"Hessian-free at T=50, {CG_ITERATIONS} CG iterations": (
            [*HF_RUN, f"optim.max_cg_iterations={CG_ITERATIONS}"],
            1,
        ),
        f"nag, R={NAG_REPLICAS} B=20 T=50 n=50": (NAG_RUN, NAG_REPLICAS),
    }
    for name, (overrides, num_replicas) in kinds.items():
        announcer.stage(f"probes, {name}")
        with Lanes() as lanes:
            session = Session(make_run, overrides, num_replicas, threads)
            title = f"Probes, {name}, {in_words(threads, 'thread')}"
            yield _measure_run(title, session, lanes, announcer, options.rounds, time.perf_counter() + seconds)
            session.close()


def _measure_run(
    title: str, session: Session, lanes: Lanes, announcer: Announcer, rounds: int | None, end: float
) -> Report:
    """The table of one kind of run."""
    lanes.call(session.warm_up)
    before = session.theta
    update = lanes.call(session.update)
    costs = {}
    for name, probe in session.probes.items():
        announcer.detail(name)
        costs[name] = lanes.call(partial(_cost, probe, session, before, update))
    walls = _walls(session, before, update, lanes, announcer, rounds, end)
    interval = Statistics.of(walls["updates"]).median
    total = {key: sum(cost[key] for cost in costs.values()) for key in ("capture", "read")}
    rows: list[Sequence[str] | None] = [_row(name, cost, interval) for name, cost in costs.items()]
    effect = [after - without for after, without in zip(walls["with"], walls["without"], strict=True)]
    found = Statistics.of(effect)
    every = int(session.config.record.log_every)
    return Report(
        title,
        ["probe", "training thread ms", "own thread ms", "share of a run"],
        [*rows, None, _row("all of them", total, interval)],
        [
            f"Per logged update, one in {every}; the updates between two take {milliseconds(interval)} ms. "
            "Pictures are counted at their own cadence.",
            f"On the wall, a logged update with all probes, pictures aside, takes {milliseconds(found.median)} ms "
            f"longer (quartiles {spread(found)}, {in_words(len(effect), 'round')}): "
            f"{percent(found.median / interval)} of a run.",
        ],
        {
            "threads": session.problem.engine.threads,
            "log_every": every,
            "probes": costs,
            "all": total,
            "interval": interval,
            "wall": {"seconds": walls, "effect": asdict(found), "share": found.median / interval},
        },
    )


def _row(name: str, cost: Mapping[str, float], interval: float) -> Sequence[str]:
    share = (cost["capture"] + cost["read"]) / interval
    return [name, milliseconds(cost["capture"]), milliseconds(cost["read"]), percent(share)]


def _cost(probe: Probe, session: Session, before: Tensor, update: Update) -> dict[str, float]:
    """Seconds per logged update: copying on the training thread, and the probes' thread's own."""
    picture_every = int(getattr(probe, "picture_every", 0))
    plain = [_read_once(probe, _view(session, before, update, 1)) for _ in range(READINGS)]
    pictured = [_read_once(probe, _view(session, before, update, 0)) for _ in range(READINGS)]
    capture = Statistics.of([one for one, _ in plain]).median
    read, read_pictured = (Statistics.of([one for _, one in readings]).median for readings in (plain, pictured))
    if picture_every:
        read += max(0.0, read_pictured - read) / picture_every
    return {"capture": capture, "read": read}


def _view(session: Session, before: Tensor, update: Update, num_logged: int) -> View:
    problem = session.problem
    return View(problem.model, problem.task.num_steps, before, update, num_logged)


def _read_once(probe: Probe, view: View) -> tuple[float, float]:
    """Seconds of the copy, and processor seconds of what this thread then does."""
    start = time.perf_counter()
    read = probe.capture(view)
    captured, start_read = time.perf_counter(), time.thread_time()
    reading = read()
    for draw in reading.pictures.values():
        for replica in range(min(NUM_PICTURED_REPLICAS, len(view.theta))):
            draw(replica)
    return captured - start, time.thread_time() - start_read


def _walls(
    session: Session,
    before: Tensor,
    update: Update,
    lanes: Lanes,
    announcer: Announcer,
    rounds: int | None,
    end: float,
) -> dict[str, list[float]]:
    """Seconds of blocks with and without probes, in turn, and of the updates alone in those without."""
    every = int(session.config.record.log_every)
    scheduled = {name: ScheduledProbe(probe, 1) for name, probe in session.probes.items()}
    walls: dict[str, list[float]] = {"with": [], "without": [], "updates": []}
    with ExitStack() as stack:
        observers = {}
        for name, probes in {"with": scheduled, "without": dict[str, ScheduledProbe]()}.items():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            observers[name] = _observer(session, folder, probes, stack)
        pictureless = _view(session, before, update, 1)
        lanes.call(partial(_block, session, observers["with"], pictureless, 0, 1))  # not counted: what it loads
        done = 0
        while done < rounds if rounds else (done == 0 or time.perf_counter() < end):
            for name in ("with", "without") if done % 2 else ("without", "with"):
                announcer.detail(f"round {done + 1}, {name} probes")
                view = pictureless if name == "with" else None
                block = lanes.call(partial(_block, session, observers[name], view, done, every))
                walls[name].append(block[0])
                if name == "without":
                    walls["updates"].append(block[1])
            done += 1
    return walls


def _observer(session: Session, folder: Path, probes: Mapping[str, ScheduledProbe], stack: ExitStack) -> Observer:
    """What completes rows in a folder of its own, for every replica; closed with the stack."""
    problem = session.problem
    folders = [folder / str(replica) for replica in range(len(problem.seeds))]
    for own in folders:
        own.mkdir()
    names = columns(probes, session.optimizer, problem.model, problem.task)
    records = stack.enter_context(Records(folders, names))
    return stack.enter_context(Observer(records, probes, _fail))


def _fail(message: str) -> None:
    raise RuntimeError(message)


def _block(session: Session, observer: Observer, view: View | None, number: int, every: int) -> tuple[float, float]:
    """Log one update and make the following ones, while the probes work; seconds of all, and of the updates.

    What the probes have not done when the next update is logged would hold that one up, so it is waited for.
    """
    values: dict[str, Any] = {}
    start = time.perf_counter()
    observer.observe(number, range(len(session.theta)), values, None if view is None else lambda num_logged: view)
    updating = time.perf_counter()
    for _ in range(every):
        session.update()
    updated = time.perf_counter()
    observer.drain()
    return time.perf_counter() - start, updated - updating
