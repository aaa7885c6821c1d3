"""The closing summary: outcome, loss and error rate compared with the constant predictor, and next commands."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from rnnbench.records import wording
from rnnbench.records.messages import printable, shell_word
from rnnbench.records.summary import Status, Summary

OUTCOMES: Mapping[Status, str] = {
    "running": "still running",
    "solved": "solved",
    "budget": "budget used up",
    "diverged": "diverged",
    "interrupted": "interrupted",
    "failed": "failed",
}
_STYLES: Mapping[Status, str] = {"solved": "bold green", "diverged": "bold red", "failed": "bold red"}

# TensorBoard selects no run at first if there are more than this.
MAX_SELECTED_RUNS = 40


def print_closing_summary(summary: Summary, folder: Path, stream: TextIO) -> None:
    """Print `closing_summary`: with colour on a terminal, else as plain text; lines are never broken."""
    text = closing_summary(summary, folder)
    Console(file=stream, force_jupyter=False).print(text, soft_wrap=True, highlight=False, emoji=False)


def closing_summary(summary: Summary, folder: Path, *, cwd: Path | None = None) -> Text:
    """Return the lines that are printed when a run has ended.

    Args:
        summary: Summary of the run.
        folder: Run folder.
        cwd: Folder that shown paths are relative to; None: the current folder.

    Returns:
        Lines without a newline at the end; `.plain` is the plain text.
    """
    text = Text()
    _headline(text, _name(summary), summary)
    add_table(text, _quality_rows(summary))
    where = shortest_path(folder, cwd)
    commands = [("run folder", where), ("look at it", f"{program('tensorboard', cwd)} --logdir {where}")]
    advice = _advice(summary)
    if advice is not None:
        commands.append(("try next", advice))
    add_commands(text, commands)
    return text


def add_commands(text: Text, commands: Sequence[tuple[str, str]]) -> None:
    """Append the next commands, each on a line after a label; no newline at the end."""
    width = max(len(label) for label, _ in commands)
    text.append("\n".join(f"  {label.ljust(width)}  {command}" for label, command in commands))


def shortest_path(path: Path, cwd: Path | None = None) -> str:
    """Return a path as one would type it, quoted for a shell: relative if that is shorter, else absolute.

    Args:
        path: The path.
        cwd: Folder that a relative path starts from; None: the current folder.
    """
    try:
        absolute = os.path.abspath(path)
        relative = os.path.relpath(absolute, cwd)
    except OSError:  # the current folder has been removed
        return shell_word(str(path))
    return shell_word(relative if len(relative) <= len(absolute) else absolute)


def program(name: str, cwd: Path | None = None) -> str:
    """Return the command of a program of this installation: its name if a shell finds it, else its path.

    Args:
        name: Name of the program, such as `tensorboard`.
        cwd: Folder that a relative path starts from; None: the current folder.
    """
    own = Path(sys.executable).parent / name
    found = shutil.which(name)
    if not own.exists() or (found is not None and os.path.realpath(found) == os.path.realpath(own)):
        return name
    return shortest_path(own, cwd)


def _name(summary: Summary) -> str:
    """The run's name."""
    return printable(str(summary.config.get("name", "run")))


def _headline(text: Text, name: str, summary: Summary) -> None:
    """Append the first line, "NAME: solved at update 19 after 1,901 products, ...", and further remarks."""
    text.append(f"{name}: {'not solved, ' if summary.status == 'budget' and not summary.solved else ''}")
    text.append(OUTCOMES[summary.status], style=_STYLES.get(summary.status, "bold"))
    amounts = [wording.count(summary.products, "product")] if summary.products else []
    amounts += [wording.count(summary.sequences, "sequence"), wording.duration(summary.seconds)]
    if summary.status == "solved" and summary.solved_at is not None:
        text.append(f" at update {summary.solved_at.update:,}")
    else:
        amounts.insert(0, wording.count(summary.updates, "update"))
    text.append(f" after {', '.join(amounts)}\n")
    if summary.solved_at is not None and summary.status != "solved":
        text.append(f"  It was solved at update {summary.solved_at.update:,}.\n")
    if summary.message:
        text.append(f"  {printable(summary.message)}\n")
    if summary.is_unconfirmed:
        limit = f"the limit of {wording.percent(summary.solved_error_rate)}"
        text.append(f"  The error rate is below {limit} at the end, but not on 10,000 further sequences.\n")


def _quality_rows(summary: Summary) -> list[list[str]]:
    """The table of loss and error rate, with those of the constant predictor."""
    return [
        ["", "reached", "constant predictor"],
        ["loss", wording.number(summary.loss), wording.number(summary.baseline_loss)],
        ["error rate", wording.percent(summary.error_rate), wording.percent(summary.baseline_error_rate)],
    ]


def add_table(text: Text, rows: Sequence[Sequence[str]]) -> None:
    """Append rows of cells: the first column to the left, numbers to the right."""
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))]
    for row in shown:
        first, *rest = (
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        text.append("  " + "  ".join([first, *rest]).rstrip() + "\n", style="dim" if row is shown[0] else "")


def _advice(summary: Summary) -> str | None:
    """A change to try if the run was not solved."""
    if summary.status == "budget":
        if schedule_has_ended(summary):
            return f"a new run with {larger_budget(summary)}: the learning rate of this one has fallen to 0"
        return f"a larger budget: {larger_budget(summary)}"
    if summary.status == "diverged":
        optim = _part(summary, "optim")
        if isinstance(optim.get("lr"), float | int):
            clip = "" if optim.get("clip_norm") else ", or clipping: optim.clip_norm=1"
            return f"a smaller learning rate: optim.lr={optim['lr'] / 10:g}{clip}"
        if isinstance(optim.get("damping"), float | int):
            return f"a larger damping: optim.damping={optim['damping'] * 10:g}"
    return None


def schedule_has_ended(summary: Summary) -> bool:
    """Whether the learning rate is 0 from now on, so that a larger budget would change nothing."""
    schedule = _part(summary, "schedule")
    length = schedule.get("length")
    is_over = isinstance(length, int) and summary.updates >= length
    return schedule.get("name") == "cosine" and schedule.get("final") == 0 and is_over


def larger_budget(summary: Summary) -> str:
    """The override that doubles the part of the budget that was used up."""
    budget = _part(summary, "budget")
    used = {"sequences": summary.sequences, "minutes": summary.seconds / 60}
    for key, amount in used.items():
        limit = budget.get(key)
        if isinstance(limit, int | float) and amount >= limit:
            double = 2 * limit
            return f"budget.{key}={int(double) if double == int(double) else double}"
    updates = budget.get("updates")
    return f"budget.updates={2 * (updates if isinstance(updates, int) else summary.updates)}"


def _part(summary: Summary, name: str) -> Mapping[str, Any]:
    """A part of the configuration; empty if another program has changed the summary."""
    part = summary.config.get(name)
    return part if isinstance(part, Mapping) else {}
