"""Gradient descent on the problems of Bengio, Simard and Frasconi (1994), against the length of the sequences."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from typing_extensions import override

from rnnbench.experiments.base import Experiment, Measured
from rnnbench.experiments.outcomes import measure_outcomes
from rnnbench.experiments.shares import Rows, best_rate, difference
from rnnbench.experiments.study import Study
from rnnbench.experiments.verdict import Finding, at_least, at_most, unjudged_share
from rnnbench.reports.drawing import COLORS, set_share_axis, set_value_axis
from rnnbench.reports.statistics import wilson_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROBLEMS = {"latch": "latch", "two_sequence": "2-sequence problem", "parity": "parity"}
"""Sweep, and task -> its name in the publication."""

KEYS = {"length": "task.sequence_length", "lr": "optim.lr"}


class Bengio1994(Experiment):
    """The claim that gradient descent fails as dependencies become longer."""

    size = (6.4, 4.0)

    @override
    def measure(self, study: Study) -> Measured:
        return {sweep: measure_outcomes(study, sweep, KEYS) for sweep in self.rule.sweeps}

    @override
    def judge(self, measured: Measured) -> Sequence[Finding]:
        claims, controls, shown = [], [], []
        thresholds = self.rule.thresholds
        for problem, words in PROBLEMS.items():
            shares = _by_length(measured[problem])
            (shortest, first), *between, (longest, last) = shares.items()
            share, what = last[0] / last[1], f"{words}: share solved at T = {longest}"
            claims += [
                at_least(
                    f"{what} subtracted from that at T = {shortest}", *difference(first, last), thresholds["least_loss"]
                ),
                at_most(what, share, wilson_interval(*last), thresholds["greatest_share"]),
            ]
            solved, interval = first[0] / first[1], wilson_interval(*first)
            what = f"control: {words}: share solved at T = {shortest}"
            controls.append(at_least(what, solved, interval, thresholds["least_share"], "control"))
            shown += [unjudged_share(f"{words}: share solved at T = {length}", counts) for length, counts in between]
        return [*claims, *controls, *shown]

    @override
    def draw(self, figure: "Figure", measured: Measured) -> None:
        axes, lengths = figure.subplots(), []
        for color, (problem, words) in zip(COLORS, PROBLEMS.items(), strict=False):
            shares = _by_length(measured[problem])
            values = [count / total for count, total in shares.values()]
            bounds = [wilson_interval(*each) for each in shares.values()]
            below, above = zip(
                *((v - low, high - v) for v, (low, high) in zip(values, bounds, strict=True)), strict=True
            )
            errors = [[max(0.0, each) for each in side] for side in (below, above)]
            axes.errorbar(list(shares), values, errors, fmt="o-", color=color, markersize=4, capsize=2, label=words)
            lengths += list(shares)
        axes.set_xscale("log")
        set_value_axis(axes, "sequence length T", lengths)
        set_share_axis(axes, "nets that learn the problem")
        axes.set_title("Gradient descent, best of the learning rates")


def _by_length(runs: Rows) -> dict[int, tuple[int, int]]:
    """Return sequence length, ascending -> numbers of solved and of all runs at its best learning rate."""
    lengths = sorted({run["length"] for run in runs})
    return {length: best_rate([run for run in runs if run["length"] == length]) for length in lengths}
