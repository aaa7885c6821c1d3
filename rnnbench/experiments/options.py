"""Command line of `rnnbench reproduce`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnbench.config.errors import ConfigError
from rnnbench.config.parser import CommandParser

ROOT = Path("runs/reproduce")


@dataclass(frozen=True)
class Options:
    """Experiment to run, and its folder.

    Attributes:
        name: Name of the experiment; None: list all experiments.
        quick: Use fewer nets, so that it ends within two minutes.
        out: Folder of the experiment.
        quiet: Show no progress on the terminal.
    """

    name: str | None
    quick: bool
    out: Path
    quiet: bool


def reproduce_parser() -> argparse.ArgumentParser:
    """The options of `rnnbench reproduce`."""
    parser = CommandParser(
        prog="rnnbench reproduce",
        usage="rnnbench reproduce NAME [--quick] [--out FOLDER] [-q]\n       rnnbench reproduce --list",
        description="Test a claim of the book: train, measure, draw, and end in a verdict.",
        epilog="The rule is in conf/experiment/NAME.yaml; rnnbench list experiment NAME shows it. The same command\n"
        "continues an interrupted experiment. The verdict is: holds, does not hold, or not decided; each has exit\n"
        "status 0.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="name of the experiment")
    parser.add_argument("--list", action="store_true", help="show the experiments")
    parser.add_argument("--quick", action="store_true", help="under two minutes on two cores; may stay undecided")
    parser.add_argument(
        "--out", metavar="FOLDER", help=f"folder of the experiment; default: {ROOT}/NAME, or NAME_quick"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on the terminal")
    return parser


def parse_options(words: Sequence[str]) -> Options:
    """Read the words after `rnnbench reproduce`; --help shows the options and ends the process.

    Raises:
        ConfigError: The name is missing, or there are several; an option does not exist.
    """
    given = reproduce_parser().parse_intermixed_args(words)
    if given.list:
        if given.names or given.quick or given.out:
            raise ConfigError("rnnbench reproduce --list takes nothing else")
        return Options(None, quick=False, out=ROOT, quiet=False)
    if len(given.names) != 1:
        got = " ".join(given.names) or "none"
        raise ConfigError(f"rnnbench reproduce needs the name of one experiment, got {got}; --list shows them")
    (name,) = given.names
    out = ROOT / (f"{name}_quick" if given.quick else name) if given.out is None else Path(given.out).expanduser()
    return Options(name, quick=given.quick, out=out, quiet=given.quiet)
