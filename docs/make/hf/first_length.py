"""Shorter sequences first: the table of first-order methods, and the figure of two probed runs."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from docs.make.errors import PageError
from docs.make.hf.costs import say_cost, say_solved
from docs.make.hf.results import provenance
from docs.make.markdown import table as markdown_table
from rnnbench.records import wording
from rnnbench.reports import drawing, fields
from rnnbench.reports.groups import make_groups
from rnnbench.reports.runs import Run

TABLE = "first_length_probes.csv"
"""Name of the table: the column `run`, and those of metrics.csv that the figure shows."""

PICTURE = "first_length_probes.svg"

_BATCH = 2000  # sequences of a gradient batch of both runs
_WINDOW = 5  # updates over which predicted and measured decreases are summed

Rows = Sequence[Mapping[str, float]]

_SETTING = ("task.sequence_length", "task.first_length", "optim.name", "optim.lr", "budget.sequences")


def first_order_table(runs: Sequence[Run]) -> str:
    """Make a Markdown table: one row per length, first length, optimizer, learning rate and budget.

    Args:
        runs: Runs on one problem, at least one.
    """
    rows = [
        [
            *map(fields.format_value, group.values[:-1]),
            wording.number(float(str(group.values[-1]))),
            say_solved(group.runs),
            say_cost(group.runs, "sequences"),
            wording.percent(group.error_rate),
        ]
        for group in make_groups(runs, _SETTING)
    ]
    columns = ["T", "first length", "optimizer", "lr", "budget", "solved (95 %)", "sequences", "last error rate"]
    return f"{markdown_table(columns, rows)}\n\n{provenance(runs)}"


def draw_first_length(table: Path) -> str:
    """Draw loss, Lyapunov exponent, gradient noise and what a step achieves against the update, as SVG.

    Args:
        table: The table.

    Raises:
        PageError: The table is damaged.
    """
    runs = _read(table)

    def paint(figure: Figure) -> None:
        (loss, exponent), (noise, achieved) = figure.subplots(2, 2)
        for (name, rows), color in zip(runs.items(), drawing.COLORS, strict=False):
            updates = [row["update"] for row in rows]
            loss.plot(updates, [row["loss/train"] for row in rows], color=color, label=name)
            exponent.plot(updates, [row["lyapunov/largest"] for row in rows], color=color)
            _paint_noise(noise, rows, color)
            achieved.plot(*_achieved(rows), "o-", markersize=3, color=color)
        loss.set(ylabel="training loss")
        loss.axhline(math.log(4), color=drawing.FOREGROUND, linestyle=(0, (4, 3)), linewidth=1, alpha=0.7)
        exponent.set(ylabel="largest Lyapunov exponent a step")
        exponent.axhline(0, color=drawing.FOREGROUND, linewidth=1, alpha=0.7)
        noise.set(yscale="log", ylabel="noise scale, sequences")
        noise.axhline(_BATCH, color=drawing.FOREGROUND, linestyle=(0, (4, 3)), linewidth=1, alpha=0.7)
        achieved.set(ylabel="measured / predicted decrease", ylim=(-0.5, 1.5))
        achieved.axhline(0, color=drawing.FOREGROUND, linewidth=1, alpha=0.7)
        for axes in (loss, exponent, noise, achieved):
            axes.set_xlabel("update")
            axes.grid(visible=True)

    return drawing.draw_figure(paint, width=8.0, height=5.6).decode()


def _paint_noise(axes: Axes, rows: Rows, color: str) -> None:
    """Draw the noise scale; hollow points at the top: no signal was found in the batch."""
    found = [(row["update"], row["gradient_noise/scale"]) for row in rows if row["gradient_noise/scale"] > 0]
    none = [row["update"] for row in rows if not row["gradient_noise/scale"] > 0 and row["update"] > 0]
    axes.plot([x for x, _ in found], [y for _, y in found], "o", markersize=3, color=color)
    axes.plot(none, [1e5] * len(none), "o", markersize=4, color=color, fillstyle="none")


def _achieved(rows: Rows) -> tuple[list[float], list[float]]:
    """Return updates, and the decrease of the loss on fresh batches over that which the quadratic model predicted.

    Both are summed over a window of updates. The loss of an update's batch is that before its step; batches of another
    length do not compare, so that windows over an increase of the length are left out.
    """
    updates, ratios = [], []
    for start in range(2, len(rows) - _WINDOW, _WINDOW):  # the first step only learns the mean of the targets
        window = rows[start : start + _WINDOW + 1]
        predicted = sum(row["hf/predicted_reduction"] for row in window[:-1])
        if len({row["task/training_length"] for row in window}) == 1 and predicted > 0:
            updates.append(window[-1]["update"])
            ratios.append((window[0]["loss/train"] - window[-1]["loss/train"]) / predicted)
    return updates, ratios


def _read(table: Path) -> dict[str, list[dict[str, float]]]:
    """Return the rows of each run by its name."""
    runs: dict[str, list[dict[str, float]]] = {}
    try:
        with table.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                name = row.pop("run")
                runs.setdefault(name, []).append({key: float(cell or "nan") for key, cell in row.items()})
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise PageError(f"{table} cannot be read: {error}") from error
    return runs
