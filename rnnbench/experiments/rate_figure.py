"""A figure of shares of solved runs against the learning rate, at several sequence lengths."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rnnbench.experiments.shares import Rows, at_length, by_rate
from rnnbench.reports.drawing import COLORS, set_share_axis, set_value_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_rates(figure: "Figure", runs: Mapping[str, Rows], lengths: Sequence[int], label: str) -> None:
    """Draw the share of solved runs against the learning rate, one panel for each length.

    Args:
        figure: Empty figure.
        runs: Name in the legend -> runs, each with its `length`.
        lengths: Sequence length of each panel.
        label: Label of the axis of shares.
    """
    for axes, length in zip(figure.subplots(1, len(lengths)), lengths, strict=True):
        shown: list[float] = []
        for color, (name, rows) in zip(COLORS, runs.items(), strict=False):
            rates, shares = by_rate(at_length(rows, length))
            axes.plot(rates, shares, "o-", color=color, markersize=4, label=name)
            shown += rates
        axes.set_xscale("log")
        set_value_axis(axes, "learning rate", shown)
        set_share_axis(axes, label)
        axes.set_title(f"T = {length}")
