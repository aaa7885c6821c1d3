"""docs/images/solved_against_length.svg: the share of seeds that solve two problems, against the sequence length."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from docs.make.errors import PageError
from rnnbench.reports import drawing, fields
from rnnbench.reports.groups import make_groups
from rnnbench.reports.run_table import read_table
from rnnbench.reports.runs import Run
from rnnbench.reports.statistics import wilson_interval

PICTURE = "solved_against_length.svg"
LENGTH, OPTIMIZER, TASK = "task.sequence_length", "optim.name", "task.name"

_APART = 0.012  # share of the axis by which neighbouring series are shifted, so that no bar hides another


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        task: Name of the problem; other runs in the tables are left out.
        title: Text above the axes.
        tables: Names of the tables of runs.
        sequences: Sequences within which a run has to be solved.
    """

    task: str
    title: str
    tables: tuple[str, ...]
    sequences: int


PANELS = (
    Panel("adding", "adding, 50 units, 1,000,000 sequences", ("lengths.csv",), 1_000_000),
    Panel(
        "temporal_order",
        "temporal order, 100 units, 100,000 sequences",
        ("hf/T030.csv", "hf/T050.csv", "lengths_temporal_order.csv"),
        100_000,
    ),
)


def pages(results: Path, docs: Path) -> Mapping[Path, str]:
    """The picture and its contents; nothing if a record is missing.

    Raises:
        PageError: A run has not ended.
        RecordError: A table is damaged.
    """
    if not all((results / table).is_file() for panel in PANELS for table in panel.tables):
        return {}
    runs = [_runs(results, panel) for panel in PANELS]
    names = list(dict.fromkeys(str(run.fields[OPTIMIZER]) for own in runs for run in own))
    colors = dict(zip(names, drawing.COLORS, strict=False))

    def paint(figure: Figure) -> None:
        for axes, panel, own in zip(figure.subplots(1, len(PANELS)), PANELS, runs, strict=True):
            _paint(axes, own, panel, colors)

    return {docs / "images" / PICTURE: drawing.draw_figure(paint, width=8.0, height=3.6).decode()}


def _runs(results: Path, panel: Panel) -> list[Run]:
    runs = [run for table in panel.tables for run in read_table(results / table) if run.fields[TASK] == panel.task]
    for run in runs:
        if run.outcome in ("unfinished", "failed"):
            raise PageError(f"{run.folder}: the run is {run.outcome}: finish it by rnnbench resume, or leave it out")
    return runs


def _paint(axes: Axes, runs: Sequence[Run], panel: Panel, colors: Mapping[str, str]) -> None:
    """Draw a line with bars (95 %, Wilson) for each optimizer."""
    every_length = [float(str(run.fields[LENGTH])) for run in runs]
    apart = _APART * (max(every_length) - min(every_length))
    for at, (name, color) in enumerate(colors.items()):
        points = list(_points([run for run in runs if run.fields[OPTIMIZER] == name], panel.sequences))
        lengths = [length + apart * (at - (len(colors) - 1) / 2) for length, _, _ in points]
        bounds = [wilson_interval(solved, total) for _, solved, total in points]
        axes.vlines(lengths, [low for low, _ in bounds], [high for _, high in bounds], color=color, alpha=0.7)
        shares = [solved / total for _, solved, total in points]
        axes.plot(lengths, shares, "o-", color=color, markersize=4, linewidth=1.6, label=name if points else None)
    drawing.set_value_axis(axes, "T", every_length)
    drawing.set_share_axis(axes, "seeds solved")
    axes.set_title(panel.title, fontsize=9)


def _points(runs: Sequence[Run], sequences: int) -> Iterator[tuple[float, int, int]]:
    """Yield each length, ascending, with the numbers of solved and of all runs of the setting that solves most."""
    names = [name for name in fields.grouping_fields([run.fields for run in runs]) if name != LENGTH] if runs else []
    for length in make_groups(runs, [LENGTH]):
        counts = [(_num_solved(group.runs, sequences), len(group.runs)) for group in make_groups(length.runs, names)]
        yield float(str(length.values[0])), *max(counts, key=lambda count: count[0] / count[1])


def _num_solved(runs: Sequence[Run], sequences: int) -> int:
    return sum(run.summary.solved_at is not None and run.summary.solved_at.sequences <= sequences for run in runs)
