"""First and second derivatives with respect to variables far from the loss: the initial state, and W at one step.

Letters: R nets, T steps, t a step, W the recurrent weights.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.experiments.base import Experiment, Measured
from rnnbench.experiments.far_derivatives import by_initial_state, by_weight_copies
from rnnbench.experiments.fits import fit_lines
from rnnbench.experiments.nets import Nets, read_nets
from rnnbench.experiments.study import Study
from rnnbench.experiments.trajectories import Trajectories, follow
from rnnbench.experiments.verdict import Finding, context, share_at_least, share_context
from rnnbench.losses import loss_of
from rnnbench.reports.drawing import COLORS, FOREGROUND
from rnnbench.reports.statistics import median_interval
from rnnbench.tasks.adding import Adding

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VARIABLES = {"initial_state": "h_0", "weight_copy": "one step's W"}
ORDERS = {"gradient": "gradient", "hessian": "Hessian", "gauss_newton": "Gauss-Newton matrix"}

NUM_DRAWN = 4
"""Number of nets of each spectral radius whose curves are drawn."""


class DerivativesTogether(Experiment):
    """The claim that second derivatives vanish at the same time as first derivatives."""

    @override
    def measure(self, study: Study) -> Measured:
        measured = {}
        for sweep in ("nets", "control"):
            (nets,) = read_nets(study.train(sweep))
            measured[sweep] = study.keep(sweep, partial(self._measure, nets))
        return measured

    def _measure(self, nets: Nets) -> dict[str, Any]:
        """Measure the rate per step of each derivative of each net, and the curves of some nets."""
        distances, loss = self._distances(), loss_of(nets.task.loss)
        longest = self._follow(nets, distances[-1] + self.rule.settings["num_settling"])
        sizes = {
            "initial_state": [by_initial_state(self._follow(nets, length), loss).log_sizes() for length in distances],
            "weight_copy": [each.log_sizes() for each in by_weight_copies(longest, loss, distances)],
        }
        curves = {
            name: {order: torch.stack([of_one[order] for of_one in of_all]) for order in ORDERS}  # (distances, R)
            for name, of_all in sizes.items()
        }
        end = self.rule.settings["first_seed"] + NUM_DRAWN
        drawn = [row for row, config in enumerate(nets.configs) if config.seed < end]
        return {
            "rates": {
                name: {order: self._rates(series) for order, series in of_variable.items()}
                for name, of_variable in curves.items()
            },
            "curves": {order: series[:, drawn].T.tolist() for order, series in curves["initial_state"].items()},
        }

    def _distances(self) -> list[int]:
        settings = self.rule.settings
        return list(range(settings["first_distance"], settings["last_distance"] + 1, settings["spacing"]))

    def _rates(self, series: Tensor) -> list[float]:
        """Fit the slope per step of each net's logarithms, (distances, R)."""
        rates: list[float] = (fit_lines(series, 0, len(series) - 1).slope / self.rule.settings["spacing"]).tolist()
        return rates

    def _follow(self, nets: Nets, length: int) -> Trajectories:
        """Run the nets on their task with another sequence length."""
        assert isinstance(nets.task, Adding)
        seeds = [config.seed for config in nets.configs]
        task = Adding(length, nets.task.variant)
        return follow(task, nets.model, nets.theta, seeds, self.rule.settings["num_sequences"])

    @override
    def judge(self, measured: Measured) -> Sequence[Finding]:
        bound, nets, control = self.rule.thresholds["least_share"], measured["nets"], measured["control"]
        claims, controls, context_findings = [], [], []
        for name, words in VARIABLES.items():
            ratios, of_control = (self._ratios(each["rates"][name]) for each in (nets, control))
            claims += [
                share_at_least(
                    f"nets whose Hessian with respect to {words} vanishes at the rate of the gradient",
                    [self._is_first_order(ratio) for ratio in ratios["hessian"]],
                    bound,
                ),
                share_at_least(
                    f"nets whose Gauss-Newton matrix with respect to {words} vanishes at twice that rate",
                    [self._is_second_order(ratio) for ratio in ratios["gauss_newton"]],
                    bound,
                ),
            ]
            controls.append(
                share_at_least(
                    f"linear nets whose Hessian with respect to {words} does not vanish at the rate of the gradient",
                    [not self._is_first_order(ratio) for ratio in of_control["hessian"]],
                    bound,
                    "control",
                )
            )
            over = "/ rate of the gradient"
            context_findings += [
                _median(f"{words}: rate of the Hessian {over}", ratios["hessian"], "book: 1"),
                _median(f"{words}: rate of the Gauss-Newton matrix {over}", ratios["gauss_newton"], "theory: 2"),
                _median(f"{words}, linear nets: rate of the Hessian {over}", of_control["hessian"], "theory: 2"),
            ]
        vanishing = [self._vanishes(rate) for rate in nets["rates"]["initial_state"]["gradient"]]
        context_findings.append(
            share_context("nets whose gradient with respect to h_0 vanishes", vanishing, "not judged")
        )
        return [*claims, *controls, *context_findings]

    def _vanishes(self, rate: float) -> bool:
        """Whether a gradient shrinks fast enough for ratios to its rate to be meaningful."""
        return rate <= self.rule.thresholds["greatest_rate"]

    def _ratios(self, rates: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
        """Return the ratios of rates, second derivative to gradient, of the nets whose gradient vanishes."""
        return {
            order: [
                rate / of_gradient
                for rate, of_gradient in zip(rates[order], rates["gradient"], strict=True)
                if self._vanishes(of_gradient)
            ]
            for order in ("hessian", "gauss_newton")
        }

    def _is_first_order(self, ratio: float) -> bool:
        return abs(ratio - 1) < self.rule.thresholds["hessian_tolerance"]

    def _is_second_order(self, ratio: float) -> bool:
        return abs(ratio - 2) <= self.rule.thresholds["gauss_newton_tolerance"]

    @override
    def draw(self, figure: "Figure", measured: Measured) -> None:
        nets, control = measured["nets"], measured["control"]
        left, right = figure.subplots(1, 2)
        distances = self._distances()
        colors = dict(zip(ORDERS, COLORS, strict=False))
        for order, color in colors.items():
            for values in nets["curves"][order]:
                left.plot(distances, values, color=color, alpha=0.6, linewidth=0.9)
            left.plot([], [], color=color, label=ORDERS[order])
        for name, marker in zip(VARIABLES, "ov", strict=True):
            for order in ("hessian", "gauss_newton"):
                style = {"marker": marker, "markersize": 4, "alpha": 0.6, "linestyle": "none"}
                rates = nets["rates"][name]
                right.plot(rates["gradient"], rates[order], color=colors[order], **style)
        rates = control["rates"]["initial_state"]
        right.plot(rates["gradient"], rates["hessian"], "s", color=FOREGROUND, markersize=3.5,
                   label="control: Hessian of linear nets")  # fmt: skip
        least = min(nets["rates"]["initial_state"]["gradient"])
        sides: Any = {1: ("the gradient's rate", (-8, 8), "right"), 2: ("twice the gradient's rate", (10, -10), "left")}
        for factor, (words, offset, side) in sides.items():
            right.plot([least, 0], [factor * least, 0], color=FOREGROUND, linewidth=0.8, alpha=0.5)
            place = least / 2, factor * least / 2
            right.annotate(words, place, offset, textcoords="offset points", ha=side)
        left.set(xlabel="T (steps)", ylabel="ln of the norm", title="Derivatives by h_0, a line for each net")
        right.set(xlabel="gradient's rate of ln per step", ylabel="second derivative's rate of ln per step",
                  title="h_0 (circles) and one step's W (triangles)")  # fmt: skip


def _median(what: str, values: Sequence[float], claimed: str) -> Finding:
    if not values:
        return context(f"median over nets, {what}", None, None, claimed)
    return context(f"median over nets, {what}", *median_interval(values), claimed)
