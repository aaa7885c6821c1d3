"""Drawing the batches of every task and variant, beside the update that uses them."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace

from rnnbench.bench.announce import Announcer
from rnnbench.bench.options import Options
from rnnbench.bench.report import Report, in_words, milliseconds, percent
from rnnbench.bench.session import HF_RUN, NAG_REPLICAS, NAG_RUN, MakeRun, Session
from rnnbench.bench.timing import Lanes, Statistics, Variant, interleave
from rnnbench.tasks.base import Stream
from rnnbench.tasks.table import describe_tasks
from rnnbench.training.problem import UPDATES_AT_ONCE

SHORT_SECONDS, FULL_SECONDS = 45.0, 180.0
CG_ITERATIONS = 20
"""Of the Hessian-free update: few, so that the share is not made small by a long one."""

NAG_BATCH, NAG_UPDATE, HF_BATCH = "nag batch", "nag update", "hf batch"

DRAWN_IN_A_ROW = {NAG_BATCH: UPDATES_AT_ONCE, HF_BATCH: 2}
"""Batches whose mean is one time, since those of several updates are drawn at once."""


def measure_tasks(
    options: Options, settings: Sequence[int], announcer: Announcer, *, make_run: MakeRun
) -> Iterator[Report]:
    """Measure all tasks with the largest number of threads: drawing has one, so that its share is largest then.

    Args:
        options: What was asked for.
        settings: Numbers of threads.
        announcer: Told how far it is.
        make_run: Builds a run.
    """
    end = time.perf_counter() + (FULL_SECONDS if options.full else SHORT_SECONDS)
    threads = max(settings)
    pairs = [(row.task, row.variant) for row in describe_tasks(50)]
    hf_updates: dict[str, float] = {}
    rows: list[Sequence[str] | None] = []
    data = []
    with Lanes() as lanes:
        for number, (task, variant) in enumerate(pairs):
            announcer.stage(f"{task}, variant {variant}")
            choice = [f"task={task}", f"task.variant={variant}"]
            hf = Session(make_run, [*HF_RUN, *choice, f"optim.max_cg_iterations={CG_ITERATIONS}"], 1, threads)
            nag = Session(make_run, [*NAG_RUN, *choice], NAG_REPLICAS, threads)
            if task not in hf_updates:
                announcer.detail("an update of Hessian-free")
                hf_updates[task] = _time_update(hf, lanes, options.rounds or (3 if options.full else 1))
            seconds = (end - time.perf_counter()) / (len(pairs) - number)
            times = interleave(
                _variants(nag, hf), lanes, rounds=options.rounds, seconds=seconds, announce=announcer.detail
            )
            times = {name: [one / DRAWN_IN_A_ROW.get(name, 1) for one in rounds] for name, rounds in times.items()}
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
    yield Report(
        f"Batches at T=50, {in_words(threads, 'thread')}",
        ["", f"R={replicas} ms", "nag update ms", "share", f"B={size} ms", "hf update ms", "share"],
        rows,
        [
            f"nag: R={replicas} B={nag.optimizer.num_drawn_sequences} n={nag.problem.model.hidden_size}. "
            f"hf: an update of at most {CG_ITERATIONS} CG iterations, timed once per task; its share is that of all "
            f"{hf.optimizer.num_drawn_sequences} sequences that it draws."
        ],
        {"threads": threads, "cg_iterations": CG_ITERATIONS, "rows": data},
    )


def _hf_batch_size(session: Session) -> int:
    return int(session.config.optim.gradient_batch_size)


def _time_update(session: Session, lanes: Lanes, rounds: int) -> float:
    """Median seconds of an update."""

    def run() -> float:
        start = time.perf_counter()
        session.update()
        return time.perf_counter() - start

    lanes.call(session.warm_up)
    return Statistics.of([lanes.call(run) for _ in range(rounds)]).median


def _variants(nag: Session, hf: Session) -> list[Variant]:
    return [
        Variant(NAG_BATCH, _draws(nag, nag.optimizer.num_drawn_sequences, DRAWN_IN_A_ROW[NAG_BATCH])),
        Variant(NAG_UPDATE, nag.update),
        Variant(HF_BATCH, _draws(hf, _hf_batch_size(hf), DRAWN_IN_A_ROW[HF_BATCH])),
    ]


def _draws(session: Session, batch_size: int, num_updates: int) -> Callable[[], None]:
    """What draws the batches of the next so many updates, each time it is called."""
    problem = replace(session.problem)  # of its own: what is drawn ahead is for the session's next updates
    updates = itertools.count()

    def draw() -> None:
        for update in itertools.islice(updates, num_updates):
            problem.draw(update)(Stream.GRADIENT, batch_size)

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
