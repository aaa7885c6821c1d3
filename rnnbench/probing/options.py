"""What the words after `rnnbench probe` ask for."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnbench.config.errors import ConfigError
from rnnbench.config.parser import CommandParser
from rnnbench.config.trust import Trusted, add_options, trusted_by

FOLDER_NAME = "probe"
DEFAULT_SEQUENCES = 100


@dataclass(frozen=True)
class Options:
    """What is to be probed, by which probes, and where to.

    Attributes:
        folders: Runs, sweeps, or any folders that hold them.
        overrides: Of the group probe: a choice, and values of its keys.
        out: Where what is found goes; None: into a folder `probe` of each run.
        num_sequences: Of the batch on which the nets are looked at.
        trusted: The folders of choices and classes of one's own, and modules whose classes may be imported.
    """

    folders: tuple[Path, ...]
    overrides: tuple[str, ...]
    out: Path | None
    num_sequences: int
    trusted: Trusted


def probe_parser() -> argparse.ArgumentParser:
    """The options of `rnnbench probe`."""
    parser = CommandParser(
        prog="rnnbench probe",
        usage="rnnbench probe FOLDER... [probe=CHOICE] [probe.NAME.KEY=VALUE ...] [--out DIR] [--sequences N]",
        description="Look at the net that a run has saved, with the probes that can look at it while it trains.",
        epilog="Without a choice it is probe=all; rnnbench list probe shows them. The sequences are held-out ones of\n"
        "the run's task, the same for every run of it. docs/probes.md says how to read what comes out.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", metavar="FOLDER", nargs="*", help="a run, a sweep, or a folder that holds some")
    parser.add_argument("--out", metavar="DIR", help="where the results go; FOLDER/probe without it")
    parser.add_argument("--sequences", metavar="N", default=str(DEFAULT_SEQUENCES), help="sequences, 100 without it")
    add_options(parser)
    return parser


def parse_options(words: Sequence[str]) -> Options:
    """Read the words after `rnnbench probe`; --help shows the options and ends the process.

    Raises:
        ConfigError: A folder is missing, an option does not exist, or a value cannot be.
    """
    given = probe_parser().parse_intermixed_args(words)
    overrides = tuple(word for word in given.words if "=" in word or word.startswith(("~", "+")))
    folders = tuple(Path(word).expanduser() for word in given.words if word not in overrides)
    if not folders:
        raise ConfigError("rnnbench probe needs the folder of a run or of a sweep")
    trusted = trusted_by(given, ["probe", *words])
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"there is no folder {folder}")
    for override in overrides:
        key = override.lstrip("~+").partition("=")[0]
        if key != "probe" and not key.startswith("probe."):
            raise ConfigError(f"{override}: only probe=CHOICE and its keys can be given, the rest is the run's own")
    if not given.sequences.isdecimal() or int(given.sequences) < 1:
        raise ConfigError(f"--sequences must be a whole number >= 1, got {given.sequences!r}")
    out = None if given.out is None else Path(given.out).expanduser()
    return Options(folders, overrides, out, int(given.sequences), trusted)
