"""`rnnbench report`: reads run folders, prints tables and writes a page with figures."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from rnnbench.commands.output import output_status
from rnnbench.config.errors import ConfigError
from rnnbench.config.nearest import did_you_mean, nearest_keys
from rnnbench.config.parser import CommandParser, option_folder
from rnnbench.exit_status import FAILED, OK
from rnnbench.records.errors import RecordError
from rnnbench.records.messages import printable, say
from rnnbench.report import description, fields, files
from rnnbench.report.errors import ReportError, UnknownFieldError
from rnnbench.report.figures import make_charts
from rnnbench.report.finding import Found, find_run_folders
from rnnbench.report.groups import Group, make_groups
from rnnbench.report.page import make_page
from rnnbench.report.run_table import read_table, run_rows
from rnnbench.report.runs import Run, comparable_fields, distinct, read_runs, with_sweeps
from rnnbench.report.tables import cost_table, group_rows, outcome_table, print_table

FOLDER_NAME = "report"
TABLE_SUFFIX = ".csv"

_BY = "by="


@dataclass(frozen=True)
class Options:
    """The options of one call of `rnnbench report`.

    Attributes:
        folders: Runs, sweeps, or folders that contain them.
        tables: Tables of runs from earlier reports.
        by: Fields of the configuration to group by; None: the fields that vary among the runs.
        out: Folder of the page.
    """

    folders: tuple[Path, ...]
    tables: tuple[Path, ...]
    by: tuple[str, ...] | None
    out: Path


_MAX_FOLDERS = 10  # on the terminal; the page shows all


def _parser() -> argparse.ArgumentParser:
    """The parser of `rnnbench report`."""
    parser = CommandParser(
        prog="rnnbench report",
        usage="rnnbench report FOLDER|TABLE.csv... [by=FIELD,FIELD] [--out DIR]",
        description="Report on runs: tables here, and a page with figures in FOLDER/report/index.html.",
        epilog="by=optim.lr,task.sequence_length groups the runs by the values of these fields; by= puts all runs\n"
        "into one group. Default: the fields that vary among the runs, except the seed.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "words",
        metavar="FOLDER|TABLE.csv",
        nargs="*",
        help="a run, a sweep, a folder that contains some, or the runs.csv of an earlier report",
    )
    parser.add_argument("--out", metavar="DIR", help="folder of the page; required for several folders or tables")
    parser.add_argument("--config-dir", metavar="DIR", help="as for the other commands; a report imports no classes")
    return parser


def parse_options(words: Sequence[str]) -> Options:
    """Parse the arguments after `rnnbench report`; --help prints the options and ends the process.

    Raises:
        ReportError: A folder is missing, or the folder of the page is not clear.
        ConfigError: An option does not exist, or its folder is missing.
    """
    given = _parser().parse_intermixed_args(words)
    choices = [word for word in given.words if word.startswith(_BY)]
    sources = [Path(word).expanduser() for word in given.words if not word.startswith(_BY)]
    if not sources:
        raise ReportError("rnnbench report needs the folder of a run or of a sweep, or a table of runs")
    if len(choices) > 1:
        raise ReportError(f"by= is given twice: {' '.join(choices)}; put all fields into one, as in by=seed,optim.lr")
    tables = tuple(path for path in sources if path.suffix == TABLE_SUFFIX and path.is_file())
    folders = tuple(path for path in sources if path not in tables)
    for folder in folders:
        if not folder.is_dir():
            raise ReportError(f"there is no folder {folder}, nor a table TABLE{TABLE_SUFFIX} of that name")
    if given.config_dir is not None:
        option_folder("--config-dir", given.config_dir)
    if given.out is None and len(sources) > 1:
        raise ReportError("a report on several folders or tables needs --out DIR, the folder of its page")
    beside = sources[0].with_suffix("") if tables else sources[0]
    out = beside / FOLDER_NAME if given.out is None else Path(given.out).expanduser()
    if out.exists() and not out.is_dir():
        raise ReportError(f"--out: {out} is not a folder")
    return Options(folders, tables, _fields(choices[0]) if choices else None, out)


def _fields(choice: str) -> tuple[str, ...]:
    text = choice.removeprefix(_BY)
    names = [name.strip() for name in text.split(",")] if text.strip() else []
    if not all(names):
        raise ReportError(f"{choice} has an empty name; separate fields by single commas")
    for name in names:
        if names.count(name) > 1:
            raise ReportError(f"{choice} names {name} twice")
    return tuple(names)


def main(words: Sequence[str]) -> int:
    """Run the command.

    Args:
        words: Arguments after `rnnbench report`.

    Returns:
        The exit status.

    Raises:
        ConfigError: No run can be read, a field does not exist, or the page cannot be written.
    """
    try:
        return max(report(parse_options(words)), output_status())
    except UnknownFieldError as error:
        raise ConfigError(f"{error}{did_you_mean(nearest_keys(error.field, error.fields))}") from error
    except ReportError as error:
        raise ConfigError(str(error)) from error


def report(options: Options) -> int:
    """Report on all runs in some folders.

    Args:
        options: Options of the command.

    Returns:
        The exit status: 0, even if some records are damaged; 1 if the page cannot be written any more.

    Raises:
        ReportError: No run can be read, or the page cannot be written.
        UnknownFieldError: A field does not exist.
    """
    found = find_run_folders(options.folders)
    try:
        recorded = [*_read(found), *(run for table in options.tables for run in read_table(table))]
    except RecordError as error:
        raise ReportError(str(error)) from error
    runs = with_sweeps(distinct(recorded, found.repeats), found.jobs)
    if not runs:
        raise ReportError(_why_empty(options, found))
    names = _names(options, runs, found)
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


def _why_empty(options: Options, found: Found) -> str:
    """The message if there is no run to report on."""
    where = ", ".join(map(str, [*options.folders, *options.tables]))
    if found.runs:
        return f"no run in {where} can be read: {found.problems[0].folder}: {found.problems[0].message}"
    if found.waiting:
        return f"none of the {len(found.waiting):,} jobs of {where} has records yet"
    return f"there is no run in {where}"


def _names(options: Options, runs: Sequence[Run], found: Found) -> list[str]:
    """The fields to group by."""
    if options.by is None:
        compared = comparable_fields(runs, found.jobs)
        if len(options.folders) == 1:  # its sweeps are not what is compared
            compared = [{name: value for name, value in own.items() if name != fields.SWEEP} for own in compared]
        return fields.grouping_fields(compared)
    run_fields = [run.fields for run in runs]
    return list(dict.fromkeys(fields.resolve(name, run_fields) for name in options.by))


def _read(found: Found) -> list[Run]:
    """Read all runs; on a terminal a line shows the progress."""
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
    """Replace the current line of the terminal by a text."""
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
    """Print lines about folders under a heading, if there are any."""
    if lines:
        print(f"\n{heading}:")
    for line in lines[:_MAX_FOLDERS]:
        print(f"  {printable(line)}")
    if len(lines) > _MAX_FOLDERS:
        print(f"  and {len(lines) - _MAX_FOLDERS} more, on the page")


def _write(folder: Path, runs: Sequence[Run], groups: Sequence[Group], found: Found) -> None:
    names = groups[0].names
    charts = list(make_charts(runs, groups, names))
    varying = fields.varying_fields([run.fields for run in runs])
    columns = dict.fromkeys([*names, *varying, fields.SEED])
    files.write_csv(folder / "groups.csv", *group_rows(groups))
    files.write_csv(folder / "runs.csv", *run_rows(runs, list(columns)))
    files.write(folder, make_page(runs, groups, charts, found), charts)
