"""Times of the parts of a run's update, with several numbers of threads."""

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from rnnbench.bench.announce import Announcer
from rnnbench.bench.bare_run import BareRun
from rnnbench.bench.clock import GRADIENT
from rnnbench.bench.options import Options
from rnnbench.bench.record_costs import probe_costs, record_cost
from rnnbench.bench.report import Report
from rnnbench.bench.timing import Lanes, Statistics
from rnnbench.bench.update_table import BACKWARD, FORWARD, UPDATE_PARTS, LoopCosts, Times, report_update
from rnnbench.config.classes import check_targets
from rnnbench.config.errors import ConfigError
from rnnbench.config.schema import Config
from rnnbench.records.wording import count
from rnnbench.run.machine import prepare_arithmetic, resolve_threads
from rnnbench.run.processors import num_processors
from rnnbench.sweeps.batches import batch_jobs
from rnnbench.training.threads import candidates

SECONDS = 40.0
ROUND_SECONDS = 0.3
"""Updates are made for about this long in a round, since a single one may take only a millisecond."""

FORWARDS = 3
"""Minimum number of forward passes per round; their median is subtracted from the time of a gradient."""

EVALUATIONS = 3
"""Number of evaluations, of which the fastest is used; the first one allocates the buffers."""


def measure_update(options: Options, configs: Sequence[Config], announcer: Announcer) -> Iterator[Report]:
    """Measure the updates of a run with several numbers of threads, or with its own.

    Args:
        options: Options with the number of rounds.
        configs: Validated configurations of the replicas.
        announcer: Shows the progress.

    Raises:
        ConfigError: The configurations are not those of one run, or do not fit this machine.
    """
    check_targets(configs)
    batches = batch_jobs(configs)
    if len(batches) > 1:
        raise ConfigError(
            f"rnnbench bench update measures one batched run, but these jobs need {len(batches)}: only seeds and "
            "per-replica values such as optim.lr can differ within one"
        )
    prepare_arithmetic()
    setup, first = batches[0].setup, configs[0]
    on_cpu, seeds = setup.device.type == "cpu", [config.seed for config in configs]
    settings = [1] if not on_cpu else candidates(num_processors()) if first.threads == "auto" else [int(first.threads)]
    announcer.stage(f"updates of {first.name}")
    with Lanes() as lanes:
        runs = {threads: BareRun(setup, seeds, threads) for threads in settings}
        updates, times = time_updates(runs, lanes, announcer, rounds=options.rounds, seconds=SECONDS)
        announcer.detail("evaluation, probes and records")
        loop = lanes.call(partial(_loop_costs, runs))
        for run in runs.values():
            run.close()
    notes = []
    if on_cpu and len(settings) > 1:
        chosen = resolve_threads(first, setup.built, len(configs), setup.device)
        notes.append(f"threads=auto takes {chosen}.")
    yield report_update(f"An update of {_name(configs)}", updates, times, loop, notes)


def _name(configs: Sequence[Config]) -> str:
    first = configs[0]
    length = getattr(first.task, "sequence_length", None)
    task = first.task.name if length is None else f"{first.task.name} (T={length})"
    return f"{task}, {first.model.name}, {first.optim.name}, {count(len(configs), 'replica')}"


def time_updates(
    runs: Mapping[int, BareRun],
    lanes: Lanes,
    announcer: Announcer,
    *,
    rounds: int | None,
    seconds: float,
    updates: int | None = None,
) -> tuple[int, dict[int, Times]]:
    """Make updates of the same run with each number of threads, in turn.

    Args:
        runs: Number of threads -> run.
        lanes: Threads in which the updates are made.
        announcer: Shows the progress.
        rounds: Number of rounds; None: as many as fit, at least one.
        seconds: Time for all of this.
        updates: Number of updates per round; None: as many as take `ROUND_SECONDS`.

    Returns:
        Number of updates per round, and the times by number of threads.
    """
    end = time.perf_counter() + seconds
    times = {threads: Times() for threads in runs}
    for run in runs.values():
        lanes.call(run.warm_up)
    if updates is None:
        once = max(lanes.call(partial(run.seconds_of, run.update)) for run in runs.values())
        updates = max(1, round(ROUND_SECONDS / once))
    done = 0
    while done < rounds if rounds else (done == 0 or time.perf_counter() < end):
        for threads, run in runs.items():
            announcer.detail(f"round {done + 1}, {count(threads, 'thread')}")
            parts, products = lanes.call(partial(_time_round, run, updates))
            times[threads].parts.append(parts)
            times[threads].products.append(products)
        done += 1
    return updates, times


def _time_round(run: BareRun, updates: int) -> tuple[Mapping[str, float], float]:
    """Return the mean seconds of an update by part, and the mean number of products."""
    clock, products = run.clock(), 0.0
    for _ in range(updates):
        products += float(run.update(clock).products.sum())
    forward = updates * Statistics.of([run.forward_seconds() for _ in range(max(FORWARDS, updates))]).median
    parts = dict(clock.seconds)
    gradient = parts.pop(GRADIENT)
    parts[FORWARD] = min(forward, gradient)
    parts[BACKWARD] = gradient - parts[FORWARD]
    return {part: parts[part] / updates for part in UPDATE_PARTS if part in parts}, products / updates


def _loop_costs(runs: Mapping[int, BareRun]) -> LoopCosts:
    """Measure the costs that follow an update in the training loop."""
    run = next(iter(runs.values()))
    record, before = run.config.record, run.theta
    update = run.update()
    every = {name: int(run.config.probe[name].every) for name in run.probes}
    probes = probe_costs(run, run.probes, every, before, update).values()
    records = record_cost(run, update)
    evaluations = {threads: [each.evaluation_seconds() for _ in range(EVALUATIONS)] for threads, each in runs.items()}
    return LoopCosts(
        evaluation={threads: min(seconds) / record.evaluate_every for threads, seconds in evaluations.items()},
        capture=sum(cost.captured for cost in probes) / record.log_every,
        probes=sum(cost.done for cost in probes) / record.log_every,
        records=records.row / record.log_every + records.checkpoint / record.checkpoint_every,
        cadence=f"an evaluation every {_updates(record.evaluate_every)}, a row of metrics, with probes, every "
        f"{_updates(record.log_every)}, a checkpoint every {_updates(record.checkpoint_every)}",
    )


def _updates(number: int) -> str:
    return "update" if number == 1 else f"{number:,} updates"
