"""The cost of a sweep: compared with the same jobs one by one, of its records, growth with replicas and planning.

Everything is measured on whole commands, each in its own process.
"""

import json
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.commands import Outcome, run_python
from benchmarks.options import Options
from benchmarks.sweep_growth import ONE_PROCESS, report_growth, report_planning
from benchmarks.watched import PROBES, RECORDS, TRAINING, Account
from rnnbench.bench.announce import Announcer
from rnnbench.bench.case import MismatchError
from rnnbench.bench.options import Shape
from rnnbench.bench.report import Report, percent
from rnnbench.bench.timing import Statistics
from rnnbench.records.wording import count

LEARNING_RATE, MOMENTUM = 1e-3, 0.9

BATCHED, BASIC, TORCH = "launcher batched", "Hydra's basic launcher", "torch.nn.RNN and torch.optim, seed after seed"

TARGETS = {BASIC: 1 / 4, TORCH: 1 / 8}
"""Target of the time of a batched sweep, as a share of the time of each alternative."""

LOGGING_TARGET = 0.1
"""Target of the share of logging in a run."""

LOSS_TOLERANCE = 0.05
"""Largest median over the seeds of the relative difference of the last losses of two ways.

Rounding errors grow over thousands of updates, so single seeds may differ more.
"""


@dataclass(frozen=True)
class Sizes:
    """Sizes of the measured sweeps.

    Attributes:
        seeds: Number of seeds of the comparison.
        updates: Number of updates of each seed.
        logged_replicas: Number of replicas of the run whose records are measured.
        logged_updates: Number of updates of this run.
        growth: Numbers of replicas in ascending order; memory is counted relative to the first.
        planned_seeds: Number of seeds in the timed planning; there are four jobs per seed.
    """

    seeds: int
    updates: int
    logged_replicas: int
    logged_updates: int
    growth: tuple[int, ...]
    planned_seeds: int


SHORT = Sizes(8, 100, 64, 100, (1, 25, 100), 8)
FULL = Sizes(32, 2000, 256, 1000, (1, 50, 200, 1000, 2000), 128)

STEPS, SEQUENCES, UNITS = 50, 20, 50
"""Sizes of the comparison and of the run whose records are measured."""

NAG = ("train", "-m", "task=adding", "optim=nag", "record.log_every=100", "record.evaluate_every=500")
"""Command of a sweep; the intervals are those of a run of full length, which would be shorter in a short run."""


def measure_sweep(options: Options, settings: Sequence[int], announcer: Announcer) -> Iterator[Report]:
    """Measure whole commands, one after another.

    Args:
        options: Rounds and sizes; without a number of threads the commands choose it, as by default.
        settings: Numbers of threads; not used.
        announcer: Shows the progress.

    Raises:
        CommandError: A command failed.
        MismatchError: Two ways to train the same seeds give different losses.
    """
    sizes = FULL if options.full else SHORT
    threads = () if options.threads is None else (f"threads={options.threads}",)
    rounds = options.rounds or 1
    yield _compare(sizes, rounds, threads, announcer)
    yield _measure_records(sizes, rounds, threads, announcer)
    yield report_growth(sizes.growth, rounds, threads, announcer)
    yield report_planning(sizes.planned_seeds, rounds, threads, announcer)


# ---------------------------------------------------------------- comparison


