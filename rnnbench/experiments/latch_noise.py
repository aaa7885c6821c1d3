"""Storing a bit in noise: the tolerated noise, the Jacobian at the stored state, and the gradient.

Letters: R nets, T steps, b sequences, n units, d inputs.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.diagnostics.jacobians import eigenvalues
from rnnbench.experiments.base import Experiment, Measured
from rnnbench.experiments.fits import fit_lines
from rnnbench.experiments.nets import Nets, read_nets
from rnnbench.experiments.study import Study
from rnnbench.experiments.trajectories import follow
from rnnbench.experiments.verdict import Finding, at_most, context, share_at_least
from rnnbench.models.cell import Cell
from rnnbench.reports.drawing import COLORS, FOREGROUND, set_share_axis, set_value_axis
from rnnbench.reports.statistics import rank_correlation
from rnnbench.tasks.base import Stream
from rnnbench.tasks.latch import Latch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETS_AT_ONCE = 300
"""Number of nets whose noisy sequences are in memory at once: 3 MB per net with 100 steps, 200 sequences, ten units."""

FORMS = {"one_unit": "one unit", "ten_units": "ten units"}

QUANTITIES = {
    "rate": "the rate of dL/dh_t",
    "state_radius": "|eigenvalue| at the stored state",
    "weight_radius": "|eigenvalue| of W",
}


class LatchNoise(Experiment):
    """The claim that a net stores a bit robustly only if its gradients vanish."""

    size = (9.6, 4.2)

    @override
    def measure(self, study: Study) -> Measured:
        measured = {}
        for sweep in (*FORMS, "control"):
            groups = [part for nets in read_nets(study.train(sweep)) for part in nets.split(NETS_AT_ONCE)]
            parts = [study.keep(f"{sweep}_{at}", partial(self._measure, nets)) for at, nets in enumerate(groups)]
            measured[sweep] = {name: [value for part in parts for value in part[name]] for name in parts[0]}
        return measured

    def _measure(self, nets: Nets) -> dict[str, Any]:
        """Measure nets of one batched run."""
        assert isinstance(nets.task, Latch)
        assert isinstance(nets.model, Cell)
        radius, stored = self._stored(nets)
        retention = torch.stack([self._retention(nets, noise) for noise in self.rule.settings["noises"]])
        weights = nets.model.parameters(nets.theta)["weight_hh"]
        return {
            "noise": [nets.task.noise] * len(nets.configs),
            "spectral_radius": nets.values("init.spectral_radius"),
            "solved": [summary.solved for summary in nets.summaries],
            "stored": stored.tolist(),
            "state_radius": radius.tolist(),
            "weight_radius": eigenvalues(weights)[:, 0].abs().tolist(),
            "withstood": self.withstood(retention).tolist(),
            "rate": self._rate(nets).tolist(),
        }

    def _stored(self, nets: Nets) -> tuple[Tensor, Tensor]:
        """Return the largest |eigenvalue| of the Jacobian at stable states, and whether they separate classes."""
        task = _task_of(nets, self.rule.settings["num_settling"], 0.0)
        inputs = torch.zeros(task.num_steps, len(nets.configs), 2, task.input_size, dtype=torch.float64)
        for step in range(task.num_positions):
            inputs[step, :, 0, step] = inputs[step, :, 1, task.num_positions + step] = 1
        state, outputs = _hold(nets, inputs)
        jacobians = nets.model.state_jacobians(nets.theta, state, inputs[-1])  # (R, 2, n, n)
        radius = eigenvalues(jacobians)[..., 0].abs().amax(1)
        return radius, (outputs[:, 0] > 0) & (outputs[:, 1] < 0)

    def _retention(self, nets: Nets, noise: float) -> Tensor:
        """Return the share of sequences with the correct sign after noise, (R,)."""
        settings = self.rule.settings
        task = _task_of(nets, settings["num_holding"], noise)
        seeds = [config.seed for config in nets.configs]
        batch = task.replica_batch(seeds, Stream.PROBE, 1, settings["num_sequences"], dtype=torch.float64)
        _, outputs = _hold(nets, batch.inputs)
        return 1 - task.misses(outputs.unsqueeze(-1).unsqueeze(0), batch).double().mean(1)

    def withstood(self, retention: Tensor) -> Tensor:
        """Return the largest noise with sufficient retention, linearly interpolated between tested levels, (R,).

        Args:
            retention: Share of correct sequences at each noise level, (noises, R).
        """
        bound, noises = self.rule.thresholds["least_retention"], [0.0, *self.rule.settings["noises"]]
        levels = []
        for shares in retention.T.tolist():
            points = [1.0, *shares] if shares[0] >= bound else [0.0, *shares]
            last = next((at for at, share in enumerate(points) if share < bound), len(points))
            if last in (0, len(points)):
                levels.append(0.0 if last == 0 else noises[-1])
                continue
            above, below = points[last - 1], points[last]
            part = (above - bound) / (above - below)
            levels.append(noises[last - 1] + part * (noises[last] - noises[last - 1]))
        return torch.tensor(levels, dtype=torch.float64)

    def _rate(self, nets: Nets) -> Tensor:
        """Measure the rate per step of ln ||dL/dh_t||, mean over sequences with the noise of the training, (R,)."""
        assert isinstance(nets.task, Latch)
        settings = self.rule.settings
        task = _task_of(nets, settings["gradient_length"], nets.task.noise)
        seeds = [config.seed for config in nets.configs]
        gradients = follow(task, nets.model, nets.theta, seeds, 20).state_gradients
        logarithms = torch.linalg.vector_norm(gradients, dim=-1).log().mean(-1)
        return fit_lines(logarithms.flip(0), *settings["lags"]).slope

    @override
    def judge(self, measured: Measured) -> Sequence[Finding]:
        bound, greatest = self.rule.thresholds["least_share"], self.rule.thresholds["greatest_rate"]
        claims, context_findings = [], []
        for form, words in FORMS.items():
            nets = _storing(measured[form])
            claims.append(self._correlation(nets, words, "rate"))
            robust = [
                rate <= greatest
                for rate, withstood, noise in zip(nets["rate"], nets["withstood"], nets["noise"], strict=True)
                if withstood >= noise
            ]
            claims.append(share_at_least(f"robust nets of {words} whose gradient vanishes", robust, bound))
            at_rest = self._correlation(nets, words, "state_radius")
            if form == "one_unit":
                claims.append(at_rest)
            else:
                context_findings.append(context(at_rest.what, at_rest.measured, at_rest.interval, "not judged"))
            of_weights = self._correlation(nets, words, "weight_radius")
            context_findings.append(context(of_weights.what, of_weights.measured, of_weights.interval, "not negative"))
        remaining = [rate > greatest for rate in measured["control"]["rate"]]
        return [
            *claims,
            share_at_least("linear units whose gradient does not vanish", remaining, bound, "control"),
            *context_findings,
        ]

    def _correlation(self, nets: Mapping[str, Any], words: str, name: str) -> Finding:
        """Return the rank correlation of a quantity of the nets with the noise that they tolerate."""
        value, interval = rank_correlation(nets[name], nets["withstood"])
        what = f"{words}: rank correlation of {QUANTITIES[name]} with the tolerated noise"
        return at_most(what, value, interval, self.rule.thresholds["greatest_correlation"])

    @override
    def draw(self, figure: "Figure", measured: Measured) -> None:
        left, middle, right = figure.subplots(1, 3)
        for color, (form, words) in zip(COLORS, FORMS.items(), strict=False):
            nets = _storing(measured[form])
            # As pixels: thousands of points make a large file.
            style = {"color": color, "markersize": 3.5, "alpha": 0.6, "linestyle": "none", "rasterized": True}
            left.plot(nets["state_radius"], nets["withstood"], marker="o", label=f"nets of {words}", **style)
            middle.plot(nets["rate"], nets["withstood"], marker="o", **style)
        control = measured["control"]
        middle.plot(control["rate"], control["withstood"], "s", color=FOREGROUND, markersize=4,
                    label="control: linear unit with w = 1")  # fmt: skip
        left.set(xlabel="|eigenvalue| of the Jacobian there", ylabel="noise withstood (standard deviation)",
                 title="Stored state")  # fmt: skip
        middle.set(xlabel="rate of ln |dL/dh_t| per step", title="Gradient")
        nets = measured["one_unit"]
        for color, noise in zip(COLORS[3:], sorted(set(nets["noise"])), strict=False):
            radii, shares = _success(nets, noise)
            right.plot(radii, shares, "o-", color=color, markersize=4, label=f"one unit, trained with noise {noise:g}")
        set_value_axis(right, "w before training", nets["spectral_radius"])
        right.tick_params(axis="x", labelsize=7)
        set_share_axis(right, "nets that learned the latch")
        right.set_title("Success rate")


def _task_of(nets: Nets, num_steps: int, noise: float) -> Latch:
    """Return the task of the nets with another length and noise."""
    task = nets.task
    assert isinstance(task, Latch)
    return Latch(num_steps, task.variant, task.num_positions, noise, task.num_noise_inputs)


def _hold(nets: Nets, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the last states (R, b, n) and readouts (R, b) of nets on inputs (T, R, b, d)."""
    assert isinstance(nets.model, Cell)
    parameters = nets.model.parameters(nets.theta)
    state = nets.model.initial_state(parameters, inputs.shape[2])
    for each in inputs:
        state = nets.model.step(parameters, state, each)
    outputs = state[0] @ parameters["weight_out"].mT + parameters["bias_out"].unsqueeze(1)
    return state[0], outputs[..., 0]


def _storing(nets: Mapping[str, Any]) -> dict[str, list[float]]:
    """Select the nets that learned the latch and whose stable states separate the classes."""
    stores = [solved and stored for solved, stored in zip(nets["solved"], nets["stored"], strict=True)]
    rows = [row for row, one in enumerate(stores) if one]
    return {name: [values[row] for row in rows] for name, values in nets.items()}


def _success(nets: Mapping[str, Any], noise: float) -> tuple[list[float], list[float]]:
    """Return the initial spectral radii, and for each the share of nets that learned the latch with a given noise."""
    radii = sorted(set(nets["spectral_radius"]))
    rows = zip(nets["noise"], nets["spectral_radius"], nets["solved"], strict=True)
    solved = [(radius, one) for own, radius, one in rows if own == noise]
    groups = [[one for own, one in solved if own == radius] for radius in radii]
    return radii, [sum(group) / len(group) for group in groups]
