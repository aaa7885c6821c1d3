"""What looking costs: every probe of every set in its own seconds, and the default set by the clock on the wall."""

import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
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
from rnnbench.paths import conf_dir
from rnnbench.probes.base import PreviousUpdate, Probe, View
from rnnbench.records.writer import Records
from rnnbench.training.observation import Observer, columns
from rnnbench.training.readings import NUM_PICTURED_REPLICAS, ScheduledProbe

SHORT_SECONDS, FULL_SECONDS = 50.0, 180.0
READINGS, READING_SECONDS = 5, 1.0
"""Readings of each probe, of which the median counts; fewer where they take longer than this together.

The first, which loads and makes what the others find, does not count where there are others.
"""

CG_ITERATIONS = 20
"""Of a Hessian-free update here: few, so that the share is not made small by long ones."""


@dataclass(frozen=True)
class Cost:
    """Seconds of one probe.

    Attributes:
        every: It is read at every k-th logged update.
        picture_every: Its picture is drawn at every k-th of these; 0: it has none.
        capture: Of a reading, on the training thread.
        read: Of a reading, of its own thread's processor time.
        draw: Of the pictures of the first replicas, likewise.
    """

    every: int
    picture_every: int
    capture: float
    read: float
    draw: float

    @property
    def captured(self) -> float:
        """On the training thread, for each logged update."""
        return self.capture / self.every

    @property
    def done(self) -> float:
        """On its own thread, for each logged update."""
        drawing = self.draw / math.lcm(self.every, self.picture_every) if self.picture_every else 0.0
        return self.read / self.every + drawing


def sets() -> list[str]:
    """Names of the sets of probes that conf/probe has, the default first."""
    names = {path.stem for path in (conf_dir() / "probe").glob("*.yaml")} - {"none"}
    return sorted(names, key=lambda name: (name != "default", name))


def measure_probes(
    options: Options, settings: Sequence[int], announcer: Announcer, *, make_run: MakeRun
) -> Iterator[Report]:
    """Measure both kinds of run with the largest number of threads: probes disturb most where no core is idle.

    Args:
        options: What was asked for; its rounds are pairs of blocks with and without the default probes.
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
            end = time.perf_counter() + seconds
            session = Session(make_run, overrides, num_replicas, threads)
            lanes.call(session.warm_up)
            before = session.theta
            update = lanes.call(session.update)
            costs = {}
            for chosen in sets():
                announcer.detail(f"probe={chosen}")
                config, built = make_run([*overrides, f"probe={chosen}"], num_replicas)
                costs[chosen] = {
                    key: lanes.call(partial(_cost, probe, int(config.probe[key].every), session, before, update))
                    for key, probe in built.probes.items()
                }
            walls = _walls(session, before, update, lanes, announcer, options.rounds, end)
            title = f"Probes, {name}, {in_words(threads, 'thread')}"
            yield _report(title, session, costs, walls)
            session.close()


def _report(
    title: str, session: Session, costs: Mapping[str, Mapping[str, Cost]], walls: Mapping[str, list[float]]
) -> Report:
    """The table of one kind of run."""
    interval = Statistics.of(walls["updates"]).median
    effect = [after - without for after, without in zip(walls["with"], walls["without"], strict=True)]
    found = Statistics.of(effect)
    every = int(session.config.record.log_every)
    rows: list[Sequence[str] | None] = []
    for name, probes in costs.items():
        rows += [_row(key, cost, interval, every) for key, cost in probes.items()]
        captured, done = sum(cost.captured for cost in probes.values()), sum(cost.done for cost in probes.values())
        share = percent((captured + done) / interval)
        rows += [[f"all of probe={name}", "", milliseconds(captured), milliseconds(done), "", share], None]
    return Report(
        title,
        ["probe", "every", "training thread ms", "own thread ms", "share of an update", "share of a run"],
        rows[:-1],
        [
            "Probes: a reading with its picture, at every k-th logged update. Sets, and shares of a run: per logged "
            f"update, one in {every}, pictures at their own cadence. The updates between two take "
            f"{milliseconds(interval)} ms.",
            f"On the wall, a logged update with the default probes, pictures aside, takes {milliseconds(found.median)} "
            f"ms longer (quartiles {spread(found)}, {in_words(len(effect), 'round')}): "
            f"{percent(found.median / interval)} of a run.",
        ],
        {
            "threads": session.problem.engine.threads,
            "log_every": every,
            "sets": {name: {key: asdict(cost) for key, cost in probes.items()} for name, probes in costs.items()},
            "interval": interval,
            "wall": {"seconds": walls, "effect": asdict(found), "share": found.median / interval},
        },
    )


def _row(name: str, cost: Cost, interval: float, log_every: int) -> Sequence[str]:
    reading = cost.read + cost.draw
    share_of_update = (cost.capture + reading) / (interval / log_every)
    share_of_run = (cost.captured + cost.done) / interval
    times = [milliseconds(cost.capture), milliseconds(reading)]
    return [name, str(cost.every), *times, percent(share_of_update), percent(share_of_run)]


def _cost(probe: Probe, every: int, session: Session, before: Tensor, update: Update) -> Cost:
    """Of readings at an update at which a picture is due."""
    view = _view(session, before, update, 0)
    readings = [_read_once(probe, view)]
    while len(readings) <= READINGS and sum(map(sum, readings)) < READING_SECONDS:
        readings.append(_read_once(probe, view))
    capture, read, draw = (Statistics.of(times).median for times in zip(*(readings[1:] or readings), strict=True))
    return Cost(every, int(getattr(probe, "picture_every", 0)), capture, read, draw)


def _view(session: Session, before: Tensor, update: Update, num_logged: int) -> View:
    problem = session.problem
    previous = PreviousUpdate(before, update.gradient.gradient)  # for its cost any will do
    return View(problem.model, problem.task.num_steps, before, update, num_logged, previous=previous)


def _read_once(probe: Probe, view: View) -> tuple[float, float, float]:
    """Seconds of the copy, and processor seconds of what this thread then reads, and draws."""
    start = time.perf_counter()
    read = probe.capture(view)
    captured, start_read = time.perf_counter(), time.thread_time()
    reading = read()
    start_draw = time.thread_time()
    for draw in reading.pictures.values():
        for replica in range(min(NUM_PICTURED_REPLICAS, len(view.theta))):
            draw(replica)
    return captured - start, start_draw - start_read, time.thread_time() - start_draw


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
