"""`rnnbench report`: reads run folders, prints tables and writes a page with figures."""

import argparse
import contextlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from rnnbench.commands.output import output_status
from rnnbench.config.errors import ConfigError
from rnnbench.config.given_paths import given_path, no_folder
from rnnbench.config.nearest import did_you_mean, nearest_keys
from rnnbench.config.parser import CommandParser, option_folder
from rnnbench.exit_status import FAILED, OK
from rnnbench.records.errors import RecordError
from rnnbench.records.messages import printable, say
from rnnbench.reports import files
from rnnbench.reports.contents import Contents, read_contents
from rnnbench.reports.errors import ReportError, UnknownFieldError
from rnnbench.reports.page import make_page
from rnnbench.reports.run_table import run_rows
from rnnbench.reports.runs import Run
from rnnbench.reports.tables import group_rows

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
    sources = [given_path(word) for word in given.words if not word.startswith(_BY)]
    if not sources:
        raise ReportError("rnnbench report needs the folder of a run or of a sweep, or a table of runs")
    if len(choices) > 1:
        raise ReportError(f"by= is given twice: {' '.join(choices)}; put all fields into one, as in by=seed,optim.lr")
    folders, tables = split_sources(sources)
    if given.config_dir is not None:
        option_folder("--config-dir", given.config_dir)
    if given.out is None and len(sources) > 1:
        raise ReportError("a report on several folders or tables needs --out DIR, the folder of its page")
    beside = sources[0].with_suffix("") if tables else sources[0]
    out = beside / FOLDER_NAME if given.out is None else Path(given.out).expanduser()
    if out.exists() and not out.is_dir():
        raise ReportError(f"--out: {out} is not a folder")
    return Options(folders, tables, parse_fields(choices[0]) if choices else None, out)


def split_sources(sources: Sequence[Path]) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """The folders and the tables among some paths.

    Raises:
        ReportError: A path is neither a folder nor a table.
    """
    tables = tuple(path for path in sources if path.suffix == TABLE_SUFFIX and path.is_file())
    folders = tuple(path for path in sources if path not in tables)
    for folder in folders:
        if not folder.is_dir():
            raise ReportError(f"{no_folder(folder)}; a report reads folders and tables TABLE{TABLE_SUFFIX}")
    return folders, tables


def parse_fields(choice: str) -> tuple[str, ...]:
    """The fields that by=FIELD,FIELD names.

    Raises:
        ReportError: A name is empty or repeated.
    """
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
    with bad_input():
        return max(report(parse_options(words)), output_status())


@contextlib.contextmanager
def bad_input() -> Iterator[None]:
    """Turn the errors of a report into a `ConfigError`."""
    try:
        yield
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
    contents = read_contents(options.folders, options.tables, options.by, _show_reading)
    files.prepare(options.out)
    contents.write(sys.stdout)
    try:
        _write(options.out, contents)
    except (OSError, RecordError) as error:
        say(f"cannot write the page: {error}")
        return FAILED
    print(f"\npage: {printable(str(options.out / files.PAGE))}", flush=True)
    return OK


def _show_reading(runs: Iterable[Run], total: int) -> Iterator[Run]:
    """Pass runs on while they are read; on a terminal a line shows the progress."""
    stream = sys.stderr if sys.stderr.isatty() else None
    for number, run in enumerate(runs, 1):
        yield run
        if stream and number % 50 == 0:
            _overwrite(stream, f"reading {number:,} of {total:,} runs")
    if stream:
        _overwrite(stream, "")


def _overwrite(stream: TextIO, text: str) -> None:
    """Replace the current line of the terminal by a text."""
    stream.write(f"\r\x1b[K{text}")
    stream.flush()


def _write(folder: Path, contents: Contents) -> None:
    """Write the page, its figures and the tables of groups and runs."""
    charts = contents.charts()
    files.write_csv(folder / "groups.csv", *group_rows(contents.groups))
    files.write_csv(folder / "runs.csv", *run_rows(contents.runs, contents.columns))
    files.write(folder, make_page(contents.runs, contents.groups, charts, contents.found), charts)
