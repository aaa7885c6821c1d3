"""The records of `optimizers_against_length`, complete or not, drawn as heat maps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rnnbench.reports.heat_map import COLOR_MAP, draw_missing, text_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Cost = Literal["sequences", "seconds"]


@dataclass(frozen=True)
class LengthMap:
    """What each optimizer solves of each task at each length.

    Attributes:
        tasks: Names of the tasks.
        optimizers: Names of the optimizers.
        lengths: Sequence lengths T, ascending.
        sequences: Budget of every run.
        records: (Task, optimizer) -> `cells`: for each length that was run, ascending, its `length`; for every seed the
            sequences until it was solved, `solved_after` (None: it was not); the processor time of a sequence,
            `seconds_per_sequence` (None: no seed was solved). A pair that was not tried is missing.
    """

    tasks: Sequence[str]
    optimizers: Sequence[str]
    lengths: Sequence[int]
    sequences: float
    records: Mapping[tuple[str, str], Mapping[str, Any]]

    def _cells(self, task: str, optimizer: str) -> dict[int, Mapping[str, Any]]:
        return {cell["length"]: cell for cell in self.records.get((task, optimizer), {"cells": []})["cells"]}

    def was_run(self, task: str, optimizer: str, length: int) -> bool:
        """Whether an optimizer was run on a task at a length."""
        return length in self._cells(task, optimizer)

    def counts(self, task: str, optimizer: str, length: int, seconds: float | None = None) -> tuple[int, int]:
        """Return the numbers of solved seeds and of all; at a length that was not run, those of the last that was.

        Args:
            task: Name of the task.
            optimizer: Name of the optimizer, which was tried.
            length: Sequence length.
            seconds: Processor time within which a seed must be solved; None: the budget of sequences.
        """
        cells = self._cells(task, optimizer)
        cell = cells[max(each for each in cells if each <= length)]
        amounts = [amount for amount in cell["solved_after"] if amount is not None]
        if seconds is not None:
            amounts = [amount for amount in amounts if amount * cell["seconds_per_sequence"] <= seconds]
        return len(amounts), len(cell["solved_after"])

    def reason(self, task: str, optimizer: str, length: int) -> str:
        """Return why an optimizer was not run on a task at a length."""
        shorter = [each for each in self._cells(task, optimizer) if each < length]
        is_hopeless = bool(shorter) and self.counts(task, optimizer, max(shorter))[0] == 0
        return "none shorter" if is_hopeless else "not run"

    def longest(self, task: str, optimizer: str) -> int | None:
        """Return the longest sequence length at which at least half of the seeds are solved; None: there is none."""
        found = [length for length in self._cells(task, optimizer) if _is_half(self.counts(task, optimizer, length))]
        return max(found, default=None)

    def seconds(self, task: str, length: int) -> float | None:
        """Return the processor time that the cheapest optimizer takes for all of its sequences.

        So no run would have gone on longer within its sequences. Only optimizers that solve a seed count. None: no
        optimizer does.
        """
        times = [
            self._cells(task, optimizer).get(length, {}).get("seconds_per_sequence") for optimizer in self.optimizers
        ]
        known = [time for time in times if time is not None]
        return self.sequences * min(known) if known else None

    def draw(self, figure: "Figure") -> None:
        """Draw a map for each task, at equal sequences and at equal seconds."""
        measures: tuple[Cost, ...] = ("sequences", "seconds")
        table = figure.subplots(len(measures), len(self.tasks), squeeze=False)
        for row, measure in zip(table, measures, strict=True):
            for axes, task in zip(row, self.tasks, strict=True):
                self._draw_map(axes, task, measure)

    def _draw_map(self, axes: "Axes", task: str, measure: Cost) -> None:
        shares = np.full((len(self.optimizers), len(self.lengths)), np.nan)
        limits = {length: self.seconds(task, length) for length in self.lengths}
        for y, optimizer in enumerate(self.optimizers):
            for x, length in enumerate(self.lengths):
                if self.was_run(task, optimizer, length):
                    seconds = limits[length] if measure == "seconds" else None
                    solved, runs = self.counts(task, optimizer, length, seconds)
                    shares[y, x] = solved / runs
                    text, color = f"{solved} of {runs}", text_color(shares[y, x])
                    axes.text(x, y, text, color=color, ha="center", va="center", fontsize=7)
                else:
                    draw_missing(axes, x, y, self.reason(task, optimizer, length))
        axes.imshow(np.ma.masked_invalid(shares), COLOR_MAP, vmin=0, vmax=1, aspect="auto")
        names = [
            f"{length}" + ("" if measure == "sequences" or limits[length] is None else f"\n{limits[length]:.2g} s")
            for length in self.lengths
        ]
        axes.set_xticks(range(len(self.lengths)), names)
        axes.set_yticks(range(len(self.optimizers)), self.optimizers, fontsize=8)
        axes.set_xlabel("sequence length T" + ("" if measure == "sequences" else ", and seconds of one core"))
        equal = f"{self.sequences:,.0f} sequences" if measure == "sequences" else "equal seconds"
        axes.set_title(f"{task}: seeds solved within {equal}", fontsize="medium")


def _is_half(counts: tuple[int, int]) -> bool:
    return 2 * counts[0] >= counts[1]
