"""What a figure is: its numbers first, its picture from nothing but them."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from rnnbench.report.drawing import MAX_SERIES
from rnnbench.report.groups import Group, best_first, by_task, make_groups
from rnnbench.report.runs import Run

Cell = str | int | float | None


@dataclass(frozen=True)
class Chart:
    """A figure.

    Attributes:
        name: Name of its files, without suffix.
        title: Heading of the figure.
        caption: Text below the figure, on how to read it.
        columns: Headings of its numbers.
        rows: The numbers that are drawn.
        svg: The picture, a whole SVG file.
    """

    name: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    svg: str


def file_name(*words: str) -> str:
    """A name for files: letters, digits and underscores."""
    return "_".join("".join(letter if letter.isalnum() else "_" for letter in word) for word in words)


def drawn(groups: Sequence[Group]) -> tuple[list[Group], str]:
    """The groups that one figure can show, in their order, and a sentence where that is not all.

    Of each variant of the task there are as many as of the others: the best of all would be those of the easiest one.
    """
    if len(groups) <= MAX_SERIES:
        return list(groups), ""
    ranks = itertools.zip_longest(*map(best_first, by_task(groups)))
    best = [group for rank in ranks for group in rank if group is not None][:MAX_SERIES]
    kept = [group for group in groups if any(group is one for one in best)]
    each = " of each variant of the task" if len(by_task(groups)) > 1 else ""
    return kept, f" {MAX_SERIES} of {len(groups)} groups are drawn, the best{each}; by=FIELD,FIELD makes others."


def series(runs: Sequence[Run], names: Sequence[str]) -> tuple[list[Group], str]:
    """Groups for the lines of a figure; all runs together where there would be too many, and a sentence then."""
    groups = make_groups(runs, names)
    if len(groups) <= MAX_SERIES:
        return groups, ""
    return make_groups(runs, ()), f" Runs with different {', '.join(names)} are taken together."
