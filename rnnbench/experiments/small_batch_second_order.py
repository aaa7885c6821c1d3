"""Second order with small batches: PSGD, Hessian-free with its large batches, and first-order methods, on xor."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from typing_extensions import override

from rnnbench.experiments.base import Experiment, Measured
from rnnbench.experiments.outcomes import measure_outcomes
from rnnbench.experiments.shares import Rows, difference
from rnnbench.experiments.study import Study
from rnnbench.experiments.verdict import Finding, at_least, context, share_at_least, share_context
from rnnbench.reports.drawing import COLORS, set_share_axis, set_value_axis
from rnnbench.reports.statistics import median_interval, wilson_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SETTINGS = {
    "psgd": "optim.lr",
    "hf": "optim.gradient_batch_size",
    "adam": "optim.lr",
    "nag": "optim.lr",
}
"""Sweep -> the key of which the best value counts, for each length."""


class SmallBatchSecondOrder(Experiment):
    """The claim that a second-order method solves xor over long sequences with small batches."""

    @override
    def measure(self, study: Study) -> Measured:
        keys = {"length": "task.sequence_length"}
        return {name: measure_outcomes(study, name, {**keys, "setting": SETTINGS[name]}) for name in self.parts}

    @override
    def judge(self, measured: Measured) -> Sequence[Finding]:
        thresholds, settings = self.rule.thresholds, self.rule.settings
        best = {name: _by_length(runs) for name, runs in measured.items()}
        lengths = list(best["psgd"])
        shortest, longest = lengths[0], lengths[-1]
        is_long_enough = settings["sequences"] >= thresholds["published_sequences"]
        first_order = max((best[name][shortest] for name in ("adam", "nag")), key=_num_solved)
        pairs = {name: _pooled(best[name], lengths[1:]) for name in SETTINGS}
        return [
            _published(longest, best["psgd"][longest], thresholds["least_share"], is_long_enough),
            at_least(
                f"share of runs with more than {shortest} steps that psgd solves, less that of hf",
                *difference(pairs["psgd"], pairs["hf"]),
                thresholds["least_difference"],
            ),
            share_at_least(
                f"runs with {shortest} steps that adam or nag solves",
                [run["solved"] for run in first_order],
                thresholds["least_short"],
                "control",
            ),
            *(
                finding
                for length in lengths
                for name in SETTINGS
                for finding in _context(name, length, best[name][length])
            ),
        ]

    @override
    def draw(self, figure: "Figure", measured: Measured) -> None:
        left, right = figure.subplots(1, 2)
        for at, (name, runs) in enumerate(measured.items()):
            best, color = _by_length(runs), COLORS[at]
            lengths = [length * 1.02 ** (2 * at - len(measured) + 1) for length in best]
            shares = [_num_solved(own) / len(own) for own in best.values()]
            bounds = [wilson_interval(_num_solved(own), len(own)) for own in best.values()]
            errors = [
                [max(0.0, share - low) for share, (low, _) in zip(shares, bounds, strict=True)],
                [max(0.0, high - share) for share, (_, high) in zip(shares, bounds, strict=True)],
            ]
            left.errorbar(lengths, shares, errors, fmt="o-", markersize=4, linewidth=1.2, color=color, label=name)
            medians = [_median(own)[0] for own in best.values()]
            right.plot(
                lengths, [math.nan if math.isinf(one) else one for one in medians], "o-", color=color, label=name
            )
        for axes in (left, right):
            set_value_axis(axes, "steps of a sequence", [run["length"] for runs in measured.values() for run in runs])
            axes.grid(visible=True)
        set_share_axis(left, "runs solved")
        right.set_yscale("log")
        right.set_ylabel("median sequences to the solution")


def _published(length: int, runs: Rows, bound: float, is_long_enough: bool) -> Finding:
    """The published claim; an unsolved run counts against it only if it had as many updates as published."""
    words, solved = f"runs with {length} steps that psgd solves", _num_solved(runs)
    if is_long_enough:
        return share_at_least(words, [run["solved"] for run in runs], bound)
    interval = wilson_interval(solved, len(runs))[0], 1.0
    return at_least(f"share of {words}, within fewer updates than published", solved / len(runs), interval, bound)


def _by_length(runs: Rows) -> dict[int, Rows]:
    """Length, ascending -> the runs with its best setting: most solved runs, then the smallest median cost."""
    best: dict[int, Rows] = {}
    for length in sorted({run["length"] for run in runs}):
        own = [run for run in runs if run["length"] == length]
        groups = [[run for run in own if run["setting"] == setting] for setting in sorted({r["setting"] for r in own})]
        best[length] = min(groups, key=lambda group: (-_num_solved(group), _median(group)[0]))
    return best


def _num_solved(runs: Rows) -> int:
    return sum(run["solved"] for run in runs)


def _pooled(best: Mapping[int, Rows], lengths: Sequence[int]) -> tuple[int, int]:
    """Numbers of solved runs and of all runs with some lengths."""
    return sum(_num_solved(best[length]) for length in lengths), sum(len(best[length]) for length in lengths)


def _median(runs: Rows, measure: str = "sequences") -> tuple[float, tuple[float, float]]:
    """Median cost of a solution, infinite where fewer than half are solved, and its interval."""
    return median_interval([run[measure] if run["solved"] else math.inf for run in runs])


def _context(name: str, length: int, runs: Rows) -> list[Finding]:
    """The share that a method solves at a length, and its median costs."""
    what = f"{name}, {length} steps, {SETTINGS[name].removeprefix('optim.')} {runs[0]['setting']:g}"
    findings = [share_context(f"runs that are solved: {what}", [run["solved"] for run in runs], "not judged")]
    for measure in ("sequences", "seconds"):
        median, interval = _median(runs, measure)
        if math.isfinite(median):
            findings.append(context(f"median {measure}: {what}", median, interval, "not judged"))
    return findings
