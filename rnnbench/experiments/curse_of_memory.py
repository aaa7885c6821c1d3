"""Sensitivity of a linear unit's state to its recurrent weight, as its memory grows.

Letters: K recurrent weights, b sequences.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.experiments.base import Experiment, Measured
from rnnbench.experiments.fits import fit_lines
from rnnbench.experiments.study import Study
from rnnbench.experiments.verdict import Finding, at_most, context, within
from rnnbench.reports.drawing import COLORS, FOREGROUND
from rnnbench.reports.statistics import median_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLES_AT_ONCE = 5
"""Number of samples that are measured together, from the seed of the first; the pieces of an interrupted experiment."""

QUANTITIES = {
    "state": "E h^2",
    "sensitivity": "E (dh/dlambda)^2",
    "normalized": "E (dh/dlambda)^2, input scaled",
    "reparametrized": "E (dh/dnu)^2, input scaled",
}
"""Measured second moments, with their labels."""

THEORY = {"state": 1.0, "sensitivity": 3.0, "normalized": 2.0}
"""Slope of each moment against 1 / (1 - lambda^2), on logarithmic axes."""


class CurseOfMemory(Experiment):
    """The claim that outputs become more sensitive to the recurrent weights the longer a net remembers."""

    size = (6.4, 4.4)
    untrained_parts: ClassVar[Sequence[str]] = ("moments",)

    @override
    def measure(self, study: Study) -> Measured:
        first, end = self.rule.settings["first_seed"], self.rule.settings["end_seed"]
        pieces = [range(start, min(start + SAMPLES_AT_ONCE, end)) for start in range(first, end, SAMPLES_AT_ONCE)]
        parts = [study.keep(f"moments_{seeds[0]}", partial(self._moments, seeds)) for seeds in pieces]
        moments = {name: [row for part in parts for row in part["moments"][name]] for name in QUANTITIES}
        return {"memories": parts[0]["memories"], "moments": moments}

    def _moments(self, seeds: range) -> dict[str, Any]:
        """Measure the second moments at every memory, for one sample of the inputs of each seed."""
        settings = self.rule.settings
        shortest, longest = (math.log(memory) for memory in settings["memories"])
        memories = torch.linspace(shortest, longest, settings["num_memories"], dtype=torch.float64).exp()
        weights = (1 - 1 / memories).sqrt()
        # So many steps that a state's share from before the first is exp(-num_lives), also of the slowest unit.
        num_steps = math.ceil(settings["num_lives"] / (1 - float(weights[-1])))
        moments = second_moments(weights.repeat(len(seeds)), num_steps, settings["num_sequences"], seeds[0])
        by_sample = {name: values.view(len(seeds), -1).tolist() for name, values in moments.items()}
        return {"memories": memories.tolist(), "moments": by_sample}

    @override
    def judge(self, measured: Measured) -> Sequence[Finding]:
        tolerance, least = self.rule.thresholds["tolerance"], self.rule.thresholds["greatest_slope"]
        slopes = {name: median_interval(_slopes(measured, name)) for name in QUANTITIES}
        words = {name: f"slope of {label}, median over samples" for name, label in QUANTITIES.items()}
        claims = [
            within(words[name], *slopes[name], (THEORY[name] - tolerance, THEORY[name] + tolerance))
            for name in ("sensitivity", "state", "normalized")
        ]
        control = at_most(f"control: {words['reparametrized']}", *slopes["reparametrized"], least, "control")
        ratios = [_worst_ratio(measured, row) for row in range(len(measured["moments"]["state"]))]
        return [
            *claims,
            control,
            context("largest relative error of the closed forms", *median_interval(ratios), "not judged"),
        ]

    @override
    def draw(self, figure: "Figure", measured: Measured) -> None:
        axes, memories = figure.subplots(), measured["memories"]
        for color, (name, label) in zip(COLORS, QUANTITIES.items(), strict=False):
            means = torch.tensor(measured["moments"][name], dtype=torch.float64).mean(0)
            slope = median_interval(_slopes(measured, name))[0]
            axes.loglog(memories, means, "o", color=color, markersize=4, label=f"{label}: slope {slope:.2f}")
            if name in THEORY:
                expected = closed_forms(torch.tensor(memories, dtype=torch.float64))[name]
                axes.loglog(memories, expected, "-", color=FOREGROUND, linewidth=0.8)
        slope = median_interval(_slopes(measured, "sensitivity"))[0]
        title = f"Sensitivity of a linear unit grows as memory^{slope:.2f} (lines: closed forms)"
        axes.set(xlabel="memory 1 / (1 - lambda^2)", ylabel="second moment", title=title)
        axes.grid(visible=True)


def second_moments(weights: Tensor, num_steps: int, num_sequences: int, seed: int) -> Mapping[str, Tensor]:
    """Second moments of the last state of linear units and of its derivatives, over sequences of white noise.

    With nu the parameter, lambda = exp(-exp(nu)).

    Args:
        weights: Recurrent weights lambda, (K,), float64.
        num_steps: Number of steps.
        num_sequences: Number of sequences b of each unit.
        seed: Seed of the noise.

    Returns:
        (K,) for each of `QUANTITIES`.
    """
    generator, factor = torch.Generator().manual_seed(seed), weights.unsqueeze(1)
    state, derivative = torch.zeros(2, len(weights), num_sequences, dtype=torch.float64)
    for _ in range(num_steps):
        derivative = derivative.mul_(factor).add_(state)  # of lambda h + x with respect to lambda
        state = torch.randn(state.shape, generator=generator, dtype=torch.float64).addcmul_(state, factor)
    square, sensitivity = (values.square().mean(1) for values in (state, derivative))
    scaled = (1 - weights.square()) * sensitivity  # linear in the input, which is scaled by the root of this factor
    return {
        "state": square,
        "sensitivity": sensitivity,
        "normalized": scaled,
        "reparametrized": scaled * (weights * weights.log()).square(),
    }


def closed_forms(memories: Tensor) -> Mapping[str, Tensor]:
    """Second moments of stationary linear units, by their memories 1 / (1 - lambda^2), (K,).

    Source: Zucchet and Orvieto (2024), equations 5 and 6, for white inputs of variance 1.
    """
    factor = 2 - 1 / memories  # 1 + lambda^2
    return {"state": memories, "sensitivity": factor * memories**3, "normalized": factor * memories**2}


def _slopes(measured: Measured, name: str) -> list[float]:
    """Slope of the logarithm of a moment against that of the memory, for each sample."""
    moments = torch.tensor(measured["moments"][name], dtype=torch.float64).log().T  # (K, samples)
    logarithms = [math.log(memory) for memory in measured["memories"]]
    spacing = (logarithms[-1] - logarithms[0]) / (len(logarithms) - 1)
    slopes: list[float] = (fit_lines(moments, 0, len(moments) - 1).slope / spacing).tolist()
    return slopes


def _worst_ratio(measured: Measured, row: int) -> float:
    """Largest relative deviation of one sample's moments from their closed forms."""
    expected = closed_forms(torch.tensor(measured["memories"], dtype=torch.float64))
    moments = {name: torch.tensor(measured["moments"][name][row], dtype=torch.float64) for name in expected}
    return max(float((moments[name] / expected[name] - 1).abs().max()) for name in expected)
