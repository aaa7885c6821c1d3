"""Hessian-free on the problems of Martens and Sutskever (2011) against the sequence length, from recorded runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from rnnbench.config.errors import ConfigError
from rnnbench.experiments.base import Experiment, Measured
from rnnbench.experiments.study import Study
from rnnbench.experiments.verdict import Finding, at_least, at_most, context
from rnnbench.paths import conf_dir
from rnnbench.reports.drawing import COLORS, set_value_axis
from rnnbench.reports.run_table import read_table
from rnnbench.reports.statistics import median_interval, wilson_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LENGTH, PROBLEM, OPTIMIZER = "task.sequence_length", "task.name", "optim.name"

Runs = Sequence[Mapping[str, Any]]
"""Runs, each with its `problem`, `length`, `optimizer`, whether it is `solved`, and the `sequences` until then."""


class MartensSutskever2011(Experiment):
    """The claim that Hessian-free solves problems that gradient descent does not solve."""

    size = (9.0, 4.2)

    @override
    def measure(self, study: Study) -> Measured:
        # Not stored in the folder of the experiment: the records may have grown since then.
        folder = conf_dir().parent
        records = folder / self.rule.settings["records"]
        tables = sorted(records.glob("T*.csv"))
        longest, lengths = self.rule.settings["longest"], self.rule.settings["control_lengths"]
        problems = self.rule.settings["problems"]
        runs = [run for table in tables for run in _read(table) if run["length"] <= longest]
        runs = [run for run in runs if run["problem"] in problems]
        if not runs:
            needed = f"the records {self.rule.settings['records']} of a checkout, with runs of at most T = {longest}"
            raise ConfigError(f"{self.rule.name} needs {needed}")
        control = [run for run in _read(folder / self.rule.settings["first_order"]) if run["length"] in lengths]
        return {"runs": runs, "control": control}

    @override
    def judge(self, measured: Measured) -> Sequence[Finding]:
        runs, thresholds = measured["runs"], self.rule.thresholds
        claims, shown = [], []
        for length in reversed(_values(runs, "length")):
            share, interval = _share([run for run in runs if run["length"] == length])
            what = f"share of runs solved at T = {length}, all problems"
            claims.append(at_least(what, share, interval, thresholds["least_share"]))
            for problem, own in _by_problem(runs, length).items():
                shown.append(context(f"{problem}: share solved at T = {length}", *_share(own), "not judged"))
        first_order = [run for run in measured["control"] if run["optimizer"] != "hf"]
        what = "control: share of runs solved by Nesterov momentum and gradient descent, adding"
        control = at_most(what, *_share(first_order), thresholds["greatest_share"], "control")
        of_hf = _share([run for run in measured["control"] if run["optimizer"] == "hf"])
        beside = context("adding, as in the control: share solved by Hessian-free", *of_hf, "not judged")
        return [*claims, control, beside, *shown]

    @override
    def draw(self, figure: "Figure", measured: Measured) -> None:
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.1))
        runs, lengths = measured["runs"], _values(measured["runs"], "length")
        problems = sorted(_values(runs, "problem"))
        _draw_shares(left, runs, problems, lengths)
        for color, problem in zip(COLORS * 2, problems, strict=False):
            own = {length: _by_problem(runs, length).get(problem, []) for length in lengths}
            medians = {length: median_interval(_costs(each))[0] for length, each in own.items() if each}
            reached = {length: cost for length, cost in medians.items() if np.isfinite(cost)}
            right.plot(list(reached), list(reached.values()), "o-", color=color, markersize=4, linewidth=1)
            if reached:
                right.annotate(problem, list(reached.items())[-1], (5, -2), textcoords="offset points", fontsize=6)
        right.set_yscale("log")
        set_value_axis(right, "sequence length T", lengths)
        right.margins(x=0.25)
        right.set(ylabel="sequences, products included")
        right.set_title("Median cost of a solution", fontsize="medium")
        right.grid(visible=True)


def _read(table: Path) -> Runs:
    """Read a table of runs.

    Raises:
        ConfigError: A run has not ended.
        RecordError: The table is missing or damaged.
    """
    rows = []
    for run in read_table(table):
        if not run.has_ended:
            raise ConfigError(f"{table}: the run {run.folder} is {run.outcome}")
        row = {"problem": run.fields[PROBLEM], "length": run.fields[LENGTH], "optimizer": run.fields[OPTIMIZER]}
        solved = run.outcome == "solved"
        rows.append({**row, "solved": solved, "sequences": run.time("sequences") if solved else None})
    return rows


def _values(runs: Runs, name: str) -> list[Any]:
    """Return the values of an entry, ascending."""
    return sorted({run[name] for run in runs})


def _by_problem(runs: Runs, length: int) -> dict[str, Runs]:
    """Return the runs of a length by their problem."""
    own = [run for run in runs if run["length"] == length]
    return {problem: [run for run in own if run["problem"] == problem] for problem in _values(own, "problem")}


def _share(runs: Runs) -> tuple[float, tuple[float, float]]:
    """Return the share of solved runs with its interval."""
    solved = sum(run["solved"] for run in runs)
    return solved / len(runs), wilson_interval(solved, len(runs))


def _costs(runs: Runs) -> list[float]:
    """Return the number of sequences until each run was solved; infinite: it was not."""
    return [run["sequences"] if run["solved"] else np.inf for run in runs]


def _draw_shares(axes: "Axes", runs: Runs, problems: Sequence[str], lengths: Sequence[int]) -> None:
    """Draw a table of the runs solved, colored by the share."""
    shares = np.full((len(problems), len(lengths)), np.nan)
    for column, length in enumerate(lengths):
        for problem, own in _by_problem(runs, length).items():
            row = problems.index(problem)
            shares[row, column], _ = _share(own)
            solved = sum(run["solved"] for run in own)
            axes.text(column, row, f"{solved} of {len(own)}", ha="center", va="center", fontsize=7, color="black")
    axes.imshow(shares, cmap="RdYlGn", vmin=0, vmax=1, aspect="auto", alpha=0.7)
    axes.set_xticks(range(len(lengths)), [str(length) for length in lengths])
    axes.set_yticks(range(len(problems)), problems, fontsize=7)
    axes.set(xlabel="sequence length T")
    solved = sum(run["solved"] for run in runs)
    axes.set_title(f"Hessian-free: {solved} of {len(runs)} runs solved", fontsize="medium")
