"""Growth of small pushes (perturbations of the state) along eigenvectors of the Jacobian and along other directions.

Letters: R nets, T steps, b sequences, n units, v eigenvectors, s starts, k steps after a push.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.diagnostics.jacobians import (
    departure_from_normality,
    eigenvalue_log_growth,
    eigenvalues,
    leading_eigenvectors,
    push_log_growth,
)
from rnnbench.experiments.base import Experiment, Measured
from rnnbench.experiments.nets import Nets, read_nets
from rnnbench.experiments.study import Study
from rnnbench.experiments.trajectories import Trajectories, follow
from rnnbench.experiments.verdict import Finding, context, share_at_least, share_context
from rnnbench.linear_algebra import svd
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.reports.drawing import COLORS, FOREGROUND
from rnnbench.reports.statistics import median_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_DRAWN = 10
"""Number of linear nets of each kind whose curves are drawn."""

DRAWN_PUSHES = 6
"""Number of pushes of each tanh net that are drawn."""


class EigenvectorGrowth(Experiment):
    """The claim that eigenvalues predict the growth of a small push."""

    @override
    def measure(self, study: Study) -> Measured:
        linear = {}
        for at, nets in enumerate(read_nets(study.train("linear"))):
            linear[nets.configs[0].init.name] = study.keep(f"linear_{at}", partial(self._of_linear, nets))
        (nets,) = read_nets(study.train("tanh"))
        return {"linear": linear, "tanh": study.keep("tanh", partial(self._of_tanh, nets))}

    def _growth(self, trajectories: Trajectories, directions: Tensor) -> Tensor:
        """Measure ln(growth) of pushes at the starts, (k + 1, [v,] s, R, b), along directions ([v,] s, R, b, n)."""
        settings = self.rule.settings
        starts = torch.tensor(settings["starts"])

        def step(k: int, states: Tensor) -> Tensor:
            return _step(trajectories, states, trajectories.batch.inputs[starts + k])

        return push_log_growth(step, trajectories.states[starts], directions, settings["push"], settings["num_steps"])

    def _eigenvectors(self, nets: Nets) -> tuple[Trajectories, Tensor, Tensor, Tensor]:
        """Measure the growth of pushes along eigenvectors.

        Returns:
            The trajectories, the Jacobians at the starts (s, R, b, n, n), and the measured and the predicted growth,
            (k + 1, v, s, R, b) each.
        """
        settings = self.rule.settings
        seeds = [config.seed for config in nets.configs]
        trajectories = follow(nets.task, nets.model, nets.theta, seeds, settings["num_sequences"])
        starts = torch.tensor(settings["starts"])
        inputs = trajectories.batch.inputs[starts]
        jacobians = nets.model.state_jacobians(nets.theta, trajectories.states[starts], inputs)
        values, vectors = leading_eigenvectors(jacobians, settings["num_vectors"])
        growth = self._growth(trajectories, vectors)
        return trajectories, jacobians, growth, eigenvalue_log_growth(values, settings["num_steps"])

    def _of_linear(self, nets: Nets) -> dict[str, Any]:
        trajectories, jacobians, growth, predicted = self._eigenvectors(nets)
        departure = departure_from_normality(jacobians[0, :, 0], eigenvalues(jacobians[0, :, 0]))[1]
        leading = svd(jacobians)[2][..., 0, :]  # right singular vector, the direction that grows most in one step
        other = self._growth(trajectories, leading)[:, 0, :, 0]  # (k + 1, R)
        return {
            "error": (growth - predicted).abs().amax((0, 1, 2, 4)).tolist(),
            "departure": departure.tolist(),
            "predicted": predicted[:, 0, 0, :, 0].T.tolist(),
            "along_eigenvector": growth[:, 0, 0, :, 0].T.tolist(),
            "along_singular_vector": other.T.tolist(),
        }

    def _of_tanh(self, nets: Nets) -> dict[str, Any]:
        _, _, growth, predicted = self._eigenvectors(nets)
        last, predicted_last = (tensor[-1].movedim(2, 0).flatten(1) for tensor in (growth, predicted))  # (R, v s b)
        per_step = (last - predicted_last).abs() / self.rule.settings["num_steps"]
        return {
            "spectral_radius": nets.values("init.spectral_radius"),
            "agreement": self.agreement(last, predicted_last),
            "error_per_step": per_step.median(1).values.tolist(),
            "predicted": predicted_last[:, :DRAWN_PUSHES].tolist(),
            "growth": last[:, :DRAWN_PUSHES].tolist(),
        }

    def agreement(self, growth: Tensor, predicted: Tensor) -> list[float | None]:
        """Return the share of each net's pushes that grow or shrink as predicted.

        Args:
            growth: Measured ln(growth), (R, pushes).
            predicted: Predicted ln(growth), (R, pushes). Predictions close to 0 are not counted.

        Returns:
            One share per net; None: no prediction is counted.
        """
        counts = predicted.abs() >= self.rule.thresholds["least_change"]
        agree = (growth.sign() == predicted.sign()) & counts
        shares = (agree.sum(1) / counts.sum(1)).tolist()
        return [share if any_counts else None for share, any_counts in zip(shares, counts.any(1), strict=True)]

    @override
    def judge(self, measured: Measured) -> Sequence[Finding]:
        thresholds, linear, tanh = self.rule.thresholds, measured["linear"], measured["tanh"]
        bound = thresholds["least_share"]
        exact = [error <= thresholds["tolerance"] for nets in linear.values() for error in nets["error"]]
        agree = [share >= thresholds["least_agreement"] for share in tanh["agreement"] if share is not None]
        error, interval = median_interval(tanh["error_per_step"])
        what = "tanh nets: |ln growth - k ln |lambda|| / k, median over pushes and nets"
        return [
            share_at_least("tanh nets in which pushes grow or shrink as the eigenvalues predict", agree, bound),
            share_at_least("linear nets whose pushes grow by |lambda|^k exactly", exact, bound),
            share_at_least(
                "non-normal nets in which a push along another direction grows",
                _expands(linear["gaussian"]),
                bound,
                "control",
            ),
            share_context(
                "normal (orthogonal) nets in which such a push grows", _expands(linear["orthogonal"]), "theory: 0"
            ),
            context(what, error, interval, "not judged"),
        ]

    @override
    def draw(self, figure: "Figure", measured: Measured) -> None:
        left, right = figure.subplots(1, 2)
        steps = range(self.rule.settings["num_steps"] + 1)
        for color, (kind, words) in zip(COLORS, (("gaussian", "not normal"), ("orthogonal", "normal")), strict=False):
            nets = measured["linear"][kind]
            for row in range(min(NUM_DRAWN, len(nets["error"]))):
                label = f"linear, {words}: along the leading singular vector" if row == 0 else None
                left.plot(steps, nets["along_singular_vector"][row], color=color, linewidth=1, alpha=0.7, label=label)
        for row, series in enumerate(measured["linear"]["gaussian"]["along_eigenvector"][:NUM_DRAWN]):
            label = "linear: along the leading eigenvector" if row == 0 else None
            left.plot(steps, series, "--", color=FOREGROUND, linewidth=1, label=label)
        left.set(xlabel="steps after the push", ylabel="ln growth of the push", title="All |lambda| at most 0.9")
        tanh = measured["tanh"]
        ends = [value for row in tanh["predicted"] for value in row]
        for color, radius in zip(COLORS[2:], sorted(set(tanh["spectral_radius"])), strict=False):
            rows = [row for row, value in enumerate(tanh["spectral_radius"]) if value == radius]
            points = ([value for row in rows for value in tanh[name][row]] for name in ("predicted", "growth"))
            # As pixels: thousands of points make a large file.
            right.plot(*points, "o", color=color, markersize=2.5, alpha=0.5, rasterized=True,
                       label=f"tanh, from radius {radius:g}")  # fmt: skip
        right.plot([min(ends), max(ends)], [min(ends), max(ends)], color=FOREGROUND, linewidth=0.8)
        right.axhline(0, color=FOREGROUND, linewidth=0.5)
        right.axvline(0, color=FOREGROUND, linewidth=0.5)
        count = self.rule.settings["num_steps"]
        right.set(xlabel=f"{count} ln |lambda| at the push", ylabel=f"ln growth after {count} steps",
                  title="Trained nets, along eigenvectors")  # fmt: skip


def _expands(nets: Mapping[str, Any]) -> list[bool]:
    """Return for each net whether a push along the leading singular vector ever exceeds its initial size."""
    return [max(series[1:]) > 0 for series in nets["along_singular_vector"]]


def _step(trajectories: Trajectories, states: Tensor, inputs: Tensor) -> Tensor:
    """Compute one step of the net from states (..., s, R, b, n) with inputs (s, R, b, d)."""
    model = trajectories.model
    assert isinstance(model, SimpleRnn)
    p = model.parameters(trajectories.theta)
    after = states @ p["weight_hh"].mT + (inputs @ p["weight_ih"].mT + p["bias"].unsqueeze(1))
    model.nonlinearity.forward(after, after)
    return after
