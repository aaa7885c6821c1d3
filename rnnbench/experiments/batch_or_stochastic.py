"""Cost of a solution with batches of several sizes, for Hessian-free and Nesterov's accelerated gradient."""

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from rnnbench.experiments.base import Experiment, Measured
from rnnbench.experiments.nets import read_summaries
from rnnbench.experiments.shares import Rows
from rnnbench.experiments.study import Study
from rnnbench.experiments.verdict import Finding, at_least, at_most, context, unjudged_share
from rnnbench.reports.drawing import COLORS, set_value_axis
from rnnbench.reports.statistics import location_ratio, median_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METHODS = {"hf": "Hessian-free", "nag": "nag, best learning rate"}

Costs = Sequence[float]
"""Number of sequences until each run was solved; infinite: it was not solved."""


class BatchOrStochastic(Experiment):
    """The claim that second-order methods need large batches."""

    size = (6.4, 4.4)

    @override
    def measure(self, study: Study) -> Measured:
        measured: dict[str, list[Any]] = {method: [] for method in METHODS}
        for sweep in self.rule.sweeps:
            method, _, _ = sweep.partition("_")
            measured[method] += study.keep(sweep, partial(_outcomes, study, sweep))["runs"]
        return measured

    @override
    def judge(self, measured: Measured) -> Sequence[Finding]:
        thresholds, budget = self.rule.thresholds, float(self.rule.settings["sequences"])
        hf, nag = (_by_batch(measured[method]) for method in METHODS)
        return [
            at_least(*_small_over_best("Hessian-free", hf, budget), thresholds["least_ratio"]),
            at_most(*_small_over_best("control: nag", nag, budget), thresholds["greatest_ratio"], "control"),
            *_for_each_size("Hessian-free", hf),
            *_for_each_size("nag", nag),
        ]

    @override
    def draw(self, figure: "Figure", measured: Measured) -> None:
        axes = figure.subplots()
        top = 1.5 * self.rule.settings["sequences"]
        for at, (method, label) in enumerate(METHODS.items()):
            _draw_costs(axes, _by_batch(measured[method]), top, COLORS[at], label, 1.06 ** (2 * at - 1))
        axes.axhspan(0.85 * top, 1.18 * top, color="#8885", linewidth=0)
        axes.text(0.5, top, "not solved", ha="center", va="center", transform=axes.get_yaxis_transform(), fontsize=8)
        axes.set_yscale("log")
        set_value_axis(axes, "sequences in a batch", [run["batch"] for runs in measured.values() for run in runs])
        axes.set_ylabel("sequences to the solution, products included")
        axes.grid(visible=True)


def _outcomes(study: Study, sweep: str) -> dict[str, Any]:
    """Return the cost of each run of a sweep; null: it was not solved."""
    runs = []
    for summary in read_summaries(study.train(sweep)):
        optim = summary.config["optim"]
        batch = optim.get("batch_size", optim.get("gradient_batch_size"))
        cost = None if summary.solved_at is None else summary.solved_at.sequences
        runs.append({"batch": batch, "lr": optim.get("lr", 0.0), "solved": cost is not None, "cost": cost})
    return {"runs": runs}


def _by_batch(runs: Rows) -> dict[int, Costs]:
    """Return batch size, ascending -> costs at its best learning rate.

    The best learning rate solves most runs; ties are broken by the smallest median cost.
    """
    best: dict[int, Costs] = {}
    for batch in sorted({run["batch"] for run in runs}):
        costs: dict[float, list[float]] = {}
        for run in runs:
            if run["batch"] == batch:
                costs.setdefault(run["lr"], []).append(run["cost"] if run["solved"] else math.inf)
        best[batch] = min(costs.values(), key=_rank)
    return best


def _small_over_best(method: str, costs: dict[int, Costs], budget: float) -> tuple[str, float, tuple[float, float]]:
    """Return description, value and interval of the ratio of costs: smallest batches to the best larger ones."""
    small = min(costs)
    best = min((batch for batch in costs if batch > small), key=lambda batch: _rank(costs[batch]))
    what = f"{method}: cost with batches of {small} / cost with batches of {best}, the best larger size"
    return what, *_ratio(costs[small], costs[best], budget)


def _rank(costs: Costs) -> tuple[int, float]:
    """Return the number of unsolved runs and the median cost of the others; smaller is better."""
    solved = [cost for cost in costs if math.isfinite(cost)]
    return len(costs) - len(solved), float(np.median(solved)) if solved else math.inf


def _ratio(costs: Costs, base: Costs, budget: float) -> tuple[float, tuple[float, float]]:
    """Return the ratio of costs to base costs, with its 95 % interval.

    The cost of an unsolved run is unknown, but at least its budget: ratio and lower bound are the smallest possible,
    the upper bound the largest.
    """

    def capped(costs: Costs) -> Costs:
        return [min(cost, budget) for cost in costs]

    ratio, low, _ = location_ratio(capped(costs), base)
    _, _, high = location_ratio(costs, capped(base))
    return ratio, (low, high)


def _for_each_size(method: str, costs: dict[int, Costs]) -> list[Finding]:
    """Return the share of solved runs and, if half of them are solved, the median cost."""
    findings = []
    for batch, each in costs.items():
        words, solved = f"{method}, batches of {batch}", sum(map(math.isfinite, each))
        findings.append(unjudged_share(f"{words}: share solved", (solved, len(each))))
        median, interval = median_interval(each)
        if math.isfinite(median):
            findings.append(context(f"{words}: median cost, sequences", median, interval, "not judged"))
    return findings


def _draw_costs(axes: "Axes", costs: dict[int, Costs], top: float, color: str, label: str, moved: float) -> None:
    """Draw each run as a point, unsolved ones at the top, and a line through the medians."""
    for batch, each in costs.items():
        heights = [cost if math.isfinite(cost) else top for cost in each]
        axes.plot([batch * moved] * len(each), heights, "o", color=color, markersize=3, alpha=0.4)
    medians = [median_interval(each)[0] for each in costs.values()]
    places = [batch * moved for batch in costs]
    axes.plot(places, [min(median, top) for median in medians], "-", color=color, linewidth=1.4, label=label)
