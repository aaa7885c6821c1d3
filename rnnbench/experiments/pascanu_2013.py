"""Temporal order by gradient descent, with clipping, and with a penalty (Pascanu, Mikolov and Bengio 2013).

Letters: R nets, T steps, b sequences.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from typing_extensions import override

from rnnbench.experiments.base import Experiment, Measured
from rnnbench.experiments.nets import Nets, read_nets
from rnnbench.experiments.outcomes import measure_outcomes
from rnnbench.experiments.shares import Rows, best_rate, difference
from rnnbench.experiments.study import Study
from rnnbench.experiments.verdict import Finding, at_least, at_most, unjudged_share
from rnnbench.losses import loss_of
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.reports.drawing import COLORS, set_share_axis, set_value_axis
from rnnbench.reports.statistics import wilson_interval
from rnnbench.tasks.base import Stream
from rnnbench.tasks.temporal_order import TemporalOrder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

JUDGED = {"basic_tanh": "basic tanh", "smart_tanh": "smart tanh"}

INITS = {**JUDGED, "sigmoid": "sigmoid"}

METHODS = {"plain": "gradient descent", "clipped": "with clipping", "penalty": "with clipping and penalty"}

KEYS = {"length": "task.sequence_length", "clip": "optim.clip_norm", "lr": "optim.lr"}

SOLVED_ERROR_RATE = 0.01

Share = tuple[int, int]
"""Numbers of solved runs and of all runs."""


class Pascanu2013(Experiment):
    """The claim that the penalty solves temporal order where clipping alone does not."""

    size = (9.0, 3.9)

    @override
    def measure(self, study: Study) -> Measured:
        measured: dict[str, Any] = {}
        for sweep in self.rule.sweeps:
            measured[sweep] = measure_outcomes(study, sweep, KEYS)
            if sweep.endswith("_penalty"):
                measured[f"{sweep}_longer"] = study.keep(f"{sweep}_longer", partial(self._longer, study, sweep))
        return measured

    def _longer(self, study: Study, sweep: str) -> dict[str, Any]:
        """Measure the error rates, on longer sequences, of the nets that solve the longest they were trained on."""
        settings, rates = self.rule.settings, {}
        for nets in read_nets(study.train(sweep)):
            assert isinstance(nets.task, TemporalOrder)
            if nets.task.sequence_length == settings["sequence_length"]:
                solved = [row for row, summary in enumerate(nets.summaries) if summary.solved]
                for length in settings["longer"]:
                    errors = _error_rates(nets, length, settings["num_sequences"])
                    rates[str(length)] = [errors[row] for row in solved]
        return {"error_rates": rates}

    @override
    def judge(self, measured: Measured) -> Sequence[Finding]:
        settings, thresholds = self.rule.settings, self.rule.thresholds
        longest, shortest = settings["sequence_length"], settings["control_length"]
        claims, controls, shown = [], [], []
        for init, words in INITS.items():
            at = {length: _shares(measured, init, length) for length in _lengths(measured, init)}
            if init in JUDGED:
                what = f"{words}: share solved at T = {longest}"
                gain = difference(at[longest]["penalty"], at[longest]["clipped"])
                claims.append(at_least(f"{what}: penalty minus clipping alone", *gain, thresholds["least_gain"]))
                for method in ("plain", "clipped"):
                    solved, count = at[longest][method]
                    share, interval = solved / count, wilson_interval(solved, count)
                    claims.append(at_most(f"{what}: {METHODS[method]}", share, interval, thresholds["greatest_share"]))
                easy = difference(at[shortest]["penalty"], at[shortest]["clipped"])
                what = f"control: {words}: share solved at T = {shortest}: penalty minus clipping alone"
                controls.append(at_most(what, *easy, thresholds["least_gain"], "control"))
            for length, shares in at.items():
                for method, counts in shares.items():
                    what = f"{words}: share solved at T = {length}: {METHODS[method]}"
                    shown.append(unjudged_share(what, counts))
            shown += self._of_longer(measured, init)
        return [*claims, *controls, *shown]

    def _of_longer(self, measured: Measured, init: str) -> list[Finding]:
        """Return the share of the nets that solve longer sequences than those that they were trained on."""
        findings, trained = [], self.rule.settings["sequence_length"]
        for length, rates in measured[f"{init}_penalty_longer"]["error_rates"].items():
            if not rates:
                continue
            solved = sum(rate < SOLVED_ERROR_RATE for rate in rates)
            what = f"{INITS[init]}: share of the nets that solve T = {trained} that solve T = {length} too"
            findings.append(unjudged_share(what, (solved, len(rates))))
        return findings

    @override
    def draw(self, figure: "Figure", measured: Measured) -> None:
        for axes, (init, words) in zip(figure.subplots(1, 3, sharey=True), INITS.items(), strict=True):
            lengths = _lengths(measured, init)
            for at, (method, label) in enumerate(METHODS.items()):
                counts = [_shares(measured, init, length)[method] for length in lengths]
                shares = [solved / count for solved, count in counts]
                bounds = [wilson_interval(*each) for each in counts]
                errors = [
                    [max(0.0, share - low) for share, (low, _) in zip(shares, bounds, strict=True)],
                    [max(0.0, high - share) for share, (_, high) in zip(shares, bounds, strict=True)],
                ]
                places = [length * 1.03 ** (at - 1) for length in lengths]
                axes.errorbar(places, shares, errors, fmt="o-", color=COLORS[at], markersize=4, capsize=2, label=label)
            axes.set_xscale("log")
            set_value_axis(axes, "sequence length T", lengths)
            set_share_axis(axes, "nets that solve temporal order")
            solved, count = _shares(measured, init, lengths[-1])["penalty"]
            axes.set_title(f"{words}\n{solved} of {count} at T = {lengths[-1]} with the penalty", fontsize="medium")


def _lengths(measured: Measured, init: str) -> list[int]:
    """Return the sequence lengths of an initialization's runs, ascending."""
    return sorted({run["length"] for run in measured[f"{init}_penalty"]})


def _shares(measured: Measured, init: str, length: int) -> dict[str, Share]:
    """Return the share solved by each method."""
    runs: Rows = [run for run in measured[f"{init}_sgd"] if run["length"] == length]
    return {
        "plain": best_rate([run for run in runs if run["clip"] is None]),
        "clipped": best_rate([run for run in runs if run["clip"] is not None]),
        "penalty": best_rate([run for run in measured[f"{init}_penalty"] if run["length"] == length]),
    }


def _error_rates(nets: Nets, length: int, count: int) -> list[float]:
    """Return the error rate of each net on sequences of another length."""
    assert isinstance(nets.task, TemporalOrder)
    task = TemporalOrder(length, nets.task.variant, nets.task.num_symbols)
    seeds = [config.seed for config in nets.configs]
    batch = task.replica_batch(seeds, Stream.PROBE, 0, count)
    objective = Objective(Engine(nets.model, 1, "cpu", torch.float32), loss_of(task.loss), batch)
    rates: list[float] = task.misses(objective.outputs(nets.theta.float()), batch).double().mean(1).tolist()
    return rates
