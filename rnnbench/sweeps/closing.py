"""The summary at the end of a sweep: its results, the failed jobs and the next commands."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from rnnbench.config.errors import ConfigError
from rnnbench.records import RecordError, Summary, is_run_folder, read_summary, wording
from rnnbench.records.closing import (
    MAX_SELECTED_RUNS,
    OUTCOMES,
    add_commands,
    add_table,
    larger_budget,
    program,
    schedule_has_ended,
    shortest_path,
)
from rnnbench.records.messages import printable
from rnnbench.records.tuning import tuning_of
from rnnbench.reports.groups import Group, rank
from rnnbench.reports.runs import Run
from rnnbench.sweeps import grouping
from rnnbench.sweeps.plan import SweepPlan
from rnnbench.sweeps.remaining import remaining_of

MAX_ROWS, MAX_FAILURES = 24, 10
"""Largest number of table rows, and of reasons shown for failed jobs."""

ROWS_IN_ORDER = 8
"""Largest number of rows shown in the order of the sweep; more rows are sorted, best first."""

LONGEST_LINE = 100
"""Largest width of the table, in characters."""

OF_MACHINE = ("records could not be written", "cannot ", "out of memory")
"""Beginnings of the messages of jobs that failed because of the machine."""

NOT_BEGUN, GONE, CUT_OFF = "not begun", "gone", "cut off"


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job, read from its folder.

    Attributes:
        folder: Folder of the job, relative to the folder of the sweep.
        word: How the job ended, in words.
        summary: Summary of the job; None if there is none that can be read.
        message: Why the job failed; None if it did not fail.
    """

    folder: str
    word: str
    summary: Summary | None = None
    message: str | None = None

    @property
    def is_solved(self) -> bool:
        """Whether the job solved its task, even if it went on training."""
        return self.summary is not None and self.summary.solved

    @property
    def has_ended(self) -> bool:
        """Whether the job has a final result."""
        return self.summary is not None and self.summary.status in ("solved", "budget", "diverged")

    @property
    def has_failed(self) -> bool:
        """Whether the job failed, or its summary cannot be read."""
        return self.word == OUTCOMES["failed"]

    @property
    def has_raised(self) -> bool:
        """Whether the job failed by an error that neither its records nor the memory caused."""
        if not self.has_failed or self.summary is None:
            return False
        return not (self.summary.message or "").startswith(OF_MACHINE)

    @property
    def is_unfinished(self) -> bool:
        """Whether the job was stopped before its end."""
        return self.word in (OUTCOMES["interrupted"], NOT_BEGUN, CUT_OFF)


def print_sweep_summary(plan: SweepPlan, stream: TextIO) -> None:
    """Print `sweep_summary`: with colour on a terminal, else as plain text; lines are not wrapped."""
    Console(file=stream, force_jupyter=False).print(sweep_summary(plan), soft_wrap=True, highlight=False, emoji=False)


def sweep_summary(plan: SweepPlan, *, cwd: Path | None = None) -> Text:
    """Summarize a sweep from the summaries of its jobs.

    Args:
        plan: Plan of the sweep.
        cwd: Folder that shown paths are relative to; None: the current folder.

    Returns:
        Lines without a newline at the end; `.plain` is the plain text.
    """
    outcomes = outcomes_of(plan)
    text = Text(f"{printable(os.path.basename(os.path.realpath(plan.folder)))}: {_headline(outcomes)}\n")
    add_results(text, plan, outcomes)
    unconfirmed = sum(job.summary is not None and job.summary.is_unconfirmed for job in outcomes)
    if unconfirmed:
        jobs = wording.count(unconfirmed, "job")
        text.append(f"  {jobs} not solved: below the limit at the end, but not on 10,000 further sequences\n")
    _add_failures(text, outcomes)
    where = shortest_path(plan.folder, cwd)
    rnnbench, tensorboard = program("rnnbench", cwd), program("tensorboard", cwd)
    commands = [("report", f"{rnnbench} report {where}"), ("all runs", f"{tensorboard} --logdir {where}")]
    if len(outcomes) > MAX_SELECTED_RUNS:
        commands.append(
            ("", f"with more than {MAX_SELECTED_RUNS} runs TensorBoard selects none: select some in its list")
        )
    if (plan.folder / "aggregate").is_dir():
        aggregate = shortest_path(plan.folder / "aggregate", cwd)
        commands.append(("aggregate", f"{tensorboard} --logdir {aggregate}"))
    override, tuning = _resume_override(plan, outcomes), tuning_of(plan.folder)
    if tuning is not None:  # whose budget cannot be changed
        where, override = shortest_path(tuning, cwd), "" if override == "" else None
    if override is not None:
        commands.append(("continue", f"{rnnbench} resume {where} {override}".rstrip()))
    add_commands(text, commands)
    return text


