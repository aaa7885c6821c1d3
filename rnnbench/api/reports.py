"""`rnnbench report` as a function: its tables as data, its figures as figures of matplotlib."""

import io
from collections.abc import Mapping, Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rnnbench.api.arguments import Folder, folder_of, names_of
from rnnbench.api.tables import Rows
from rnnbench.commands.report import bad_input, parse_fields, split_sources
from rnnbench.config.errors import ConfigError
from rnnbench.records.wording import count
from rnnbench.reports.contents import Contents, read_contents
from rnnbench.reports.fields import ABSENT, Value
from rnnbench.reports.run_table import NUMBERS, PRODUCTS, SOLVED_AT
from rnnbench.reports.runs import Run
from rnnbench.reports.tables import group_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class HasFolder(Protocol):
    """What lies in a folder: a run or a sweep."""

    folder: Path


class Report:
    """The tables and figures of a report.

    Args:
        contents: Contents of the report.
    """

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    @cached_property
    def groups(self) -> Rows:
        """A row for each group of runs: its fields, outcomes, the share solved with its 95 % interval, costs, losses.

        The columns are those of the command's groups.csv; docs/report.md explains the statistics.
        """
        groups = self._contents.groups
        columns, rows = group_rows(groups)
        return Rows(
            dict(zip(columns, row, strict=True)) | _present(dict(zip(group.names, group.values, strict=True)))
            for group, row in zip(groups, rows, strict=True)
        )

    @cached_property
    def runs(self) -> Rows:
        """A row for each run: the fields that distinguish it, its outcome and its numbers."""
        return Rows(_run_row(run, self._contents.columns) for run in self._contents.runs)

    @cached_property
    def figures(self) -> "Mapping[str, Figure]":
        """Name -> figure, for the figures of the command's page."""
        return {chart.name: chart.picture.figure() for chart in self._contents.charts()}

    @property
    def problems(self) -> Mapping[Path, str]:
        """Folder that cannot be read completely -> what is wrong with it."""
        return {problem.folder: problem.message for problem in self._contents.found.problems}

    def __str__(self) -> str:
        """What the command prints."""
        text = io.StringIO()
        self._contents.write(text)
        return text.getvalue().rstrip("\n")

    def __repr__(self) -> str:
        """One line: the numbers of runs and groups."""
        runs, groups = count(len(self._contents.runs), "run"), count(len(self._contents.groups), "group")
        return f"<Report on {runs} in {groups}>"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return f"<pre>{escape(str(self))}</pre>"


def report(*sources: Folder | HasFolder, by: str | Sequence[str] | None = None) -> Report:
    """Report on runs, as `rnnbench report` does; nothing is written.

    Args:
        sources: Runs, sweeps, their folders, folders that contain them, or tables runs.csv of earlier reports.
        by: Fields of the configuration to group by, as "optim.lr,task.sequence_length" or a list; empty: all runs are
            one group. None: the fields that vary among the runs, except the seed.

    Raises:
        ConfigError: An argument has another type, no run can be read, or a field does not exist.
    """
    if not sources:
        raise ConfigError("rnnbench.report needs a run or a sweep, its folder, or a table of runs")
    paths = [folder_of("sources", getattr(source, "folder", source)) for source in sources]
    fields = None if by is None else ",".join(names_of("by", by))
    with bad_input():
        names = None if fields is None else parse_fields(f"by={fields}")
        folders, tables = split_sources(paths)
        return Report(read_contents(folders, tables, names))


def _run_row(run: Run, names: Sequence[str]) -> dict[str, Any]:
    """The row of a run.

    Args:
        run: The run.
        names: Fields of the configuration that come first.
    """
    summary, at = run.summary, run.summary.solved_at
    return {
        **_present({name: run.fields.get(name, ABSENT) for name in names}),
        "outcome": run.outcome,
        "status": summary.status,
        **{name: getattr(summary, name) for name in NUMBERS},
        **{column: None if at is None else getattr(at, name) for name, column in SOLVED_AT.items()},
        PRODUCTS: run.products_when_solved,
        "folder": str(run.folder),
    }


def _present(values: Mapping[str, Value]) -> dict[str, Value]:
    """The values of some fields; None for fields that a run does not have."""
    return {name: None if value == ABSENT else value for name, value in values.items()}
