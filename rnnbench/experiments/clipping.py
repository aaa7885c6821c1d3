"""Gradient clipping: a cliff in the loss of one unit, and runs with and without clipping."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from typing_extensions import override

from rnnbench.experiments import cliff
from rnnbench.experiments.base import Experiment, Measured
from rnnbench.experiments.nets import read_summaries
from rnnbench.experiments.shares import Rows, best_rate, by_rate, difference
from rnnbench.experiments.study import Study
from rnnbench.experiments.verdict import Finding, at_least, at_most, context, share_context, within
from rnnbench.reports.drawing import COLORS, FOREGROUND, set_share_axis, set_value_axis
from rnnbench.reports.statistics import wilson_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GRID = 80
"""Number of points of the drawn loss along each axis."""

METHODS = {"none": "without clipping", "norm": "norm clipped to 1", "value": "elements clipped to 0.1"}


class Clipping(Experiment):
    """The claim that clipping prevents gradient descent from being thrown off cliffs."""

    size = (9.0, 4.2)

    untrained_parts = ("cliff",)

    @override
    def measure(self, study: Study) -> Measured:
        measured: dict[str, Any] = {"cliff": study.keep("cliff", self._cliff)}
        for sweep in self.rule.sweeps:
            measured[sweep] = study.keep(sweep, partial(_outcomes, study, sweep))["runs"]
        return measured

    def _cliff(self) -> dict[str, Any]:
        settings = self.rule.settings
        steps, lr = settings["steps"], settings["descent_lr"]
        losses, gradients = cliff.loss_and_gradient(cliff.window(GRID), steps)
        norms = torch.linalg.vector_norm(gradients, dim=-1).flatten()
        starts = cliff.window(settings["starts"]).flatten(0, 1)
        without, clipped = (
            cliff.descend(starts, steps, settings["descent_steps"], lr, clip)
            for clip in (None, settings["descent_clip"])
        )
        middle = sum(cliff.WEIGHTS) / 2
        shown = int(torch.where(starts[:, 0] >= middle, without.longest, 0.0).argmax())
        return {
            "losses": losses.tolist(),
            "largest_gradient": float(norms.amax()),
            "median_gradient": float(norms.median()),
            "thrown": (without.longest > cliff.JUMP).tolist(),
            "longest_step_clipped": float(clipped.longest.amax()),
            "paths": {
                name: descents.paths[:, shown].tolist() for name, descents in (("none", without), ("norm", clipped))
            },
        }

    @override
    def judge(self, measured: Measured) -> Sequence[Finding]:
        thresholds = self.rule.thresholds
        best = {method: best_rate(_of_method(measured, method)) for method in METHODS}
        gain, gain_interval = difference(best["norm"], best["none"])
        kinds, kinds_interval = difference(best["value"], best["norm"])
        clipped = [*_of_method(measured, "norm"), *_of_method(measured, "value")]
        broken = sum(run["diverged"] for run in clipped)
        control = [best_rate(_clipped(measured["control"], clip)) for clip in (1.0, None)]
        easy, easy_interval = difference(*control)
        words = "share solved at the best learning rate"
        tolerance, least = thresholds["tolerance"], thresholds["least_gain"]
        norms = measured["cliff"]
        return [
            at_least(f"{words}: norm clipped minus no clipping", gain, gain_interval, least),
            within(f"{words}: elements clipped minus norm clipped", kinds, kinds_interval, (-tolerance, tolerance)),
            at_most(
                "share of runs with clipping that diverged",
                broken / len(clipped),
                wilson_interval(broken, len(clipped)),
                thresholds["greatest_failure"],
            ),
            at_most(f"control: {words}: norm clipped minus no clipping", easy, easy_interval, least, "control"),
            share_context(
                "runs without clipping that diverged or ended no better than chance",
                [run["lost"] for run in _of_method(measured, "none")],
                "not judged",
            ),
            share_context(
                "runs with clipping that diverged or ended no better than chance",
                [run["lost"] for run in clipped],
                "not judged",
            ),
            context(
                "one unit: largest gradient in the figure / median gradient",
                norms["largest_gradient"] / norms["median_gradient"],
                None,
                "very large",
            ),
            share_context("descents without clipping that are thrown off the cliff", norms["thrown"], "not judged"),
        ]

    @override
    def draw(self, figure: "Figure", measured: Measured) -> None:
        left, right = figure.subplots(1, 2)
        picture = measured["cliff"]
        losses = torch.tensor(picture["losses"]).clamp(min=1e-4).log10()
        left.contourf(
            torch.linspace(*cliff.WEIGHTS, GRID).tolist(),
            torch.linspace(*cliff.BIASES, GRID).tolist(),
            losses.T.tolist(),
            levels=12,
            cmap="Greys",
            alpha=0.6,
        )
        for color, method in zip(COLORS, METHODS, strict=False):
            if method in picture["paths"]:
                xs, ys = zip(*picture["paths"][method], strict=True)
                left.plot(xs, ys, "o-", color=color, markersize=2.5, linewidth=0.9)
                left.plot(xs[0], ys[0], "s", color=FOREGROUND, markersize=5)
        left.set(xlim=cliff.WEIGHTS, ylim=cliff.BIASES)
        left.set(xlabel="weight w", ylabel="bias b", title="Loss of one unit over 50 steps (darker: more)")
        for color, method in zip(COLORS, METHODS, strict=False):
            rates, shares = by_rate(_of_method(measured, method))
            right.plot(rates, shares, "o-", color=color, markersize=4, label=METHODS[method])
        set_value_axis(right, "learning rate", [run["lr"] for run in measured["norm"]])
        set_share_axis(right, "runs that solve the task")
        right.set_title(f"A bit over {self.rule.settings['sequence_length']} steps, relu units")


def _outcomes(study: Study, sweep: str) -> dict[str, Any]:
    """Return the outcome of each run of a sweep."""
    runs = []
    for summary in read_summaries(study.train(sweep)):
        optim = summary.config["optim"]
        diverged = summary.status == "diverged"
        runs.append(
            {
                "lr": optim["lr"],
                "clip_norm": optim["clip_norm"],
                "solved": summary.solved,
                "diverged": diverged,
                "lost": diverged or (summary.error_rate is not None and summary.error_rate > 0.45),
            }
        )
    return {"runs": runs}


def _of_method(measured: Measured, method: str) -> Rows:
    """Return the runs of a method."""
    return measured["value"] if method == "value" else _clipped(measured["norm"], None if method == "none" else 1.0)


def _clipped(runs: Rows, clip: float | None) -> Rows:
    return [run for run in runs if run["clip_norm"] == clip]
