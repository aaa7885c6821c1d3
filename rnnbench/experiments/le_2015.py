"""Relu units with the identity, tanh units and an LSTM on adding (Le, Jaitly and Hinton 2015)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from typing_extensions import override

from rnnbench.experiments.base import Experiment, Measured
from rnnbench.experiments.outcomes import measure_outcomes
from rnnbench.experiments.shares import Rows, best_rate, by_rate, difference
from rnnbench.experiments.study import Study
from rnnbench.experiments.verdict import Finding, at_least, at_most, context
from rnnbench.reports.drawing import COLORS, set_share_axis, set_value_axis
from rnnbench.reports.statistics import wilson_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETS = {"irnn": "relu, identity", "lstm": "LSTM", "tanh": "tanh"}

KEYS = {"length": "task.sequence_length", "lr": "optim.lr"}


class Le2015(Experiment):
    """The claim that relu units that start with the identity learn as long dependencies as an LSTM."""

    size = (8.4, 3.9)

    @override
    def measure(self, study: Study) -> Measured:
        return {sweep: measure_outcomes(study, sweep, KEYS) for sweep in self.rule.sweeps}

    @override
    def judge(self, measured: Measured) -> Sequence[Finding]:
        settings, thresholds = self.rule.settings, self.rule.thresholds
        length, short = settings["sequence_length"], settings["control_length"]
        best = {net: best_rate(_at(measured[net], length)) for net in NETS}
        easy = {net: best_rate(_at(measured[net], short)) for net in NETS}
        what = f"share solved at T = {length}: {NETS['irnn']} minus"
        control = f"control: share solved at T = {short}: {NETS['irnn']} minus {NETS['tanh']}"
        shares = [
            context(
                f"share solved at T = {each}: {NETS[net]}", count / total, wilson_interval(count, total), "not judged"
            )
            for each, counts in ((length, best), (short, easy))
            for net, (count, total) in counts.items()
        ]
        return [
            at_least(f"{what} {NETS['lstm']}", *difference(best["irnn"], best["lstm"]), -thresholds["tolerance"]),
            at_least(f"{what} {NETS['tanh']}", *difference(best["irnn"], best["tanh"]), thresholds["least_gain"]),
            at_most(control, *difference(easy["irnn"], easy["tanh"]), thresholds["least_gain"], "control"),
            *shares,
        ]

    @override
    def draw(self, figure: "Figure", measured: Measured) -> None:
        lengths = [self.rule.settings[key] for key in ("control_length", "sequence_length")]
        for axes, length in zip(figure.subplots(1, 2), lengths, strict=True):
            shown: list[float] = []
            for color, (net, words) in zip(COLORS, NETS.items(), strict=False):
                rates, shares = by_rate(_at(measured[net], length))
                axes.plot(rates, shares, "o-", color=color, markersize=4, label=words)
                shown += rates
            set_value_axis(axes, "learning rate", shown)
            set_share_axis(axes, "runs that solve adding")
            axes.set_title(f"T = {length}")


def _at(runs: Rows, length: int) -> Rows:
    """Return the runs of a sequence length."""
    return [run for run in runs if run["length"] == length]
