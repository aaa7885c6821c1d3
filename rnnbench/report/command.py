"""`rnnbench report`: reads run folders, prints tables, writes a page."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from rnnbench.records.errors import RecordError
from rnnbench.records.messages import printable, say
from rnnbench.report import description, fields, files
from rnnbench.report.errors import ReportError
from rnnbench.report.figures import make_charts
from rnnbench.report.finding import Found, find_run_folders
from rnnbench.report.groups import Group, make_groups
from rnnbench.report.options import Options
from rnnbench.report.page import make_page
from rnnbench.report.run_table import read_table, run_rows
from rnnbench.report.runs import Run, distinct, read_runs
from rnnbench.report.tables import cost_table, group_rows, outcome_table, print_table

OK, FAILED = 0, 1

_MOST_FOLDERS = 10  # on the terminal; the page has all


def report(options: Options) -> int:
    """Report on all runs in some folders.

    Args:
        options: Parsed command line.

    Returns:
        The exit status: 0, also where some records are damaged; 1 where the page cannot be written any more.

    Raises:
        ReportError: There is no run that can be read, a field does not exist, or there is no place for the page.
        UnknownFieldError: The field, among them.
    """
    found = find_run_folders(options.folders)
    try:
        recorded = [*_counted(found), *(run for table in options.tables for run in read_table(table))]
    except RecordError as error:
        raise ReportError(str(error)) from error
    runs = distinct(recorded, found.repeats)
    if not runs:
        raise ReportError(_nothing(options, found))
    names = _names(options, runs)
    files.prepare(options.out)
    groups = make_groups(runs, names)
    _print(runs, groups, found)
    try:
        _write(options.out, runs, groups, found)
    except (OSError, RecordError) as error:
        say(f"cannot write the page: {error}")
        return FAILED
    print(f"\npage: {printable(str(options.out / files.PAGE))}", flush=True)
    return OK


def _nothing(options: Options, found: Found) -> str:
    """Why there is nothing to report."""
    where = ", ".join(map(str, [*options.folders, *options.tables]))
    if found.runs:
        return f"no run in {where} can be read: {found.problems[0].folder}: {found.problems[0].message}"
    if found.waiting:
        return f"no job of {where} has records yet, of {len(found.waiting):,}"
    return f"there is no run in {where}"


def _names(options: Options, runs: Sequence[Run]) -> list[str]:
    """The fields that make the groups."""
    run_fields = [run.fields for run in runs]
    if options.by is None:
        return fields.grouping_fields(run_fields)
    return list(dict.fromkeys(fields.resolve(name, run_fields) for name in options.by))


def _counted(found: Found) -> list[Run]:
    """Read all runs; on a terminal a line says how far that is."""
    stream = sys.stderr if sys.stderr.isatty() else None
    runs = []
    for run in read_runs(found.runs, found.problems):
        runs.append(run)
        if stream and len(runs) % 50 == 0:
            _overwrite(stream, f"reading {len(runs):,} of {len(found.runs):,} runs")
    if stream:
        _overwrite(stream, "")
    return runs


def _overwrite(stream: TextIO, text: str) -> None:
    """Put a text in place of the line that is there."""
    stream.write(f"\r\x1b[K{text}")
    stream.flush()


def _print(runs: Sequence[Run], groups: Sequence[Group], found: Found) -> None:
    everything = Group((), (), tuple(runs))
    print(description.title(runs, len(found.waiting)))
    state = description.state(everything, len(found.waiting))
    print(f"{description.headline(everything)}.{state and f' {state}'}")
    for line in description.best_lines(everything, groups):
        print(line)
    print_table(outcome_table(groups), sys.stdout)
    print_table(cost_table(groups), sys.stdout)
    _print_folders(description.repeats(found.repeats), [f"{run}: as {same}" for run, same in found.repeats])
    _print_folders(
        description.problems(found.problems), [f"{problem.folder}: {problem.message}" for problem in found.problems]
    )
    sys.stdout.flush()


def _print_folders(heading: str, lines: Sequence[str]) -> None:
    """Print what is said of some folders, if there are any."""
    if lines:
        print(f"\n{heading}:")
    for line in lines[:_MOST_FOLDERS]:
        print(f"  {printable(line)}")
    if len(lines) > _MOST_FOLDERS:
        print(f"  and {len(lines) - _MOST_FOLDERS} more, on the page")


def _write(folder: Path, runs: Sequence[Run], groups: Sequence[Group], found: Found) -> None:
    names = groups[0].names
    charts = list(make_charts(runs, groups, names))
    varying = fields.varying_fields([run.fields for run in runs])
    columns = dict.fromkeys([*names, *varying, fields.SEED])
    files.write_csv(folder / "groups.csv", *group_rows(groups))
    files.write_csv(folder / "runs.csv", *run_rows(runs, list(columns)))
    files.write(folder, make_page(runs, groups, charts, found), charts)
