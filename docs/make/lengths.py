"""docs/images/solved_against_length.svg: the share of seeds that solve two problems, against the sequence length."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from docs.make.optimizers_against_length import read_experiment
from rnnbench.experiments.length_map import LengthMap
from rnnbench.records.wording import number
from rnnbench.reports import drawing
from rnnbench.reports.statistics import wilson_interval

PICTURE = "solved_against_length.svg"

OPTIMIZERS: Mapping[str, str] = {
    "hf_short_first": "hf, shorter sequences first",
    "hf": "hf",
    "psgd": "psgd",
    "nag": "nag",
}
"""Optimizer of the records -> label of its line."""

_APART = 0.012  # share of the axis by which neighbouring series are shifted, so that no bar hides another


def pages(results: Path, docs: Path) -> Mapping[Path, str]:
    """The picture and its contents; nothing if there is no record.

    Raises:
        PageError: A record is damaged.
    """
    _, found = read_experiment(results)

    def paint(figure: Figure) -> None:
        for axes, task in zip(figure.subplots(1, len(found.tasks)), found.tasks, strict=True):
            _paint(axes, found, task)

    return (
        {docs / "images" / PICTURE: drawing.draw_figure(paint, width=8.0, height=3.6).decode()} if found.records else {}
    )


def _paint(axes: Axes, found: LengthMap, task: str) -> None:
    """Draw a line with bars (95 %, Wilson) for each optimizer."""
    apart = _APART * (found.lengths[-1] - found.lengths[0])
    for at, (name, label) in enumerate(OPTIMIZERS.items()):
        lengths = [length for length in found.lengths if found.was_run(task, name, length)]
        counts = [found.counts(task, name, length) for length in lengths]
        shifted = [length + apart * (at - (len(OPTIMIZERS) - 1) / 2) for length in lengths]
        bounds = [wilson_interval(solved, total) for solved, total in counts]
        color = drawing.COLORS[at]
        axes.vlines(shifted, [low for low, _ in bounds], [high for _, high in bounds], color=color, alpha=0.7)
        shares = [solved / total for solved, total in counts]
        axes.plot(shifted, shares, "o-", color=color, markersize=4, linewidth=1.6, label=label)
    drawing.set_value_axis(axes, "T", [float(length) for length in found.lengths])
    drawing.set_share_axis(axes, "seeds solved")
    axes.set_title(f"{task.replace('_', ' ')}, {number(found.sequences)} sequences", fontsize=9)
