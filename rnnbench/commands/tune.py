"""`rnnbench tune`: searches the hyperparameters of an optimizer on a task, and confirms the best with fresh seeds."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rnnbench.commands.output import show
from rnnbench.commands.train import Trained, plan_of, train
from rnnbench.config.errors import ConfigError
from rnnbench.config.folders import SWEEP_DIR, discard_folders, make_folder
from rnnbench.config.parser import CommandParser
from rnnbench.config.plan import Plan
from rnnbench.config.request import Request, parse_request
from rnnbench.config.search import NUM_FRESH_SEEDS, NUM_SEEDS, plan_search
from rnnbench.config.trust import folders_of_classes
from rnnbench.records import is_sweep_folder
from rnnbench.records.lock import FILE_NAME as LOCK
from rnnbench.records.lock import locked_folder
from rnnbench.records.messages import say, shell_word
from rnnbench.records.tuning import FILE_NAME, SEARCH, Tuning, write_tuning

TRIALS = 16
"""Default number of settings that are tried."""

NOTES = f"""\
  rnnbench tune task=adding optim=nag budget.sequences=200000
  rnnbench tune task=xor optim=adam optim.clip_norm=1             this key is fixed, the others are searched
  rnnbench tune task=adding optim=hf 'init.spectral_radius=interval(0.8,1.4)'   another key is searched too

The ranges are in the file of the optimizer (rnnbench list optim NAME shows them). Every setting is drawn at random and
trained with {NUM_SEEDS} seeds: seed, seed+1, ... The best setting is the one with the largest share solved, then the
fewest sequences until solved, then the smallest loss; it is trained again with the {NUM_FRESH_SEEDS} seeds that follow.
The same command gives the same settings. hydra.sweep.dir=FOLDER sets the folder; rnnbench resume FOLDER continues an
interrupted search."""


def _parser() -> argparse.ArgumentParser:
    """The parser of the options that only `rnnbench tune` has."""
    parser = CommandParser(
        prog="rnnbench tune",
        usage="rnnbench tune [--trials N] [--config-dir DIR] [-q] [KEY=VALUE ...]",
        description="Search the hyperparameters of an optimizer on a task.",
        epilog=NOTES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--trials", metavar="N", default=str(TRIALS), help=f"settings to try; default: {TRIALS}")
    return parser


def parse_options(words: Sequence[str]) -> tuple[int, Request]:
    """Parse the arguments after `rnnbench tune`; --help prints the options and ends the process.

    Returns:
        The number of trials, and the request of the runs.

    Raises:
        ConfigError: An option does not exist or has an invalid value.
    """
    given, rest = _parser().parse_known_args(words)
    if not given.trials.isdecimal() or int(given.trials) < 2:
        raise ConfigError(f"--trials must be a whole number >= 2, got {given.trials}")
    request = parse_request(rest)
    if request.multirun:
        raise ConfigError("rnnbench tune searches for one task and one optimizer; -m is an option of rnnbench train")
    if request.show or request.hydra_help or request.version:
        raise ConfigError("rnnbench tune takes KEY=VALUE, --trials, --config-dir and -q")
    return int(given.trials), request


def main(words: Sequence[str]) -> int:
    """Run the command.

    Args:
        words: Arguments after `rnnbench tune`.

    Returns:
        The exit status; 1 if a job failed.

    Raises:
        ConfigError: The search cannot be made; nothing has been done.
    """
    trials, request = parse_options(words)
    if request.help:
        return show(lambda: [_parser().format_help()])
    return tune(*plan_tuning(request, trials)).status


def plan_tuning(request: Request, trials: int) -> tuple[Plan, Tuning]:
    """Draw the settings, and compose and check every job of the search; nothing is created.

    Args:
        request: Options and overrides of the runs.
        trials: Number of settings.

    Raises:
        ConfigError: The search cannot be made.
    """
    sweep, tuning = plan_search(request, trials)
    plan = plan_of(sweep)
    if plan.launcher is None or plan.is_left_to_hydra:
        raise ConfigError("rnnbench tune needs hydra/launcher=batched, and no hydra.verbose")
    folder = plan.folder.with_name(f"{plan.folder.name}_tune") if plan.numbered else plan.folder
    leftovers = {LOCK, FILE_NAME, SEARCH}  # of a process that was killed before its search
    if folder.is_dir() and not plan.numbered and {*os.listdir(folder)} - leftovers:
        raise ConfigError(f"{folder} is not empty: choose another {SWEEP_DIR}")
    return replace(plan, folder=folder), tuning


def tune(plan: Plan, tuning: Tuning, *, closing: bool = True) -> Trained:
    """Search, and confirm the best setting.

    Args:
        plan: Composed jobs of the search, with the folder of the tuning.
        tuning: How the search is made.
        closing: Whether to print a summary at the end.

    Raises:
        ConfigError: A job cannot be run; nothing has been done.
    """
    missing = [path for path in plan.folder.parents if not path.exists()]
    folder = make_folder(plan.folder, SWEEP_DIR, numbered=plan.numbered).absolute()
    with locked_folder(folder):
        write_tuning(folder, tuning)
        try:
            status = train(replace(plan, folder=folder / SEARCH, numbered=False), closing=False).status
            from rnnbench.sweeps.tuning import search_and_confirm

            trusted = folders_of_classes(plan.request.config_dir)
            status = search_and_confirm(folder, trusted, status, quiet=plan.request.quiet)
        except BaseException:  # a signal too, before the search or between the two sweeps
            if is_sweep_folder(folder / SEARCH):
                say(f"continue  rnnbench resume {shell_word(str(folder))}")
            else:
                (folder / FILE_NAME).unlink(missing_ok=True)
                discard_folders([folder, *missing])
            raise
    if closing:
        close(folder)
    return Trained(status, folder)


def close(folder: Path) -> None:
    """Print the summary of a tuning."""
    from rnnbench.sweeps.tuning_closing import print_tuning_summary

    print_tuning_summary(folder, sys.stdout)
