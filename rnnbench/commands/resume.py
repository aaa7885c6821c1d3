"""`rnnbench resume`: continues a run or a sweep."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rnnbench.commands.tune import close as print_tuning
from rnnbench.config.errors import ConfigError
from rnnbench.config.folders import check_utf8, newest_in
from rnnbench.config.given_paths import given_path, no_folder
from rnnbench.config.nearest import did_you_mean
from rnnbench.config.parser import CommandParser
from rnnbench.config.trust import Trusted, add_trust_options, trusted_by
from rnnbench.records import is_run_folder, is_sweep_folder, sweep_of
from rnnbench.records.messages import shell_word
from rnnbench.records.summary import CHECKPOINT
from rnnbench.records.tuning import is_tuning_folder, tuning_of
from rnnbench.run.process import place_in_torchrun, prepare_process

WORDS = "a run or a sweep, then KEY=VALUE of the budget; of a sweep, also hydra.launcher.fail_fast=false"

RUNS = "runs"
"""The folder that runs and sweeps lie in where hydra.run.dir and hydra.sweep.dir do not say otherwise."""


@dataclass(frozen=True)
class Options:
    """The options and overrides of one call of `rnnbench resume`.

    Attributes:
        folder: The folder of a run or a sweep.
        overrides: Overrides of the budget, as KEY=VALUE.
        quiet: Whether to hide progress.
        accept_gap: Whether to continue even if records that the checkpoint counts are lost.
        trusted: The folders and modules whose classes may be imported.
    """

    folder: Path
    overrides: tuple[str, ...]
    quiet: bool
    accept_gap: bool
    trusted: Trusted


def _parser() -> argparse.ArgumentParser:
    """The parser of `rnnbench resume`."""
    parser = CommandParser(
        prog="rnnbench resume",
        usage="rnnbench resume FOLDER [-q] [--accept-gap] [--config-dir DIR] [--trust MODULE] [budget.updates=N] [...]",
        description="Continue a run or a sweep from its last checkpoint, with the same or a larger budget.",
        epilog="Classes outside rnnbench are imported only if their folder (--config-dir) or module (--trust) is\n"
        "named here, whatever the run's files say. Both options can be repeated; see docs/extending.md.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", metavar="FOLDER", nargs="*", help=WORDS)
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on the terminal")
    lost = "continue even if rows of metrics.csv or events that the checkpoint counts are lost"
    parser.add_argument("--accept-gap", action="store_true", help=lost)
    add_trust_options(parser)
    return parser


def parse_options(words: Sequence[str]) -> Options:
    """Parse the arguments after `rnnbench resume`; --help prints the options and ends the process.

    Args:
        words: The arguments; options may stand anywhere, the folder comes before the overrides.

    Raises:
        ConfigError: The folder is missing, or an option does not exist or has no value.
    """
    given = _parser().parse_intermixed_args(words)
    if not given.words:
        raise ConfigError(f"rnnbench resume needs the folder of a run or a sweep{_newest(Path(RUNS))}")
    folder, *overrides = given.words
    return Options(
        given_path(folder), tuple(overrides), given.quiet, given.accept_gap, trusted_by(given, ["resume", *words])
    )


def main(words: Sequence[str]) -> int:
    """Run the command.

    Args:
        words: Arguments after `rnnbench resume`.

    Returns:
        The exit status; for a sweep, the worst of its jobs.

    Raises:
        ConfigError: The folder contains nothing to resume, needs a class that may not be imported, or does not fit
            this machine; or an override is invalid.
        RecordError: A record is damaged, or another process has locked the run or sweep.
    """
    return resume(parse_options(words))


def resume(options: Options, *, closing: bool = True) -> int:
    """Continue a run or a sweep; returns and raises as `main` does.

    Args:
        options: Options and overrides of the command.
        closing: Whether to print a summary at the end.
    """
    folder, overrides, trusted = options.folder, options.overrides, options.trusted
    check_utf8(folder)
    tuning = folder if is_tuning_folder(folder) else tuning_of(folder)
    if tuning is not None:
        return _resume_tuning(replace(options, folder=tuning), closing=closing)
    is_sweep = is_sweep_folder(folder)
    if not is_sweep:
        _check_run(folder)
    prepare_process()
    trusted.add_to_path()
    if is_sweep:
        from rnnbench.sweeps.resume import resume_sweep

        return resume_sweep(
            folder,
            overrides,
            quiet=options.quiet,
            closing=closing,
            trusted=trusted,
            accept_gap=options.accept_gap,
        )
    from rnnbench.run.single_run import resume_run, work_on_resumed_run

    if place_in_torchrun()[0] > 0:
        return work_on_resumed_run(folder, overrides, trusted=trusted, accept_gap=options.accept_gap)
    return resume_run(
        folder, overrides, quiet=options.quiet, closing=closing, trusted=trusted, accept_gap=options.accept_gap
    )


def _resume_tuning(options: Options, *, closing: bool) -> int:
    """Continue a search of `rnnbench tune`, and its confirmation."""
    folder, trusted = options.folder, options.trusted
    if options.overrides:
        raise ConfigError(f"{folder} is a search, whose trials all have the same budget; start another one")
    prepare_process()
    trusted.add_to_path()
    from rnnbench.sweeps.tuning import resume_tuning

    status = resume_tuning(folder, trusted, quiet=options.quiet, accept_gap=options.accept_gap)
    if closing:
        print_tuning(folder)
    return status


def _check_run(folder: Path) -> None:
    """Check that a folder is a run that can be resumed alone."""
    checkpoint = folder / CHECKPOINT
    if any(map(os.path.lexists, (checkpoint, checkpoint.with_suffix(".previous.pt")))):
        return
    sweep = sweep_of(folder)
    if sweep is not None and is_run_folder(folder):
        raise ConfigError(f"{folder} is trained together with other jobs of a sweep: rnnbench resume {sweep}")
    if not folder.is_dir():
        raise ConfigError(no_folder(folder) + ("" if folder.is_file() else _newest(Path(RUNS))))
    if not is_run_folder(folder):
        newest = _newest(folder) or "; rnnbench train starts a run"
        raise ConfigError(f"{folder} holds neither {CHECKPOINT} nor sweep.json to continue from{newest}")


def _newest(folder: Path) -> str:
    """The end of a message: the newest runs and sweeps below a folder; nothing if there is none."""
    return did_you_mean(shell_word(str(path)) for path in newest_in(folder))
