"""Whether a penalty on vanishing gradients keeps the gradient's norm back through time, and solves more.

Letters: R nets, T steps, b sequences.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from typing_extensions import override

from rnnbench.experiments.base import Experiment, Measured
from rnnbench.experiments.nets import read_nets
from rnnbench.experiments.outcomes import measure_outcomes
from rnnbench.experiments.shares import Rows, difference
from rnnbench.experiments.study import Study
from rnnbench.experiments.trajectories import follow
from rnnbench.experiments.verdict import Finding, at_least, at_most, context, unjudged_share
from rnnbench.reports.drawing import COLORS, set_share_axis, set_value_axis
from rnnbench.reports.statistics import median_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEASURED = {"brief": "random", "orthogonal": "orthogonal"}
"""Sweep whose gradients are measured -> its initial recurrent matrices."""

COUNTED = ("long", "short")
"""Sweeps whose solved nets are counted."""

KEYS = {"weight": "optim.information_flow"}

Share = tuple[int, int]
"""Numbers of solved runs and of all runs."""


class InformationFlow(Experiment):
    """The claim that the penalty keeps the gradient, and that this helps to learn."""

    size = (9.0, 3.9)

    @override
    def measure(self, study: Study) -> Measured:
        measured: dict[str, Any] = {
            sweep: study.keep(sweep, partial(self._gradients, study, sweep)) for sweep in MEASURED
        }
        return measured | {sweep: measure_outcomes(study, sweep, KEYS) for sweep in COUNTED}

    def _gradients(self, study: Study, sweep: str) -> dict[str, Any]:
        """Measure ln |dL/dh_t| / |dL/dh_T| at every lag, mean over sequences, of each net."""
        logarithms, weights, solved = [], [], []
        for nets in read_nets(study.train(sweep)):
            seeds = [config.seed for config in nets.configs]
            gradients = follow(nets.task, nets.model, nets.theta, seeds, self.rule.settings["num_sequences"])
            norms = torch.linalg.vector_norm(gradients.state_gradients, dim=-1).log().flip(0)  # lag 0 first
            logarithms += (norms - norms[0]).mean(-1).T.tolist()
            weights += nets.values("optim.information_flow")
            solved += [summary.solved for summary in nets.summaries]
        return {"weight": weights, "logarithms": logarithms, "solved": solved}

    @override
    def judge(self, measured: Measured) -> Sequence[Finding]:
        thresholds, lag = self.rule.thresholds, self.rule.settings["lag"]
        factor, gain = math.log(thresholds["least_factor"]), thresholds["least_gain"]
        what = f"median ln of the increase of the norm at lag {lag} by the penalty"
        increases = {sweep: median_interval(self._increases(measured[sweep])) for sweep in MEASURED}
        long, short = (_solved(measured[sweep]) for sweep in COUNTED)
        lengths = [self.rule.settings[f"{key}_length"] for key in ("long", "control")]
        words = [f"share solved at T = {length}: penalty minus none" for length in lengths]
        findings = [
            at_least(what, *increases["brief"], factor),
            at_least(words[0], *difference(long[1], long[0]), gain),
            at_most(f"control: orthogonal matrices: {what}", *increases["orthogonal"], factor, "control"),
            at_most(f"control: {words[1]}", *difference(short[1], short[0]), gain, "control"),
        ]
        for sweep, matrices in MEASURED.items():
            for weight, own in zip(("none", "penalty"), self._at_lag(measured[sweep]), strict=True):
                median, interval = median_interval(own)
                what = f"{matrices} matrices, {weight}: median ln of the norm at lag {lag} over that at lag 0"
                findings.append(context(what, median, interval, "not judged"))
        for length, counts in zip(lengths, (long, short), strict=True):
            for weight, share in zip(("none", "penalty"), counts, strict=True):
                findings.append(unjudged_share(f"share solved at T = {length}: {weight}", share))
        return findings

    def _at_lag(self, nets: Mapping[str, Any]) -> tuple[list[float], list[float]]:
        """Return the logarithm at the lag of the claim, of the nets without and of those with the penalty."""
        values = [series[self.rule.settings["lag"]] for series in nets["logarithms"]]
        without, penalized = (
            [value for value, weight in zip(values, nets["weight"], strict=True) if (weight > 0) is with_penalty]
            for with_penalty in (False, True)
        )
        return without, penalized

    def _increases(self, nets: Mapping[str, Any]) -> list[float]:
        """Return, for each pair of nets from the same weights, the difference of the logarithms."""
        without, penalized = self._at_lag(nets)
        return [after - before for before, after in zip(without, penalized, strict=True)]

    @override
    def draw(self, figure: "Figure", measured: Measured) -> None:
        left, middle, right = figure.subplots(1, 3)
        for axes, (sweep, matrices) in zip((left, middle), MEASURED.items(), strict=True):
            nets = measured[sweep]
            for series, weight in zip(nets["logarithms"], nets["weight"], strict=True):
                axes.plot(series, color=COLORS[int(weight > 0)], linewidth=0.8, alpha=0.5)
            medians = [float(np.median(values)) for values in self._at_lag(nets)]
            axes.set(xlabel="lag T - t (steps)", ylabel="ln of |dL/dh_t| / |dL/dh_T|")
            axes.set_title(f"{matrices} matrices: {medians[0]:.3g} and {medians[1]:.3g}\nat lag "
                           f"{self.rule.settings['lag']}", fontsize="medium")  # fmt: skip
            axes.grid(visible=True)
        lengths = [self.rule.settings["control_length"], self.rule.settings["long_length"]]
        for at, label in enumerate(("no penalty", "penalty")):
            counts = [_solved(measured[sweep])[at] for sweep in ("short", "long")]
            shares = [solved / count for solved, count in counts]
            right.plot(lengths, shares, "o-", color=COLORS[at], markersize=4, label=label)
        set_value_axis(right, "sequence length T", lengths)
        set_share_axis(right, "nets that learn temporal order")
        long = _solved(measured["long"])
        right.set_title(f"{long[0][0]} and {long[1][0]} of {long[0][1]} solved\nat T = {lengths[1]}", fontsize="medium")


def _solved(runs: Rows) -> tuple[Share, Share]:
    """Return the numbers of solved and of all runs, without and with the penalty."""
    groups = ([run["solved"] for run in runs if (run["weight"] > 0) is penalty] for penalty in (False, True))
    without, penalized = ((sum(group), len(group)) for group in groups)
    return without, penalized
