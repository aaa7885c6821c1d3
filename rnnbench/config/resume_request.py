"""What the words after `rnnbench resume` ask for."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnbench.config.errors import ConfigError
from rnnbench.config.parser import CommandParser
from rnnbench.config.trust import Trusted, add_options, trusted_by


@dataclass(frozen=True)
class ResumeRequest:
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


def resume_parser() -> argparse.ArgumentParser:
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


def parse_resume_request(words: Sequence[str]) -> ResumeRequest:
    """Read the words after `rnnbench resume`; --help shows the options and ends the process.

    Args:
        words: The words; options may stand anywhere, the folder before the overrides.

    Raises:
        ConfigError: The folder is missing, or an option does not exist or lacks its value.
    """
    options = resume_parser().parse_intermixed_args(words)
    if not options.words:
        raise ConfigError("rnnbench resume needs the folder of a run or a sweep")
    folder, *overrides = options.words
    trusted = trusted_by(options, ["resume", *words])
    return ResumeRequest(Path(folder), tuple(overrides), options.quiet, options.accept_gap, trusted)
