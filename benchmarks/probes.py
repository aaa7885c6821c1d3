"""The cost of probes: processor time of every probe of every set, and wall-clock time of the default set."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.options import Options
from benchmarks.runs import HF_RUN, NAG_REPLICAS, NAG_RUN, bare_run, configs_of
from rnnbench.bench.announce import Announcer
from rnnbench.bench.bare_run import BareRun
from rnnbench.bench.record_costs import ProbeCost, probe_costs, view_of
from rnnbench.bench.report import Report, milliseconds, percent, spread
from rnnbench.bench.timing import Lanes, Statistics
from rnnbench.config.build import build
from rnnbench.optim.base import Update
from rnnbench.paths import conf_dir
from rnnbench.probes.base import View
from rnnbench.records.wording import count
from rnnbench.records.writer import Records
from rnnbench.training.observation import Observer, columns
from rnnbench.training.readings import ScheduledProbe

SHORT_SECONDS, FULL_SECONDS = 50.0, 180.0
CG_ITERATIONS = 20
"""Number of CG iterations of a Hessian-free update: few, since long updates would make the share of probes small."""


def sets() -> list[str]:
    """Return the names of the sets of probes in conf/probe, the default first."""
    names = {path.stem for path in (conf_dir() / "probe").glob("*.yaml")} - {"none"}
    return sorted(names, key=lambda name: (name != "default", name))


def measure_probes(options: Options, settings: Sequence[int], announcer: Announcer) -> Iterator[Report]:
    """Measure both kinds of run with the largest number of threads: probes slow down most if no core is idle.

    Args:
        options: Options with the number of rounds; a round is one block with and one without the default probes.
        settings: Numbers of threads.
        announcer: Shows the progress.
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
            run = bare_run(overrides, num_replicas, threads)
            lanes.call(run.warm_up)
            before = run.theta
            update = lanes.call(run.update)
            costs = {}
            for chosen in sets():
                announcer.detail(f"probe={chosen}")
                configs = configs_of([*overrides, f"probe={chosen}"], num_replicas)
                probes = build(configs).probes
                every = {name: int(configs[0].probe[name].every) for name in probes}
                costs[chosen] = lanes.call(partial(probe_costs, run, probes, every, before, update))
            walls = _walls(run, before, update, lanes, announcer, options.rounds, end)
            title = f"Probes, {name}, {count(threads, 'thread')}"
            yield _report(title, run, costs, walls)
            run.close()


def _report(
    title: str, run: BareRun, costs: Mapping[str, Mapping[str, ProbeCost]], walls: Mapping[str, list[float]]
) -> Report:
    """Make the table of one kind of run."""
    interval = Statistics.of(walls["updates"]).median
    effect = [after - without for after, without in zip(walls["with"], walls["without"], strict=True)]
    found = Statistics.of(effect)
    every = int(run.config.record.log_every)
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
            "Probes: one reading with its picture, at every k-th logged update. Sets, and shares of a run: per logged "
            f"update (every {every} updates), pictures at their own cadence. The updates between two logged ones take "
            f"{milliseconds(interval)} ms.",
            f"In wall-clock time, a logged update with the default probes takes {milliseconds(found.median)} "
            f"ms longer (quartiles {spread(found)}, {count(len(effect), 'round')}; without pictures): "
            f"{percent(found.median / interval)} of a run.",
        ],
        {
            "threads": run.problem.engine.threads,
            "log_every": every,
            "sets": {name: {key: asdict(cost) for key, cost in probes.items()} for name, probes in costs.items()},
            "interval": interval,
            "wall": {"seconds": walls, "effect": asdict(found), "share": found.median / interval},
        },
    )


def _row(name: str, cost: ProbeCost, interval: float, log_every: int) -> Sequence[str]:
    reading = cost.read + cost.draw
    share_of_update = (cost.capture + reading) / (interval / log_every)
    share_of_run = (cost.captured + cost.done) / interval
    times = [milliseconds(cost.capture), milliseconds(reading)]
    return [name, str(cost.every), *times, percent(share_of_update), percent(share_of_run)]


def _walls(
    run: BareRun,
    before: Tensor,
    update: Update,
    lanes: Lanes,
    announcer: Announcer,
    rounds: int | None,
    end: float,
) -> dict[str, list[float]]:
    """Time blocks with and without probes in turn, and the updates alone in the blocks without."""
    every = int(run.config.record.log_every)
    scheduled = {name: ScheduledProbe(probe, 1) for name, probe in run.probes.items()}
    walls: dict[str, list[float]] = {"with": [], "without": [], "updates": []}
    with ExitStack() as stack:
        observers = {}
        for name, probes in {"with": scheduled, "without": dict[str, ScheduledProbe]()}.items():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            observers[name] = _observer(run, folder, probes, stack)
        pictureless = view_of(run, before, update, 1)
        lanes.call(partial(_block, run, observers["with"], pictureless, 0, 1))  # warm-up: it loads libraries
        done = 0
        while done < rounds if rounds else (done == 0 or time.perf_counter() < end):
            for name in ("with", "without") if done % 2 else ("without", "with"):
                announcer.detail(f"round {done + 1}, {name} probes")
                view = pictureless if name == "with" else None
                block = lanes.call(partial(_block, run, observers[name], view, done, every))
                walls[name].append(block[0])
                if name == "without":
                    walls["updates"].append(block[1])
            done += 1
    return walls


def _observer(run: BareRun, folder: Path, probes: Mapping[str, ScheduledProbe], stack: ExitStack) -> Observer:
    """Start an observer that writes rows of every replica below a folder; the stack closes it."""
    problem = run.problem
    folders = [folder / str(replica) for replica in range(len(problem.seeds))]
    for own in folders:
        own.mkdir()
    names = columns(probes, run.optimizer, problem.model, problem.task)
    records = stack.enter_context(Records(folders, names))
    return stack.enter_context(Observer(records, probes, _fail))


def _fail(message: str) -> None:
    raise RuntimeError(message)


def _block(run: BareRun, observer: Observer, view: View | None, number: int, every: int) -> tuple[float, float]:
    """Log one update and make the following ones while the probes work; returns the total and the update seconds.

    Unfinished probes would delay the next logged update, so the total includes waiting for them.
    """
    values: dict[str, Any] = {}
    start = time.perf_counter()
    observer.observe(number, range(len(run.theta)), values, None if view is None else lambda num_logged: view)
    updating = time.perf_counter()
    for _ in range(every):
        run.update()
    updated = time.perf_counter()
    observer.drain()
    return time.perf_counter() - start, updated - updating
