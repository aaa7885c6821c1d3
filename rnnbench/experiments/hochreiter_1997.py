"""How many sequences a modern LSTM needs for two problems of Hochreiter and Schmidhuber (1997)."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from typing_extensions import override

from rnnbench.experiments.base import Experiment, Measured
from rnnbench.experiments.outcomes import measure_outcomes
from rnnbench.experiments.shares import Rows
from rnnbench.experiments.study import Study
from rnnbench.experiments.verdict import Finding, at_least, context, share_at_least
from rnnbench.reports.drawing import COLORS, FOREGROUND
from rnnbench.reports.statistics import median_interval, wilson_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROBLEMS = {"adding": "adding", "two_sequence": "2-sequence problem"}

NETS = {"lstm": "LSTM", "rnn": "simple recurrent net"}

KEYS = {"lr": "optim.lr"}


class Hochreiter1997(Experiment):
    """The claim that an LSTM bridges 100 steps within the number of sequences that the publication reports."""

    size = (7.6, 3.9)

    @override
    def measure(self, study: Study) -> Measured:
        return {sweep: measure_outcomes(study, sweep, KEYS) for sweep in self.rule.sweeps}

    @override
    def judge(self, measured: Measured) -> Sequence[Finding]:
        thresholds, shown = self.rule.thresholds, []
        findings = []
        for problem, words in PROBLEMS.items():
            solved = self._within(_best_rate(measured[f"{problem}_lstm"]))
            share, interval = sum(solved) / len(solved), wilson_interval(sum(solved), len(solved))
            what = f"{words}: share of LSTMs that solve it within {self.rule.settings['sequences']:,} sequences"
            findings.append(at_least(what, share, interval, thresholds["least_share"]))
            for net, name in NETS.items():
                median, interval = median_interval(_sequences(_best_rate(measured[f"{problem}_{net}"])))
                if math.isfinite(median):
                    what = f"{words}: median number of sequences of {name}s until it is solved"
                    shown.append(context(what, median, interval, "not judged"))
        failed = [not each for each in self._within(_best_rate(measured["adding_rnn"]))]
        what = f"{NETS['rnn']}s that do not solve adding within as many"
        findings.append(share_at_least(what, failed, thresholds["least_failure"], "control"))
        return [*findings, *shown]

    def _within(self, runs: Rows) -> list[bool]:
        """Return whether each run is solved within the published number of sequences."""
        return [sequences <= self.rule.settings["sequences"] for sequences in _sequences(runs)]

    @override
    def draw(self, figure: "Figure", measured: Measured) -> None:
        length = self.rule.settings["sequence_length"]
        for axes, (problem, words) in zip(figure.subplots(1, 2, sharey=True), PROBLEMS.items(), strict=True):
            for color, (net, name) in zip(COLORS, NETS.items(), strict=False):
                needed = sorted(_sequences(_best_rate(measured[f"{problem}_{net}"])))
                solved = [each for each in needed if math.isfinite(each)]
                shares = [(at + 1) / len(needed) for at in range(len(solved))]
                steps = [0.0, *solved, float(self.rule.settings["budget"])]
                axes.step(steps, [0.0, *shares, (shares or [0.0])[-1]], where="post", color=color, label=name)
            published = self.rule.settings["sequences"]
            label = f"{published:,} sequences, the LSTM of 1997 on adding"
            axes.axvline(published, color=FOREGROUND, linestyle=(0, (4, 3)), linewidth=1, label=label)
            axes.set(
                xlabel="sequences",
                ylim=(-0.03, 1.03),
                title=f"{words}, T = {length}",
            )
            axes.grid(visible=True)
        figure.axes[0].set_ylabel("share of nets that have solved it")


def _sequences(runs: Rows) -> list[float]:
    """Return the number of sequences until each run was solved; infinite: it was not."""
    return [run["sequences"] if run["solved"] else math.inf for run in runs]


def _best_rate(runs: Rows) -> Rows:
    """Return the runs of the rate that solves most; ties are broken by the smallest median number of sequences."""
    groups = [[run for run in runs if run["lr"] == rate] for rate in dict.fromkeys(run["lr"] for run in runs)]
    return max(groups, key=lambda group: (sum(run["solved"] for run in group), -median_interval(_sequences(group))[0]))
