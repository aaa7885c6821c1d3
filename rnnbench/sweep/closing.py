"""The last lines of a sweep: what came of it, which jobs failed, and what to type next."""

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from rich.text import Text

from rnnbench.records import RecordError, Summary, read_summary, wording
from rnnbench.records.closing import OUTCOMES, TICKED_RUNS, add_commands, add_table, shortest_path
from rnnbench.records.console import RunConsole
from rnnbench.sweep.plan import SweepPlan
from rnnbench.sweep.planning import aggregate_names

MOST_ROWS, MOST_FAILURES = 24, 10
"""Rows of the table, and jobs that are named as failed."""

MISSING = "gone"


def print_sweep_summary(plan: SweepPlan, stream: TextIO) -> None:
    """Print `sweep_summary`: with colour on a terminal, else as plain text; lines are never broken."""
    RunConsole(stream).print(sweep_summary(plan), soft_wrap=True, highlight=False, emoji=False)


def sweep_summary(plan: SweepPlan, *, cwd: Path | None = None) -> Text:
    """What a person reads when a sweep has ended, made from the summaries of its jobs.

    Args:
        plan: Of the sweep.
        cwd: Folder that the paths are given from; None: the current one.
    """
    where = shortest_path(plan.folder, cwd or Path.cwd())
    found = {name: _summary(plan.folder / name) for number in plan.numbers() for name in plan.groups[number].folders}
    statuses = [summary.status if summary else MISSING for summary in found.values()]
    words = [*OUTCOMES.items(), (MISSING, MISSING)]
    counts = [f"{statuses.count(status)} {word}" for status, word in words if status in statuses]
    text = Text(f"{plan.folder.name}: {wording.count(len(found), 'job')}: {', '.join(counts)}\n")
    rows = _rows(plan, found)
    shown = rows[: MOST_ROWS + 1]
    add_table(text, shown)
    if len(rows) > len(shown):
        text.append(f"  and {len(rows) - len(shown)} more rows: see the report\n")
    _add_failures(text, found)
    commands = [("report", f"rnnbench report {where}"), ("all runs", f"tensorboard --logdir {where}")]
    if len(found) > TICKED_RUNS:
        commands[-1] = (
            "all runs",
            f"{commands[-1][1]}  (ticks none of more than {TICKED_RUNS}: tick some in its list)",
        )
    commands.append(("aggregate", f"tensorboard --logdir {where}/aggregate"))
    if "running" in statuses or "interrupted" in statuses or "failed" in statuses:
        commands.append(("go on", f"rnnbench resume {where}"))
    elif "budget" in statuses:
        commands.append(("go on", f"rnnbench resume {where} budget.updates={2 * _updates(list(found.values()))}"))
    add_commands(text, commands)
    return text


def _summary(folder: Path) -> Summary | None:
    """A job's summary; None where it cannot be read."""
    try:
        return read_summary(folder)
    except RecordError:
        return None


def _rows(plan: SweepPlan, found: dict[str, Summary | None]) -> list[list[str]]:
    """A row for jobs that differ in the seed alone."""
    rows = [["values", "jobs", "solved", "updates to solve", "loss", "error rate"]]
    names = aggregate_names(plan)
    for number in plan.numbers():
        for name, members in names[number].items():
            summaries = [found[plan.groups[number].folders[row]] for row in members]
            known = [summary for summary in summaries if summary is not None]
            solved = [summary.solved_at.update for summary in known if summary.solved_at is not None]
            rows.append(
                [
                    name,
                    str(len(members)),
                    str(len(solved)),
                    wording.number(wording.median(solved)),
                    wording.number(wording.median([s.loss for s in known if s.loss is not None])),
                    wording.percent(wording.median([s.error_rate for s in known if s.error_rate is not None])),
                ]
            )
    first = next((summary for summary in found.values() if summary is not None), None)
    if first is not None:
        constant = [wording.number(first.baseline_loss), wording.percent(first.baseline_error_rate)]
        rows.append(["constant predictor", "", "", "", *constant])
    return rows


def _add_failures(text: Text, found: dict[str, Summary | None]) -> None:
    """Append the jobs that failed, by their folders."""
    failed = [(name, summary) for name, summary in found.items() if summary is None or summary.status == "failed"]
    for name, summary in failed[:MOST_FAILURES]:
        reason = "its folder or its summary is gone" if summary is None else summary.message or "no reason is known"
        text.append(f"  job {name} failed: {reason}\n", style="bold red")
    if len(failed) > MOST_FAILURES:
        text.append(f"  and {len(failed) - MOST_FAILURES} more failed\n", style="bold red")


def _updates(summaries: Sequence[Summary | None]) -> int:
    """The largest budget of updates."""
    return max(int(summary.config["budget"]["updates"]) for summary in summaries if summary is not None)
