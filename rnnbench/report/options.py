"""Command line of `rnnbench report`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from rnnbench.report.errors import ReportError

FOLDER_NAME = "report"
TABLE_SUFFIX = ".csv"

_BY = "by="


@dataclass(frozen=True)
class Options:
    """Runs to report on, and the folder of the page.

    Attributes:
        folders: Runs, sweeps, or folders that contain them.
        tables: Tables of runs that earlier reports have written.
        by: Fields of the configuration that form the groups; None: those that vary among the runs.
        out: Folder of the page.
    """

    folders: tuple[Path, ...]
    tables: tuple[Path, ...]
    by: tuple[str, ...] | None
    out: Path


class _Parser(argparse.ArgumentParser):
    """Raises in place of printing a usage of several lines."""

    def error(self, message: str) -> NoReturn:
        raise ReportError(f"{message} (see rnnbench report --help)")


def report_parser() -> argparse.ArgumentParser:
    """The options of `rnnbench report`."""
    parser = _Parser(
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
    parser.add_argument("--config-dir", metavar="DIR", help="as of the other commands; a report imports no class")
    return parser


def parse_options(words: Sequence[str]) -> Options:
    """Read the words after `rnnbench report`; --help shows the options and ends the process.

    Raises:
        ReportError: A folder is missing, an option does not exist, or it is not clear where the page should go.
    """
    given = report_parser().parse_intermixed_args(words)
    choices = [word for word in given.words if word.startswith(_BY)]
    sources = [Path(word).expanduser() for word in given.words if not word.startswith(_BY)]
    if not sources:
        raise ReportError("rnnbench report needs the folder of a run or of a sweep, or a table of runs")
    if len(choices) > 1:
        raise ReportError(f"by= is there twice: {' '.join(choices)}; all fields go into one, as in by=seed,optim.lr")
    tables = tuple(path for path in sources if path.suffix == TABLE_SUFFIX and path.is_file())
    folders = tuple(path for path in sources if path not in tables)
    for folder in folders:
        if not folder.is_dir():
            raise ReportError(f"there is no folder {folder}, nor a table TABLE{TABLE_SUFFIX} of that name")
    if given.config_dir is not None and not Path(given.config_dir).expanduser().is_dir():
        raise ReportError(f"--config-dir: there is no folder {given.config_dir}")
    if given.out is None and len(sources) > 1:
        raise ReportError("a report on several folders or tables needs --out DIR, where its page goes")
    beside = sources[0].with_suffix("") if tables else sources[0]
    out = beside / FOLDER_NAME if given.out is None else Path(given.out).expanduser()
    if out.exists() and not out.is_dir():
        raise ReportError(f"{out} is no folder, and the page goes there")
    return Options(folders, tables, _fields(choices[0]) if choices else None, out)


def _fields(choice: str) -> tuple[str, ...]:
    text = choice.removeprefix(_BY)
    names = [name.strip() for name in text.split(",")] if text.strip() else []
    if not all(names):
        raise ReportError(f"{choice} has an empty name; fields are separated by single commas")
    for name in names:
        if names.count(name) > 1:
            raise ReportError(f"{choice} names {name} twice")
    return tuple(names)