# ---------------------------------------------------------------- jobs


def outcomes_of(plan: SweepPlan) -> list[Outcome]:
    """The outcome of each job of a sweep, in the order of the plan's groups."""
    return [_outcome(plan.folder, name) for number in plan.numbers() for name in plan.groups[number].folders]


def _outcome(sweep: Path, name: str) -> Outcome:
    """Read the outcome of a job from its folder."""
    folder = sweep / name
    if not folder.is_dir():
        return Outcome(name, GONE, message="its folder is gone")
    if not is_run_folder(folder):
        return Outcome(name, NOT_BEGUN)
    try:
        summary = read_summary(folder)
    except RecordError as error:
        return Outcome(name, OUTCOMES["failed"], message=str(error))
    if summary.status == "running":  # this sweep has ended, so its process was killed
        return Outcome(name, CUT_OFF, summary)
    message = (summary.message or "no reason is known") if summary.status == "failed" else None
    return Outcome(name, OUTCOMES[summary.status], summary, message)


def _headline(outcomes: Sequence[Outcome]) -> str:
    """The number of solved jobs, and how the others ended."""
    solved = sum(job.is_solved for job in outcomes)
    amount = {0: "none", len(outcomes): "all"}.get(solved, f"{solved:,}")
    head = f"{amount} of {wording.count(len(outcomes), 'job')} solved"
    if any(job.is_unfinished for job in outcomes):
        head = f"not finished, {head} so far"
    words = [job.word for job in outcomes if not job.is_solved]
    order = [*OUTCOMES.values(), CUT_OFF, NOT_BEGUN, GONE]
    others = [f"{words.count(word):,} {word}" for word in order if word in words]
    return f"{head}; {', '.join(others)}" if others else head


def _add_failures(text: Text, outcomes: Sequence[Outcome]) -> None:
    """Append the reasons of failed jobs, one line per reason."""
    reasons: dict[str, list[str]] = {}
    for job in outcomes:
        if job.message is not None:
            reasons.setdefault(job.message, []).append(job.folder)
    for message, names in list(reasons.items())[:MAX_FAILURES]:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        text.append(f"  {printable(f'job {names[0]}{more} failed: {message}')}\n", style="bold red")
    if len(reasons) > MAX_FAILURES:
        num_more = sum(len(names) for names in list(reasons.values())[MAX_FAILURES:])
        text.append(f"  and {num_more} more failed\n", style="bold red")


# ---------------------------------------------------------------- table


def add_results(text: Text, plan: SweepPlan, outcomes: Sequence[Outcome]) -> None:
    """Append the table of results, with one row of medians for jobs that differ only in the seed."""
    tables = [table for number in plan.numbers() for table in plan.tables(number)]
    keys = [key for key in grouping.differences(tables) if key not in grouping.NOT_SHOWN]
    rows: dict[tuple[str, ...], list[Outcome]] = {}
    for table, job in zip(tables, outcomes, strict=True):
        rows.setdefault(tuple(_shown(table, key) for key in keys), []).append(job)
    order = sorted(rows, key=lambda values: rank_of(rows[values])) if len(rows) > ROWS_IN_ORDER else list(rows)
    if len(rows) < len(outcomes):
        text.append(f"  medians over the seeds{', best first' if len(rows) > ROWS_IN_ORDER else ''}\n", style="dim")
    elif len(rows) > ROWS_IN_ORDER:
        text.append("  best first\n", style="dim")
    names = _short_names(keys) or [""]
    with_diverged = any(job.word == OUTCOMES["diverged"] for job in outcomes)
    cells = [[*names, *_numbers(None, with_diverged)]]
    cells += [[*(values or ("all",)), *_numbers(rows[values], with_diverged)] for values in order[:MAX_ROWS]]
    add_table(text, _narrowed(cells, len(names)))
    if len(rows) > MAX_ROWS:
        text.append(f"  and {len(rows) - MAX_ROWS} rows more, none better: see the report\n")
    constants = _constant_predictors(outcomes)
    if constants:
        text.append(f"  the constant predictor: {'; '.join(constants)}\n")


def _shown(table: Mapping[str, Any], key: str) -> str:
    """The value of a key; `-` if the job does not have the key."""
    return grouping.show(grouping.value_in(table, key)) if grouping.has_value(table, key) else "-"


