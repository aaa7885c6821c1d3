"""Momentum and initialization against Hessian-free, with the settings of Table 5 of Sutskever et al. (2013)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from rnnbench.experiments.base import Experiment, Measured
from rnnbench.experiments.outcomes import measure_outcomes
from rnnbench.experiments.shares import Rows, difference
from rnnbench.experiments.study import Study
from rnnbench.experiments.verdict import Finding, at_least, at_most, unjudged_share
from rnnbench.reports.drawing import COLORS, FOREGROUND, set_share_axis
from rnnbench.reports.statistics import wilson_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PROBLEMS = {
    "adding": "adding",
    "multiplication": "multiplication",
    "memorization_5": "5 bits",
    "memorization_20": "20 bits",
}

COMPARED = ("adding", "multiplication")
"""Problems that the paper centers, and for which it has smaller input weights."""

KEYS = {"radius": "init.spectral_radius", "lr": "optim.lr", "momentum": "optim.momentum"}
"""Values of a run; Hessian-free has no learning rate and no momentum."""

BOTH = "(careful init + momentum)"

Share = tuple[int, int]
"""Numbers of solved runs and of all runs."""


class Sutskever2013(Experiment):
    """The claim that momentum and a careful initialization, and only both, do what Hessian-free does."""

    size = (9.0, 5.2)

    @override
    def measure(self, study: Study) -> Measured:
        return {
            sweep: measure_outcomes(study, sweep, {"radius": KEYS["radius"]} if sweep.endswith("_hf") else KEYS)
            for sweep in self.rule.sweeps
        }

    @override
    def judge(self, measured: Measured) -> Sequence[Finding]:
        claims = [finding for problem in PROBLEMS for finding in self._claims(problem, measured)]
        shown = [finding for problem in PROBLEMS for finding in self._cells(problem, measured)]
        return [*claims, self._control(measured), *shown]

    def _claims(self, problem: str, measured: Measured) -> list[Finding]:
        """Compare momentum from the careful initialization with Hessian-free and with each part alone."""
        tolerance, least = self.rule.thresholds["tolerance"], self.rule.thresholds["least_gain"]
        both = best(self._from(measured[f"{problem}_nesterov"], "careful_radius"))
        others = {
            "Hessian-free": (best(measured[f"{problem}_hf"]), -tolerance),
            "no momentum": (best(self._from(measured[f"{problem}_plain"], "careful_radius")), least),
            "poor init": (best(self._from(measured[f"{problem}_nesterov"], "poor_radius")), least),
        }
        return [
            at_least(f"{PROBLEMS[problem]}: share solved: {BOTH} minus {words}", *difference(both, other), bound)
            for words, (other, bound) in others.items()
        ]

    def _control(self, measured: Measured) -> Finding:
        """Compare the combination with the worst of the four on short sequences."""
        shares = [
            best(self._from(measured[f"control_{method}"], radius))
            for method in ("nesterov", "plain")
            for radius in ("careful_radius", "poor_radius")
        ]
        worst = min(shares, key=lambda share: share[0] / share[1])
        what = f"control: temporal order: share solved: {BOTH} minus the worst of the four"
        return at_most(what, *difference(shares[0], worst), self.rule.thresholds["least_gain"], "control")

    def _cells(self, problem: str, measured: Measured) -> list[Finding]:
        """Return the shares of Table 5's columns and of the other settings."""
        shares = {**self._columns(problem, measured), "Hessian-free": best(measured[f"{problem}_hf"])}
        shares["poor init, Nesterov"] = best(self._from(measured[f"{problem}_nesterov"], "poor_radius"))
        rate = self.rule.settings["paper_rate"]
        for words, method in (("no momentum", "plain"), ("Nesterov", "nesterov")):
            runs = [run for run in self._from(measured[f"{problem}_{method}"], "careful_radius") if run["lr"] <= rate]
            if runs:
                shares[f"{words}, learning rate of the paper, at most {rate:g}"] = best(runs)
        if problem in COMPARED:
            shares["Nesterov, input weights of the paper"] = best(measured[f"{problem}_small_inputs"])
            shares["Nesterov, not centered"] = best(measured[f"{problem}_not_centered"])
        return [unjudged_share(f"{PROBLEMS[problem]}: share solved: {words}", share) for words, share in shares.items()]

    def _columns(self, problem: str, measured: Measured) -> dict[str, Share]:
        """Return the share at the best learning rate of each column of Table 5, by its name."""
        plain = self._from(measured[f"{problem}_plain"], "careful_radius")
        shares = {"no momentum": best(plain)}
        for name, method in (("Nesterov", "nesterov"), ("classical", "classical")):
            runs = self._from(measured[f"{problem}_{method}"], "careful_radius")
            for momentum in sorted({run["momentum"] for run in runs}):
                shares[f"{name} {momentum:g}"] = best([run for run in runs if run["momentum"] == momentum])
        return shares

    def _from(self, runs: Rows, radius: str) -> Rows:
        """Return the runs from an initialization."""
        return [run for run in runs if run["radius"] == self.rule.settings[radius]]

    @override
    def draw(self, figure: "Figure", measured: Measured) -> None:
        for axes, (problem, words) in zip(figure.subplots(2, 2).flat, PROBLEMS.items(), strict=True):
            columns = self._columns(problem, measured)
            _draw_shares(axes, columns, COLORS[0], "careful initialization")
            poor = best(self._from(measured[f"{problem}_nesterov"], "poor_radius"))
            hf = best(measured[f"{problem}_hf"])
            axes.axhline(hf[0] / hf[1], color=FOREGROUND, linestyle=(0, (4, 3)), linewidth=1, label="Hessian-free")
            axes.axhline(poor[0] / poor[1], color=COLORS[3], linestyle=":", linewidth=1.4, label="Nesterov, poor init")
            length = self.rule.settings[f"{problem}_length"]
            axes.set_title(f"{words}, T = {length}: {hf[0]} of {hf[1]} by Hessian-free")


def best(runs: Sequence[Mapping[str, Any]]) -> Share:
    """Return the numbers of solved and of all runs at the momentum and learning rate that solve most runs."""
    groups: dict[tuple[Any, Any], list[bool]] = {}
    for run in runs:
        groups.setdefault((run.get("momentum"), run.get("lr")), []).append(run["solved"])
    return max((sum(group), len(group)) for group in groups.values())


def _draw_shares(axes: "Axes", shares: Mapping[str, Share], color: str, label: str) -> None:
    """Draw shares with their intervals, one place for each name."""
    for at, (solved, count) in enumerate(shares.values()):
        share, (low, high) = solved / count, wilson_interval(solved, count)
        error = [[max(0.0, share - low)], [max(0.0, high - share)]]
        own = label if at == 0 else None
        axes.errorbar([at], [share], error, fmt="o", color=color, markersize=4, capsize=2, label=own)
    names = [name.replace(" ", "\n") for name in shares]
    axes.set_xticks(range(len(names)), names, fontsize=7)
    set_share_axis(axes, "runs solved")
