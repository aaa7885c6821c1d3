"""A figure of a report: its numbers, and the picture that is drawn from them."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from rnnbench.reports.drawing import MAX_SERIES, Picture
from rnnbench.reports.groups import Group, best_first, by_task, make_groups
from rnnbench.reports.runs import Run

Cell = str | int | float | None


@dataclass(frozen=True)
class Chart:
    """A figure.

    Attributes:
        name: Name of its files, without suffix.
        title: Heading of the figure.
        caption: Text below the figure, on how to read it.
        columns: Headings of the numbers.
        rows: The numbers that are drawn.
        picture: The picture.
    """

    name: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    picture: Picture

    @property
    def svg(self) -> str:
        """The picture as a complete SVG file."""
        return self.picture.svg


def file_name(*words: str) -> str:
    """Make a file name of letters, digits and underscores."""
    return "_".join("".join(letter if letter.isalnum() else "_" for letter in word) for word in words)


def select_drawn(groups: Sequence[Group]) -> tuple[list[Group], str]:
    """Return the groups that one figure can show, in order, and a note if some are omitted.

    Each variant of the task is represented equally; otherwise the easiest variant would have all the best groups.
    """
    if len(groups) <= MAX_SERIES:
        return list(groups), ""
    ranks = itertools.zip_longest(*map(best_first, by_task(groups)))
    best = [group for rank in ranks for group in rank if group is not None][:MAX_SERIES]
    kept = [group for group in groups if any(group is one for one in best)]
    each = " of each variant of the task" if len(by_task(groups)) > 1 else ""
    return kept, f" {MAX_SERIES} of {len(groups)} groups are drawn, the best{each}; by=FIELD,FIELD makes others."


def series(runs: Sequence[Run], names: Sequence[str]) -> tuple[list[Group], str]:
    """Return the groups for the lines of a figure; if there are too many, one group of all runs and a note."""
    groups = make_groups(runs, names)
    if len(groups) <= MAX_SERIES:
        return groups, ""
    return make_groups(runs, ()), f" Runs with different {', '.join(names)} are combined."
