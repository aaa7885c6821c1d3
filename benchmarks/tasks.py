"""Drawing the batches of every task and variant, as a share of the updates that use them."""

import copy
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from benchmarks.options import Options
from benchmarks.runs import HF_RUN, NAG_REPLICAS, NAG_RUN, bare_run
from rnnbench.bench.announce import Announcer
from rnnbench.bench.bare_run import BareRun
from rnnbench.bench.report import Report, milliseconds, percent
from rnnbench.bench.timing import Lanes, Statistics
from rnnbench.config.packaged_tasks import packaged_tasks, shortest, variants
from rnnbench.records.wording import count
from rnnbench.tasks.base import Batch, Stream
from rnnbench.training.problem import UPDATES_AT_ONCE

SHORT_SECONDS, FULL_SECONDS = 45.0, 240.0
LENGTH = 50
"""Sequence length T, or the shortest of a task that needs longer sequences."""
CG_ITERATIONS = 20
"""Number of CG iterations of the Hessian-free update: few, since a long update would make the share small."""

NAG_BATCH, NAG_UPDATE, HF_BATCH = "nag batch", "nag update", "hf batch"


class DrawingTime:
    """Seconds that the task of a run has spent on drawing batches.

    Drawing within updates takes longer than alone, since the caches hold other data.

    Attributes:
        seconds: Seconds so far.
    """

    def __init__(self, run: BareRun) -> None:
        """Replace the task of a run by a timed one."""
        self.seconds = 0.0
        self._draw = run.problem.task.replica_batch
        task: Any = copy.copy(run.problem.task)
        task.replica_batch = self._timed
        run.problem = replace(run.problem, task=task)

    def _timed(self, *arguments: Any, **named: Any) -> Batch:
        start = time.perf_counter()
        batch = self._draw(*arguments, **named)
        self.seconds += time.perf_counter() - start
        return batch


def measure_tasks(options: Options, settings: Sequence[int], announcer: Announcer) -> Iterator[Report]:
    """Measure all tasks.

    Args:
        options: Rounds, and whether all is measured.
        settings: Numbers of threads; without --full only the largest. Drawing always uses one thread, so its share is
            largest there.
        announcer: Shows the progress.
    """
    chosen = settings if options.full else [max(settings)]
    for threads in chosen:
        seconds = (FULL_SECONDS if options.full else SHORT_SECONDS) / len(chosen)
        yield _measure(options, threads, seconds, announcer)


def _measure(options: Options, threads: int, seconds: float, announcer: Announcer) -> Report:
    end = time.perf_counter() + seconds
    pairs = [(task, variant) for task in packaged_tasks() for variant in variants(task)]
    hf_updates: dict[str, float] = {}
    rows: list[Sequence[str] | None] = []
    data = []
    with Lanes() as lanes:
        for number, (task, variant) in enumerate(pairs):
            announcer.stage(f"{task}, variant {variant}, {count(threads, 'thread')}")
            length = max(LENGTH, shortest(task, variant))  # digits has one length, which is larger
            choice = [f"task={task}", f"task.variant={variant}", f"task.sequence_length={length}"]
            hf = bare_run([*HF_RUN, *choice, f"optim.max_cg_iterations={CG_ITERATIONS}"], 1, threads)
            nag = bare_run([*NAG_RUN, *choice], NAG_REPLICAS, threads)
            if task not in hf_updates:
                announcer.detail("an update of Hessian-free")
                hf_updates[task] = _time_update(hf, lanes, options.rounds or (3 if options.full else 1))
            announcer.detail("updates of nag")
            stop = time.perf_counter() + (end - time.perf_counter()) / (len(pairs) - number)
            times = _time_rounds(nag, hf, lanes, options.rounds, stop)
            found = {name: Statistics.of(rounds) for name, rounds in times.items()}
            drawn = hf.optimizer.num_drawn_sequences / _hf_batch_size(hf)
            shares = {
                "nag": found[NAG_BATCH].median / found[NAG_UPDATE].median,
                "hf": drawn * found[HF_BATCH].median / hf_updates[task],
            }
            rows.append(_row(task, variant, found, hf_updates[task], shares))
            data.append(
                {
                    "task": task,
                    "variant": variant,
                    "seconds": times,
                    "statistics": {name: asdict(one) for name, one in found.items()},
                    "hf_update": hf_updates[task],
                    "shares": shares,
                }
            )
            hf.close()
            nag.close()
    size, replicas = _hf_batch_size(hf), len(nag.problem.seeds)
    return Report(
        f"Batches at T={LENGTH}, {count(threads, 'thread')}",
        ["", f"R={replicas} ms", "nag update ms", "share", f"B={size} ms", "hf update ms", "share"],
        rows,
        [
            f"nag: R={replicas} B={nag.optimizer.num_drawn_sequences} n={nag.problem.model.hidden_size}; drawing is "
            f"timed within {UPDATES_AT_ONCE} consecutive updates. hf: drawing is timed alone, an update of at most "
            f"{CG_ITERATIONS} CG iterations once per task; the share is that of all "
            f"{hf.optimizer.num_drawn_sequences} sequences that it draws."
        ],
        {"threads": threads, "cg_iterations": CG_ITERATIONS, "rows": data},
    )


