"""Relu units with the identity, tanh units and an LSTM on adding (Le, Jaitly and Hinton 2015)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from typing_extensions import override

from rnnbench.experiments.base import Experiment, Measured
from rnnbench.experiments.outcomes import measure_outcomes
from rnnbench.experiments.rate_figure import draw_rates
from rnnbench.experiments.shares import at_length, best_rate, difference
from rnnbench.experiments.study import Study
from rnnbench.experiments.verdict import Finding, at_least, solved_in_control, unjudged_share

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
        best = {net: best_rate(at_length(measured[net], length)) for net in NETS}
        easy = {net: best_rate(at_length(measured[net], short)) for net in NETS}
        what = f"share solved at T = {length}: {NETS['irnn']} minus"
        control = f"control: share solved at T = {short}: {NETS['tanh']}"
        shares = [
            unjudged_share(f"share solved at T = {each}: {NETS[net]}", share)
            for each, counts in ((length, best), (short, easy))
            for net, share in counts.items()
        ]
        return [
            at_least(f"{what} {NETS['lstm']}", *difference(best["irnn"], best["lstm"]), -thresholds["tolerance"]),
            at_least(f"{what} {NETS['tanh']}", *difference(best["irnn"], best["tanh"]), thresholds["least_gain"]),
            solved_in_control(control, easy["tanh"], thresholds["least_share"]),
            *shares,
        ]

    @override
    def draw(self, figure: "Figure", measured: Measured) -> None:
        lengths = [self.rule.settings[key] for key in ("control_length", "sequence_length")]
        runs = {words: measured[net] for net, words in NETS.items()}
        draw_rates(figure, runs, lengths, "runs that solve adding")
