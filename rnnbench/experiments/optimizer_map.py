"""What each optimizer solves on each problem: the records of `optimizers_2026`, complete or not, drawn as a map."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rnnbench.reports.drawing import COLORS, FOREGROUND, set_share_axis
from rnnbench.reports.heat_map import COLOR_MAP, draw_missing, text_color
from rnnbench.reports.optimizer_charts import profile_corners
from rnnbench.reports.statistics import performance_profile, wilson_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Cost = Literal["sequences", "seconds"]

REFERENCE = "adam"
"""Optimizer whose budget of sequences, in seconds, is the common budget of seconds."""


def figure_size(num_problems: int) -> tuple[float, float]:
    """Width and height, in inches, of the figure of a map with so many problems."""
    return 11.0, max(4.8, 1.8 + 0.3 * num_problems)


@dataclass(frozen=True)
class Tuned:
    """An optimizer that was tuned on a problem.

    Attributes:
        solving: Numbers, from 1, of the settings that solve at least half of their seeds.
        trials: Number of settings that were tried.
        best: Searched key -> its value in the best setting.
        solved_after: For each fresh seed the sequences until the best setting solved the problem; None: it did not.
        seconds_per_sequence: Seconds of one core for each sequence of an update.
    """

    solving: Sequence[int]
    trials: int
    best: Mapping[str, float]
    solved_after: Sequence[float | None]
    seconds_per_sequence: float

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Tuned":
        """Read a record."""
        return cls(**{name: record[name] for name in cls.__dataclass_fields__})

    @property
    def runs(self) -> int:
        """Number of fresh seeds."""
        return len(self.solved_after)

    @property
    def solved(self) -> int:
        """Number of fresh seeds that solve the problem."""
        return sum(amount is not None for amount in self.solved_after)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the share of fresh seeds that solve the problem."""
        return wilson_interval(self.solved, self.runs)

    @property
    def is_solved(self) -> bool:
        """Whether at least half of the fresh seeds solve the problem."""
        return 2 * self.solved >= self.runs

    def solved_within(self, seconds: float) -> int:
        """Number of fresh seeds that solve the problem within some seconds of one core."""
        limit = seconds / self.seconds_per_sequence
        return sum(amount is not None and amount <= limit for amount in self.solved_after)

    def cost(self, measure: Cost) -> float:
        """The cost by which half of the fresh seeds are solved; infinite: fewer are."""
        amounts = sorted(math.inf if amount is None else amount for amount in self.solved_after)
        median = amounts[(self.runs - 1) // 2]
        return median if measure == "sequences" else median * self.seconds_per_sequence


@dataclass(frozen=True)
class OptimizerMap:
    """The tunings that are there.

    Attributes:
        optimizers: Names of all optimizers of the plan, in order.
        problems: Names of all problems of the plan, in order.
        sequences: Budget of every run.
        tuned: (Optimizer, problem) -> what was found; a pair that was not tried is missing.
    """

    optimizers: Sequence[str]
    problems: Sequence[str]
    sequences: float
    tuned: Mapping[tuple[str, str], Tuned]

    @cached_property
    def complete(self) -> list[str]:
        """The problems on which every optimizer was tried."""
        return [each for each in self.problems if all((name, each) in self.tuned for name in self.optimizers)]

    @cached_property
    def begun(self) -> list[str]:
        """The problems on which some optimizer was tried."""
        return [each for each in self.problems if any((name, each) in self.tuned for name in self.optimizers)]

    def seconds(self, problem: str) -> float | None:
        """The common budget of seconds of one core: what the reference takes for its sequences; None: not tried."""
        reference = self.tuned.get((REFERENCE, problem))
        return None if reference is None else self.sequences * reference.seconds_per_sequence

    def profile(self, measure: Cost) -> dict[str, list[tuple[float, float]]]:
        """The performance profile over the problems on which every optimizer was tried; empty: there are none."""
        costs = {name: [self.tuned[name, each].cost(measure) for each in self.complete] for name in self.optimizers}
        return performance_profile(costs) if self.complete else {}

    def draw(self, figure: "Figure", problems: Sequence[str]) -> None:
        """Draw the map of some problems, and the profiles beside it, in a figure of `figure_size`."""
        grid = figure.add_gridspec(2, 2, width_ratios=(2.3, 1))
        self._draw_cells(figure.add_subplot(grid[:, 0]), problems)
        measures: tuple[Cost, ...] = ("sequences", "seconds")
        for row, measure in enumerate(measures):
            self._draw_profile(figure.add_subplot(grid[row, 1]), measure)

    def _draw_cells(self, axes: "Axes", problems: Sequence[str]) -> None:
        shares = np.full((len(problems), len(self.optimizers)), np.nan)
        for y, problem in enumerate(problems):
            for x, name in enumerate(self.optimizers):
                found = self.tuned.get((name, problem))
                if found is None:
                    draw_missing(axes, x, y, "not tried")
                    continue
                shares[y, x] = found.solved / found.runs
                low, high = (f"{100 * bound:.0f}" for bound in found.interval)
                text, color = f"{found.solved}/{found.runs}\n{low} to {high} %", text_color(shares[y, x])
                axes.text(x, y, text, color=color, ha="center", va="center", fontsize=6)
        axes.imshow(np.ma.masked_invalid(shares), COLOR_MAP, vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(len(self.optimizers)), self.optimizers, fontsize=8)
        axes.set_yticks(range(len(problems)), problems, fontsize=8)
        axes.xaxis.tick_top()
        axes.set_title("Fresh seeds solved, and 95 % interval")

    def _draw_profile(self, axes: "Axes", measure: Cost) -> None:
        profile = self.profile(measure)
        end = 1.1 * max([2.0, *(factor for steps in profile.values() for factor, _ in steps)])
        for (name, steps), color in zip(profile.items(), [*COLORS, FOREGROUND], strict=False):
            axes.step(*zip(*profile_corners(steps, end), strict=True), where="post", color=color, label=name)
        axes.set_xscale("log", base=2)
        axes.set_xlim(1, end)
        axes.set_xlabel(f"{measure}, as a multiple of the best")
        set_share_axis(axes, "problems solved")
        axes.set_title(f"Profile by {measure}")