def _compare(sizes: Sizes, rounds: int, threads: Sequence[str], announcer: Announcer) -> Report:
    """Time the same jobs in three ways, in turn."""
    shape = Shape(sizes.seeds, SEQUENCES, STEPS, UNITS)
    words = (
        *("-m", "rnnbench", *NAG, *_sizes(sizes.seeds), *threads, "optim.form=torch", f"optim.lr={LEARNING_RATE}"),
        *(f"optim.momentum={MOMENTUM}", f"optim.initial_momentum={MOMENTUM}", f"budget.updates={sizes.updates}"),
        "stop_when_solved=false",
    )
    peer = ("-m", "benchmarks.torch_seeds", ",".join(map(str, shape)), str(sizes.updates))
    ways: dict[str, Callable[[Path], Outcome]] = {
        BATCHED: lambda folder: run_python([*words, f"hydra.sweep.dir={folder}"]),
        BASIC: lambda folder: run_python([*words, "hydra/launcher=basic", f"hydra.sweep.dir={folder}"]),
        TORCH: lambda folder: run_python([*peer, str(LEARNING_RATE), str(MOMENTUM)]),
    }
    outcomes: dict[str, list[Outcome]] = {name: [] for name in ways}
    difference = 0.0
    for number in range(rounds):
        announcer.stage(f"{count(sizes.seeds, 'seed')} of {count(sizes.updates, 'update')}, round {number + 1}")
        losses = {}
        for name, run in ways.items():
            announcer.detail(name)
            with tempfile.TemporaryDirectory() as folder:
                outcome = run(Path(folder) / "sweep")
                outcomes[name].append(outcome)
                if name == TORCH:
                    losses[name] = json.loads(outcome.output)
                else:
                    losses[name] = _losses(Path(folder) / "sweep", sizes.seeds)
        difference = max([difference, *(check_losses(name, losses[name], losses[BATCHED]) for name in (BASIC, TORCH))])
    return report_comparison(shape, sizes.updates, outcomes, difference, is_full=sizes == FULL)


def _sizes(num_seeds: int) -> Sequence[str]:
    """Return the overrides for a number of seeds with the sizes of the comparison."""
    sizes = [f"optim.batch_size={SEQUENCES}", f"model.hidden_size={UNITS}"]
    return [f"seed=range(0,{num_seeds})", f"task.sequence_length={STEPS}", *sizes]


def _losses(folder: Path, num_seeds: int) -> list[float]:
    """Read the last loss of each job, in the order of the seeds."""
    return [json.loads((folder / str(seed) / "summary.json").read_text())["loss"] for seed in range(num_seeds)]


def check_losses(name: str, found: Sequence[float], expected: Sequence[float]) -> float:
    """Check that a way to train the seeds gives the same losses as ours.

    Returns:
        The largest relative difference.

    Raises:
        MismatchError: The difference is too large, or a number is missing or not finite.
    """
    differences = [abs(one - other) / other for one, other in zip(found, expected, strict=True)]
    if not all(map(math.isfinite, differences)) or median(differences) > LOSS_TOLERANCE:
        raise MismatchError(
            f"{name} does not train like {BATCHED}: "
            f"half of the seeds' losses differ by {percent(median(differences))} or more"
        )
    return max(differences)


def report_comparison(
    shape: Shape, updates: int, outcomes: dict[str, list[Outcome]], difference: float, *, is_full: bool
) -> Report:
    """Make the table of the comparison.

    Args:
        shape: Size of the problem.
        updates: Number of updates of each seed.
        outcomes: Results of the whole command by way, one per round.
        difference: Largest relative difference of a seed's losses.
        is_full: Whether the sizes are those of the targets.
    """
    found = {name: [one.seconds for one in those] for name, those in outcomes.items()}
    ratios = {name: Statistics.of_ratio(found[BATCHED], times) for name, times in found.items()}
    rows = []
    for name, times in found.items():
        target = f"{TARGETS[name]:.3f}" if name in TARGETS and is_full else "-"
        rows.append([name, f"{Statistics.of(times).median:.1f}", f"{ratios[name].median:.3f}", target])
    notes = [
        "From start to end of the process. All ways train the same nets on the same sequences with the same updates of "
        f"nag; the last losses of a seed differ by at most {difference:.1e}.",
        "torch.nn.RNN uses one thread and float32, writes no records and is evaluated once, at the end; the others use "
        "the default cadence, probes and threads.",
    ]
    if not is_full:
        notes.append(
            f"The targets are for {FULL.seeds} seeds of {FULL.updates} updates (--full); at this size the start of the "
            "processes dominates, so the targets do not apply."
        )
    return Report(
        "{} seeds of the adding problem, B={} T={} n={}, {} updates, ".format(*shape, updates)
        + count(len(found[BATCHED]), "round"),
        ["", "s", "batched s / this", "target"],
        rows,
        notes,
        {
            "part": "comparison",
            "shape": shape._asdict(),
            "updates": updates,
            "is_full": is_full,
            "rounds": found,
            "statistics": {name: asdict(Statistics.of(times)) for name, times in found.items()},
            "ratios": {name: asdict(ratio) for name, ratio in ratios.items()},
            "targets": TARGETS,
            "loss_difference": difference,
        },
    )


