"""What a report is made from: runs, their groups, and what was found beside them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from rnnbench.records.errors import RecordError
from rnnbench.records.messages import printable
from rnnbench.reports import description, fields
from rnnbench.reports.chart import Chart
from rnnbench.reports.errors import ReportError
from rnnbench.reports.figures import make_charts
from rnnbench.reports.finding import Found, find_run_folders
from rnnbench.reports.further_tables import tables_of
from rnnbench.reports.groups import Group, make_groups
from rnnbench.reports.run_table import read_table
from rnnbench.reports.runs import Run, comparable_fields, distinct, read_runs, with_sweeps
from rnnbench.reports.tables import print_table

_MAX_FOLDERS = 10  # in the text; the page shows all

Reading = Callable[[Iterable[Run], int], Iterable[Run]]
"""Function that passes the runs on while they are read, given their number; it may show the progress."""


@dataclass(frozen=True)
class Contents:
    """The contents of a report.

    Attributes:
        runs: The runs, at least one, none twice.
        groups: The same runs, grouped by fields of their configuration.
        found: Jobs without records, repeated runs and folders that cannot be read.
    """

    runs: Sequence[Run]
    groups: Sequence[Group]
    found: Found

    @property
    def columns(self) -> list[str]:
        """Fields of the configuration that distinguish the runs: those of the groups, others that vary, the seed."""
        varying = fields.varying_fields([run.fields for run in self.runs])
        return list(dict.fromkeys([*self.groups[0].names, *varying, fields.SEED]))

    def charts(self) -> list[Chart]:
        """Make every figure that the runs allow."""
        return list(make_charts(self.runs, self.groups, self.groups[0].names))

    def write(self, stream: TextIO) -> None:
        """Write headline, tables and problems as text."""
        everything = Group((), (), tuple(self.runs))
        print(description.title(self.runs, len(self.found.waiting)), file=stream)
        state = description.state(everything, len(self.found.waiting))
        print(f"{description.headline(everything)}.{state and f' {state}'}", file=stream)
        for line in description.best_lines(everything, self.groups):
            print(line, file=stream)
        for table in tables_of(self.groups):
            print_table(table, stream)
        repeats = [f"{run}: as {same}" for run, same in self.found.repeats]
        _print_folders(description.repeats(self.found.repeats), repeats, stream)
        problems = [f"{problem.folder}: {problem.message}" for problem in self.found.problems]
        _print_folders(description.problems(self.found.problems), problems, stream)
        stream.flush()


def read_contents(
    folders: Sequence[Path], tables: Sequence[Path], by: Sequence[str] | None, reading: Reading = lambda runs, _: runs
) -> Contents:
    """Read all runs in some folders and tables.

    Args:
        folders: Runs, sweeps, or folders that contain them.
        tables: Tables of runs from earlier reports.
        by: Fields of the configuration to group by; None: the fields that vary among the runs.
        reading: See `Reading`.

    Raises:
        ReportError: No run can be read.
        UnknownFieldError: A field does not exist.
    """
    found = find_run_folders(folders)
    try:
        read = list(reading(read_runs(found.runs, found.problems), len(found.runs)))
        recorded = [*read, *(run for table in tables for run in read_table(table))]
    except RecordError as error:
        raise ReportError(str(error)) from error
    if len(folders) > 1:  # sweeps that are compared: a run counts in each of them
        runs = distinct(with_sweeps(recorded, found.jobs), found.repeats)
    else:
        runs = with_sweeps(distinct(recorded, found.repeats), found.jobs)
    if not runs:
        raise ReportError(_why_empty([*folders, *tables], found))
    return Contents(runs, make_groups(runs, _names(by, len(folders), runs, found)), found)


def _why_empty(sources: Sequence[Path], found: Found) -> str:
    """The message if there is no run to report on."""
    where = ", ".join(map(str, sources))
    if found.runs:
        return f"no run in {where} can be read: {found.problems[0].folder}: {found.problems[0].message}"
    if found.waiting:
        return f"none of the {len(found.waiting):,} jobs of {where} has records yet"
    return f"there is no run in {where}"


def _names(by: Sequence[str] | None, num_folders: int, runs: Sequence[Run], found: Found) -> list[str]:
    """The fields to group by."""
    if by is None:
        compared = comparable_fields(runs, found.jobs)
        if num_folders == 1:  # its sweeps are not what is compared
            compared = [{name: value for name, value in own.items() if name != fields.SWEEP} for own in compared]
        return fields.grouping_fields(compared)
    run_fields = [run.fields for run in runs]
    return list(dict.fromkeys(fields.resolve(name, run_fields) for name in by))


def _print_folders(heading: str, lines: Sequence[str], stream: TextIO) -> None:
    """Print lines about folders under a heading, if there are any."""
    if lines:
        print(f"\n{heading}:", file=stream)
    for line in lines[:_MAX_FOLDERS]:
        print(f"  {printable(line)}", file=stream)
    if len(lines) > _MAX_FOLDERS:
        print(f"  and {len(lines) - _MAX_FOLDERS} more, on the page", file=stream)
