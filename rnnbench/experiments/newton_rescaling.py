"""Newton's step compared with gradient descent, on the short-term and long-term parts of the gradient.

Letters: R nets, T steps, b sequences, n units, W the recurrent weights, n^2 of them.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.experiments.base import Experiment, Measured
from rnnbench.experiments.nets import Nets, read_nets
from rnnbench.experiments.study import Study
from rnnbench.experiments.trajectories import Trajectories, follow
from rnnbench.experiments.verdict import Finding, context, share_at_least
from rnnbench.linear_algebra import eigh
from rnnbench.losses import loss_of
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.reports.drawing import COLORS, FOREGROUND
from rnnbench.reports.statistics import median_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = {"nets": "many units", "control": "control: one unit"}


class NewtonRescaling(Experiment):
    """The claim that second-order steps enlarge small long-term parts of the gradient."""

    @override
    def measure(self, study: Study) -> Measured:
        measured = {}
        for sweep in KINDS:
            (nets,) = read_nets(study.train(sweep))
            measured[sweep] = study.keep(sweep, partial(self._measure, nets))
        return measured

    def _measure(self, nets: Nets) -> dict[str, Any]:
        settings = self.rule.settings
        seeds = [config.seed for config in nets.configs]
        trajectories = follow(nets.task, nets.model, nets.theta, seeds, settings["num_sequences"])
        parts = recurrent_parts(trajectories)  # (T, R, n n), by t = 1 .. T
        split = len(parts) - settings["least_lag"]
        long, short = parts[:split].sum(0), parts[split:].sum(0)
        matrix = recurrent_gauss_newton(nets, trajectories)
        values, vectors = eigh(matrix)
        damped = values + settings["damping"] * values[:, -1:]

        def newton(gradient: Tensor) -> Tensor:
            step: Tensor = (vectors @ ((vectors.mT @ gradient.unsqueeze(2)) / damped.unsqueeze(2))).squeeze(2)
            return step

        by_gradient = _norm(long) / _norm(short)
        by_newton = _norm(newton(long)) / _norm(newton(short))
        cosine = (long * short).sum(1) / (_norm(long) * _norm(short))
        return {
            "gradient_ratio": by_gradient.tolist(),
            "newton_ratio": by_newton.tolist(),
            "gain": (by_newton / by_gradient).tolist(),
            "cosine": cosine.tolist(),
        }

    @override
    def judge(self, measured: Measured) -> Sequence[Finding]:
        thresholds = self.rule.thresholds
        least, bound = thresholds["least_gain"], thresholds["least_share"]
        nets, control = measured["nets"], measured["control"]
        ratio = "ratio of the long-term to the short-term part"
        large = f"nets in which Newton's step increases the {ratio} at least {least:g} times"
        small = f"nets of one unit in which the increase is less than {least:g} times"
        return [
            share_at_least(large, [gain >= least for gain in nets["gain"]], bound),
            share_at_least(small, [gain < least for gain in control["gain"]], bound, "control"),
            _median(f"increase of the {ratio}, Newton's step / gradient descent", nets, "gain"),
            _median(f"{ratio}, gradient descent", nets, "gradient_ratio"),
            _median(f"{ratio}, Newton's step", nets, "newton_ratio"),
            _median("cosine between the two parts of the gradient", nets, "cosine"),
            _median("one unit: increase", control, "gain", "theory: 1"),
        ]

    @override
    def draw(self, figure: "Figure", measured: Measured) -> None:
        left, right = figure.subplots(1, 2)
        colors = dict(zip(KINDS, (COLORS[0], FOREGROUND), strict=True))
        ends = [value for kind in KINDS for value in measured[kind]["gradient_ratio"]]
        for kind, words in KINDS.items():
            nets, style = measured[kind], {"color": colors[kind], "markersize": 4, "alpha": 0.7, "linestyle": "none"}
            left.plot(nets["gradient_ratio"], nets["newton_ratio"], marker="o", label=words, **style)
            right.plot([abs(cosine) for cosine in nets["cosine"]], nets["gain"], marker="o", **style)
        left.plot([min(ends), max(ends)], [min(ends), max(ends)], color=FOREGROUND, linewidth=0.8)
        left.set(xscale="log", yscale="log", xlabel="gradient descent", ylabel="Newton's step",
                 title="Long part over short part of a step")  # fmt: skip
        right.set(yscale="log", xlabel="|cosine| between both parts of the gradient", ylabel="gain of Newton's step",
                  title="Gain against the angle between the parts")  # fmt: skip


def recurrent_parts(trajectories: Trajectories) -> Tensor:
    """Compute the contribution of each step t to the gradient of W, (T, R, n n), as a mean over the sequences."""
    inner = trajectories.preactivation_gradients()
    products = torch.einsum("trbi,trbj->trij", inner, trajectories.states[:-1]) / inner.shape[2]
    return products.flatten(2)


def recurrent_gauss_newton(nets: Nets, trajectories: Trajectories) -> Tensor:
    """Compute the block of W in the Gauss-Newton matrix of the trajectories' batch, (R, n n, n n)."""
    model = nets.model
    engine = Engine(model, 1, "cpu", torch.float64)
    operator = Objective(engine, loss_of(nets.task.loss), trajectories.batch).linearize(nets.theta)
    size = model.hidden_size**2
    columns = []
    for column in range(size):
        direction = torch.zeros_like(nets.theta)
        model.parameters(direction)["weight_hh"].flatten(1)[:, column] = 1
        product = operator.product(direction)
        columns.append(model.parameters(product)["weight_hh"].flatten(1))
    matrix = torch.stack(columns, 2)
    return (matrix + matrix.mT) / 2


def _norm(vectors: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(vectors, dim=1)
    return norm


def _median(what: str, nets: Mapping[str, Any], name: str, claimed: str = "not judged") -> Finding:
    value, interval = median_interval(nets[name])
    return context(f"median {what}", value, interval, claimed)
