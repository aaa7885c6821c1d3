"""Optimizers of today on problems of long memory: each tuned equally on each problem, its best setting confirmed."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from rnnbench.experiments.base import Experiment, Measured
from rnnbench.experiments.study import Study
from rnnbench.experiments.verdict import Finding, share_at_least, share_context
from rnnbench.records.tuning import CONFIRMATION, SEARCH, read_tuning
from rnnbench.reports.drawing import COLORS, FOREGROUND, set_share_axis
from rnnbench.reports.optimizer_charts import profile_corners
from rnnbench.reports.runs import Measure
from rnnbench.reports.statistics import performance_profile, wilson_interval
from rnnbench.sweeps.closing import group_of, outcomes_of
from rnnbench.sweeps.plan import read_plan
from rnnbench.sweeps.tuning import best_of, trials_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COSTS: tuple[Measure, ...] = ("sequences", "seconds")
MODELS: Mapping[str, Sequence[str]] = {"rnn": (), "lstm": ("model=lstm", "init=gaussian")}
"""Net, which is also the setting with its problems -> its arguments of `rnnbench tune`."""


class Optimizers2026(Experiment):
    """The claim that the optimizers of today solve problems that sgd and Adam do not."""

    size = (15.0, 6.0)

    @property
    @override
    def parts(self) -> Sequence[str]:
        return list(self._tunings())

    def _problems(self) -> dict[str, list[str]]:
        """Problem -> its arguments of `rnnbench tune`."""
        settings, problems = self.rule.settings, {}
        for model in MODELS:
            for name in settings[model]:
                task, _, length = name.rpartition("_")
                words = [f"task={task}", f"task.sequence_length={length}", *MODELS[model]]
                problems[name if model == "rnn" else f"{name}_{model}"] = words
        return problems

    def _tunings(self) -> dict[str, list[str]]:
        """Name of every tuning -> its arguments."""
        settings, tunings = self.rule.settings, {}
        for problem, words in self._problems().items():
            for optimizer in settings["optimizers"]:
                own = settings["hf" if optimizer == "hf" else "first_order"]
                tunings[_name(optimizer, problem)] = [*words, f"optim={optimizer}", *settings["common"], *own]
        return tunings

    @override
    def measure(self, study: Study) -> Measured:
        trials = self.rule.settings["trials"]

        def tune(name: str, words: Sequence[str]) -> dict[str, Any]:
            return outcome_of(study.tune(name, words, trials))

        return {
            "tunings": {name: study.keep(name, partial(tune, name, words)) for name, words in self._tunings().items()}
        }

    @override
    def judge(self, measured: Measured) -> Sequence[Finding]:
        settings, thresholds = self.rule.settings, self.rule.thresholds
        usual, optimizers = settings["usual"], settings["optimizers"]
        new = [name for name in settings["new"] if name in optimizers]
        solved = {
            problem: {each: _is_solved(measured["tunings"][_name(each, problem)]) for each in optimizers}
            for problem in self._problems()
        }
        hard = [own for own in solved.values() if not any(own[name] for name in usual)]
        easiest = {_task(name): name for name in reversed(solved)}.values()
        return [
            share_at_least(
                f"problems that neither {' nor '.join(usual)} solves that are solved by {', '.join(new)}",
                [any(own[name] for name in new) for own in hard],
                thresholds["least_share"],
            ),
            share_at_least(
                f"easiest problems that {' or '.join(usual)} solves",
                [any(solved[problem][name] for name in usual) for problem in easiest],
                thresholds["least_easy"],
                "control",
            ),
            *(
                share_context(f"problems that {name} solves", [own[name] for own in solved.values()], "not judged")
                for name in optimizers
            ),
        ]

    @override
    def draw(self, figure: "Figure", measured: Measured) -> None:
        left, right = figure.subplots(1, 2, width_ratios=(3, 1))
        tunings, optimizers, problems = measured["tunings"], self.rule.settings["optimizers"], list(self._problems())
        _draw_map(left, tunings, optimizers, problems)
        costs = {
            name: [_or_infinite(tunings[_name(name, problem)]["sequences"]) for problem in problems]
            for name in optimizers
        }
        profile = performance_profile(costs)
        end = 1.1 * max([2.0, *(factor for steps in profile.values() for factor, _ in steps)])
        for (name, steps), color in zip(profile.items(), [*COLORS, FOREGROUND], strict=False):
            right.step(*zip(*profile_corners(steps, end), strict=True), where="post", color=color, label=name)
        right.set_xscale("log", base=2)
        right.set_xlim(1, end)
        right.set_xlabel("sequences, as a multiple of the best optimizer's")
        set_share_axis(right, "problems solved")
        right.set_title("Performance profile")


def outcome_of(folder: Path) -> dict[str, Any]:
    """The outcome of a tuning.

    Args:
        folder: Folder of a finished tuning.

    Returns:
        Number of settings, the numbers of those that solve the problem, the best one; solved runs and all runs with
        fresh seeds, and the median cost of a solution by each measure; None: fewer than half are solved.
    """
    trials = trials_of(read_plan(folder / SEARCH), read_tuning(folder))
    confirmed = group_of(outcomes_of(read_plan(folder / CONFIRMATION)))
    assert confirmed is not None, "a finished tuning has records"
    costs = {measure: confirmed.median_cost(measure) for measure in COSTS}
    return {
        "trials": len(trials),
        "solving": [trial.number for trial in trials if trial.solves],
        "best": dict(best_of(trials).values),
        "solved": confirmed.num_solved,
        "runs": len(confirmed.runs),
        **{measure: cost if math.isfinite(cost) else None for measure, cost in costs.items()},
    }


def _draw_map(axes: "Axes", tunings: Mapping[str, Any], optimizers: Sequence[str], problems: Sequence[str]) -> None:
    """Draw the share solved of each optimizer on each problem, with its interval."""
    outcomes = [[tunings[_name(optimizer, problem)] for problem in problems] for optimizer in optimizers]
    axes.imshow(np.array([[own["solved"] / own["runs"] for own in row] for row in outcomes]), "cividis", vmin=0, vmax=1)
    axes.set_aspect("auto")
    for y, row in enumerate(outcomes):
        for x, own in enumerate(row):
            low, high = (f"{100 * bound:.0f}" for bound in wilson_interval(own["solved"], own["runs"]))
            color = "white" if own["solved"] < 0.55 * own["runs"] else "black"
            text = f"{own['solved']}/{own['runs']}\n{low} to {high} %"
            axes.text(x, y, text, color=color, ha="center", va="center", fontsize=5)
    axes.set_xticks(range(len(problems)), problems, rotation=90, fontsize=7)
    axes.set_yticks(range(len(optimizers)), optimizers)
    axes.set_title("Solved runs of the best setting, with fresh seeds, and the 95 % interval")


def _name(optimizer: str, problem: str) -> str:
    return f"{problem}_by_{optimizer}"


def _task(problem: str) -> str:
    """The name of a problem without its length."""
    name = problem.removesuffix("_lstm")
    return name.rpartition("_")[0] + problem.removeprefix(name)


def _is_solved(outcome: Mapping[str, Any]) -> bool:
    """Whether at least half of the runs with fresh seeds are solved."""
    return bool(2 * outcome["solved"] >= outcome["runs"])


def _or_infinite(cost: float | None) -> float:
    return math.inf if cost is None else cost