def _time_rounds(nag: BareRun, hf: BareRun, lanes: Lanes, rounds: int | None, stop: float) -> dict[str, list[float]]:
    """Time an update of nag, the drawing in it, and a batch for hf: for a number of rounds, or until `stop`."""
    drawing = DrawingTime(nag)
    draw_for_hf = _draws_for_hf(hf)

    def time_round() -> dict[str, float]:
        before, start = drawing.seconds, time.perf_counter()
        for _ in range(UPDATES_AT_ONCE):
            nag.update()
        update, drawn = time.perf_counter() - start, drawing.seconds - before
        start = time.perf_counter()
        draw_for_hf()
        times = {NAG_BATCH: drawn, NAG_UPDATE: update, HF_BATCH: time.perf_counter() - start}
        return {name: seconds / UPDATES_AT_ONCE for name, seconds in times.items()}

    lanes.call(nag.warm_up)
    found: dict[str, list[float]] = {NAG_BATCH: [], NAG_UPDATE: [], HF_BATCH: []}
    while not found[HF_BATCH] or (len(found[HF_BATCH]) < rounds if rounds else time.perf_counter() < stop):
        for name, seconds in lanes.call(time_round).items():
            found[name].append(seconds)
    return found


def _hf_batch_size(run: BareRun) -> int:
    return int(run.config.optim.gradient_batch_size)


def _time_update(run: BareRun, lanes: Lanes, rounds: int) -> float:
    """Return the median seconds of an update."""
    lanes.call(run.warm_up)
    return Statistics.of([lanes.call(partial(run.seconds_of, run.update)) for _ in range(rounds)]).median


def _draws_for_hf(hf: BareRun) -> Callable[[], None]:
    """Return a function that draws the next `UPDATES_AT_ONCE` batches, since several may be drawn together."""
    problem = replace(hf.problem)  # a copy, since the original keeps batches drawn ahead for the next updates
    updates = itertools.count()

    def draw() -> None:
        for update in itertools.islice(updates, UPDATES_AT_ONCE):
            problem.draw(update)(Stream.GRADIENT, _hf_batch_size(hf))

    return draw


def _row(
    task: str, variant: str, found: dict[str, Statistics], hf_update: float, shares: dict[str, float]
) -> Sequence[str]:
    return [
        f"{task} {variant}",
        milliseconds(found[NAG_BATCH].median),
        milliseconds(found[NAG_UPDATE].median),
        percent(shares["nag"]),
        milliseconds(found[HF_BATCH].median),
        milliseconds(hf_update),
        percent(shares["hf"]),
    ]
