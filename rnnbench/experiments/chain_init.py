"""Chains of units against orthogonal recurrent weights, on adding (Orhan and Pitkow 2020)."""

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

INITS = {"chain": "chain", "feedback": "chain with feedback", "orthogonal": "orthogonal", "identity": "identity"}
"""Sweep -> name of the initialization."""

KEYS = {"length": "task.sequence_length", "lr": "optim.lr"}


class ChainAgainstOrthogonal(Experiment):
    """The claim that nets which start as a chain learn longer dependencies than those with an orthogonal matrix."""

    size = (8.4, 3.9)

    @override
    def measure(self, study: Study) -> Measured:
        return {sweep: measure_outcomes(study, sweep, KEYS) for sweep in self.rule.sweeps}

    @override
    def judge(self, measured: Measured) -> Sequence[Finding]:
        thresholds, (short, length) = self.rule.thresholds, self._lengths()
        long, easy = ({init: best_rate(at_length(measured[init], at)) for init in INITS} for at in (length, short))
        what = f"adding, T = {length}: share solved from the {{}} minus that from the orthogonal matrix"
        claims = [
            at_least(what.format(INITS[init]), *difference(long[init], long["orthogonal"]), thresholds["least_gain"])
            for init in ("chain", "feedback")
        ]
        control = f"control: adding, T = {short}: share solved from the orthogonal matrix"
        shares = [
            unjudged_share(f"adding, T = {at}: share solved, {INITS[init]}", share)
            for at, counts in ((length, long), (short, easy))
            for init, share in counts.items()
        ]
        return [*claims, solved_in_control(control, easy["orthogonal"], thresholds["least_share"]), *shares]

    @override
    def draw(self, figure: "Figure", measured: Measured) -> None:
        runs = {words: measured[init] for init, words in INITS.items()}
        draw_rates(figure, runs, self._lengths(), "nets that learn adding")

    def _lengths(self) -> tuple[int, int]:
        """Return the sequence length of the control and that of the claim."""
        return self.rule.settings["control_length"], self.rule.settings["sequence_length"]