# ---------------------------------------------------------------- records


def _measure_records(sizes: Sizes, rounds: int, threads: Sequence[str], announcer: Announcer) -> Report:
    """Run the same sweep with and without records, in turn."""
    words = [*NAG, *_sizes(sizes.logged_replicas), *threads, f"budget.updates={sizes.logged_updates}", *ONE_PROCESS]
    accounts: dict[str, list[Account]] = {"with": [], "without": []}
    for number in range(rounds):
        announcer.stage(f"records of {sizes.logged_replicas} replicas, round {number + 1}")
        for kept in ("with", "without") if number % 2 == 0 else ("without", "with"):
            announcer.detail(f"{kept} records")
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "accounts.json"
                watched = ["-m", "benchmarks.watched", str(file), kept]
                run_python([*watched, *words, f"hydra.sweep.dir={folder}/sweep"])
                accounts[kept].append(json.loads(file.read_text()))
    return report_records(sizes.logged_replicas, sizes.logged_updates, accounts)


def report_records(num_replicas: int, updates: int, accounts: dict[str, list[Account]]) -> Report:
    """Make the table of the cost of records.

    Args:
        num_replicas: Number of replicas of the run.
        updates: Number of updates of the run.
        accounts: Output of `benchmarks.watched` with and without records, one per round.
    """
    kept = accounts["with"]
    seconds = {name: [account["logging"][name] for account in kept] for name in (TRAINING, PROBES, RECORDS)}
    totals = [account["processor"] for account in kept]
    shares = {name: Statistics.of_ratio(times, totals) for name, times in seconds.items()}
    together = [sum(times) for times in zip(*seconds.values(), strict=True)]
    share = Statistics.of_ratio(together, totals)
    walls = {name: [account["wall"] for account in those] for name, those in accounts.items()}
    longer = Statistics.of_ratio(walls["with"], walls["without"])
    words = {TRAINING: "logging on the training thread", PROBES: "the probes' thread", RECORDS: "the records' threads"}
    rows: list[Sequence[str] | None] = [
        [words[name], f"{Statistics.of(times).median:.2f}", percent(shares[name].median)]
        for name, times in seconds.items()
    ]
    rows += [None, ["all of them", f"{Statistics.of(together).median:.2f}", percent(share.median)]]
    rows.append(["the whole run", f"{Statistics.of(totals).median:.2f}", percent(1.0)])
    with_records, without = (Statistics.of(walls[name]).median for name in ("with", "without"))
    return Report(
        f"Records of {num_replicas} replicas of nag at the default cadence, B={SEQUENCES} T={STEPS} n={UNITS}, "
        f"{updates} updates, {count(len(kept), 'round')}",
        ["", "processor s", "share"],
        rows,
        [
            "From the first row to closed files, including fixed costs (the first and last checkpoint, libraries that "
            "probes load), whose share is smaller in longer runs.",
            f"Wall-clock time: {with_records:.1f} s with records, {without:.1f} s without rows, probes and "
            f"checkpoints: {percent(longer.median - 1)} longer.",
            f"Target: under {percent(LOGGING_TARGET)} of a run of {FULL.logged_replicas} replicas with the default "
            "budget.",
        ],
        {
            "part": "records",
            "replicas": num_replicas,
            "updates": updates,
            "accounts": accounts,
            "share": asdict(share),
            "wall_ratio": asdict(longer),
            "target": LOGGING_TARGET,
        },
    )