def rank_of(jobs: Sequence[Outcome]) -> tuple[float, ...]:
    """Sort key of the jobs of a setting, the best first, as in a report; jobs without records come last."""
    group = group_of(jobs)
    unsolved = 1 - sum(job.is_solved for job in jobs) / len(jobs)
    return (unsolved, *(rank(group)[1:] if group is not None else (math.inf, math.inf)))


def group_of(jobs: Sequence[Outcome]) -> Group | None:
    """The jobs with records as a group of a report; None if no job has records."""
    runs = tuple(Run(Path(job.folder), job.summary, {}, None) for job in jobs if job.summary is not None)
    return Group((), (), runs) if runs else None


def _numbers(jobs: Sequence[Outcome] | None, with_diverged: bool) -> list[str]:
    """The cells of a row; None: the column titles."""
    if jobs is None:
        return ["solved", *(["diverged"] if with_diverged else []), "updates to solve", "loss", "error rate"]
    group = group_of(jobs)
    medians = (None, None, None) if group is None else (group.median_updates, group.loss, group.error_rate)
    diverged = sum(job.word == OUTCOMES["diverged"] for job in jobs)
    return [
        f"{sum(job.is_solved for job in jobs)} of {len(jobs)}",
        *([str(diverged)] if with_diverged else []),
        *map(wording.number, medians[:2]),
        wording.percent(medians[2]),
    ]


def _constant_predictors(outcomes: Sequence[Outcome]) -> list[str]:
    """Loss and error rate of the best constant predictor of each task; empty if they vary within a task."""
    reached: dict[str, set[str]] = {}
    for summary in (job.summary for job in outcomes if job.summary is not None):
        loss, error_rate = wording.number(summary.baseline_loss), wording.percent(summary.baseline_error_rate)
        task = summary.config.get("task")
        name = str(task.get("name")) if isinstance(task, Mapping) else "?"
        reached.setdefault(name, set()).add(f"loss {loss}, error rate {error_rate}")
    if any(len(words) > 1 for words in reached.values()):
        return []
    if len(reached) == 1:
        return list(*reached.values())
    return [f"{task} {words}" for task, (words,) in reached.items()]


def _short_names(keys: Sequence[str]) -> list[str]:
    """The shortest unambiguous end of each key."""
    names = []
    for key in keys:
        ends = [".".join(key.split(".")[-count:]) for count in range(1, key.count(".") + 2)]
        others = [f".{other}" for other in keys if other != key]
        names.append(next((end for end in ends if not any(other.endswith(f".{end}") for other in others)), key))
    return names


def _narrowed(rows: Sequence[Sequence[str]], num_keys: int) -> list[list[str]]:
    """Shorten the longest keys and values until the table fits its width; numbers are not shortened."""
    narrowed = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    while 2 + sum(widths) + 2 * (len(widths) - 1) > LONGEST_LINE:
        widest = max(range(num_keys), key=widths.__getitem__)
        if widths[widest] <= len("seed"):
            break
        widths[widest] -= 1
    for row in narrowed:
        for column in range(num_keys):
            cell, width = row[column], widths[column]
            row[column] = cell if len(cell) <= width else f"{cell[: width - 1]}…"
    return narrowed


# ---------------------------------------------------------------- what to type next


def _resume_override(plan: SweepPlan, outcomes: Sequence[Outcome]) -> str | None:
    """The override for `rnnbench resume`, empty if none is needed; None: there is nothing to resume."""
    if any(job.is_unfinished for job in outcomes):
        return ""
    failed = {job.folder for job in outcomes if job.has_failed}
    if failed and _can_resume(plan, failed):
        return ""
    larger = {
        larger_budget(job.summary)
        for job in outcomes
        if job.summary is not None and job.summary.status == "budget" and not job.is_solved
        if not schedule_has_ended(job.summary)
    }
    # The override applies to all jobs, so it is shown only if it is the same for all of them.
    return larger.pop() if len(larger) == 1 else None


def _can_resume(plan: SweepPlan, failed: set[str]) -> bool:
    """Whether a failed job is in the checkpoint of its group."""
    for number in plan.numbers():
        names = plan.groups[number].folders
        if failed.isdisjoint(names):
            continue
        try:
            parts = remaining_of(plan, number, plan.jobs(number)).parts
        except (ConfigError, RecordError):
            continue
        if any(names[row] in failed for part in parts for row in part.rows):
            return True
    return False
