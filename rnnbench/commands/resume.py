"""`rnnbench resume`: goes on with a run or a sweep."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnbench.config.errors import ConfigError
from rnnbench.config.folders import check_utf8
from rnnbench.config.parser import CommandParser
from rnnbench.config.trust import Trusted, add_options, trusted_by
from rnnbench.records import is_run_folder, is_sweep_folder, sweep_of
from rnnbench.run.process import place_in_torchrun, prepare_process


@dataclass(frozen=True)
class Options:
    """The options and overrides of one call of `rnnbench resume`.

    Attributes:
        folder: The folder of a run or a sweep.
        overrides: A larger budget, as KEY=VALUE.
        quiet: Whether to keep the terminal free of progress.
        accept_gap: Whether to go on also where records are lost that the checkpoint counts.
        trusted: The folders and modules whose classes may be imported.
    """

    folder: Path
    overrides: tuple[str, ...]
    quiet: bool
    accept_gap: bool
    trusted: Trusted


def _parser() -> argparse.ArgumentParser:
    """The options of `rnnbench resume`."""
    parser = CommandParser(
        prog="rnnbench resume",
        usage="rnnbench resume FOLDER [-q] [--accept-gap] [--config-dir DIR] [--trust MODULE] [budget.updates=N] [...]",
        description="Go on with a run or a sweep from its last checkpoint, with the same or a larger budget.",
        epilog="Of classes that are not rnnbench's, those alone are imported whose folder or module is named here,\n"
        "whatever the run says. Both options can be repeated; docs/extending.md has an example.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", metavar="FOLDER", nargs="*", help="a run or a sweep, then KEY=VALUE of its budget")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on the terminal")
    lost = "go on also where metrics.csv or events are lost that the checkpoint counts"
    parser.add_argument("--accept-gap", action="store_true", help=lost)
    add_options(parser)
    return parser


def parse_options(words: Sequence[str]) -> Options:
    """Read the words after `rnnbench resume`; --help shows the options and ends the process.

    Args:
        words: The words; options may stand anywhere, the folder before the overrides.

    Raises:
        ConfigError: The folder is missing, or an option does not exist or lacks its value.
    """
    given = _parser().parse_intermixed_args(words)
    if not given.words:
        raise ConfigError("rnnbench resume needs the folder of a run or a sweep")
    folder, *overrides = given.words
    return Options(Path(folder), tuple(overrides), given.quiet, given.accept_gap, trusted_by(given, ["resume", *words]))


def main(words: Sequence[str]) -> int:
    """Run the command.

    Args:
        words: The words after `rnnbench resume`.

    Returns:
        The exit status, the worst one of a sweep's jobs.

    Raises:
        ConfigError: The folder holds nothing to resume, names a class that may not be imported, or does not fit this
            machine; or an override is wrong.
        RecordError: A record is damaged, or another process works on the run or sweep.
    """
    options = parse_options(words)
    folder, overrides, trusted = options.folder, options.overrides, options.trusted
    check_utf8(folder)
    is_sweep = is_sweep_folder(folder)
    if not is_sweep:
        _check_run(folder)
    prepare_process()
    trusted.add_to_path()
    if is_sweep:
        from rnnbench.sweep.resume import resume_sweep

        return resume_sweep(folder, overrides, quiet=options.quiet, trusted=trusted, accept_gap=options.accept_gap)
    from rnnbench.run.single_run import resume_run, work_on_resumed_run

    if place_in_torchrun()[0] > 0:
        return work_on_resumed_run(folder, overrides, trusted=trusted, accept_gap=options.accept_gap)
    return resume_run(folder, overrides, quiet=options.quiet, trusted=trusted, accept_gap=options.accept_gap)


def _check_run(folder: Path) -> None:
    """Refuse a folder that is not that of a run which can be resumed by itself."""
    if any(map(os.path.lexists, (folder / "checkpoint.pt", folder / "checkpoint.previous.pt"))):
        return
    sweep = sweep_of(folder)
    if sweep is not None and is_run_folder(folder):
        raise ConfigError(f"{folder} is trained together with other jobs of a sweep: rnnbench resume {sweep}")
    if not is_run_folder(folder):
        raise ConfigError(f"{folder} holds neither checkpoint.pt nor sweep.json to go on from")
