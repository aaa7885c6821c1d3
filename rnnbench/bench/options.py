"""The options of `rnnbench bench`; the benchmarks of a checkout have the same and some more. Imports no torch."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rnnbench.config.errors import ConfigError
from rnnbench.config.parser import CommandParser
from rnnbench.config.request import Request, parse_request

ENGINE, UPDATE = "engine", "update"
GROUPS = {
    ENGINE: "gradients and Gauss-Newton products of rnn, gradients of lstm and gru, beside torch.nn and autograd",
    UPDATE: "an update of the run that rnnbench train would start: what takes its time, and what more threads gain",
}
"""What can be measured."""

EXAMPLES = """\
  rnnbench bench                                           the engine, at two shapes
  rnnbench bench engine --shape 8,100,200,50               8 nets of 50 units, 100 sequences of 200 steps each
  rnnbench bench update task=adding optim=hf model.hidden_size=200
  rnnbench bench update -m optim=nag 'seed=range(0,32)'    32 seeds, trained together
  rnnbench bench update optim=adam threads=4               4 threads; without it 1, 2, 4, ... are compared"""


class Shape(NamedTuple):
    """Size of a problem: R replicas, B sequences each, T time steps, n hidden units."""

    replicas: int
    sequences: int
    steps: int
    units: int


@dataclass(frozen=True)
class Options:
    """What to measure, and how thoroughly.

    Attributes:
        group: Name of the group to measure.
        json: File for all measured times; None: none is written.
        threads: Number of threads; None: chosen by the group.
        shapes: Shapes to measure; empty: the default ones of the group.
        rounds: Rounds of every measurement; None: as many as fit into its time.
    """

    group: str = ENGINE
    json: Path | None = None
    threads: int | None = None
    shapes: tuple[Shape, ...] = ()
    rounds: int | None = None


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `rnnbench bench` and the benchmarks share."""
    add = parser.add_argument
    add("--json", metavar="FILE", type=_writable, help="write the times of all rounds, the machine and the versions")
    add("--threads", metavar="N", type=_count, help="number of threads; by default one thread, and all cores")
    add(
        "--shape",
        metavar="R,B,T,n",
        type=_shape,
        action="append",
        default=[],
        help="R nets at once, B sequences for each, T time steps, n hidden units; may be repeated",
    )
    add("--rounds", metavar="N", type=_count, help="repetitions; by default as many as fit into about a minute")


def common_options(given: argparse.Namespace) -> Mapping[str, object]:
    """The values of the shared options, as arguments of `Options`."""
    return {"json": given.json, "threads": given.threads, "shapes": tuple(given.shape), "rounds": given.rounds}


def bench_parser() -> argparse.ArgumentParser:
    """The options of `rnnbench bench`."""
    groups = "\n".join(f"  {name:8}{text}" for name, text in GROUPS.items())
    parser = CommandParser(
        prog="rnnbench bench",
        usage="rnnbench bench [engine] [--shape R,B,T,n] [--threads N] [--rounds N] [--json FILE]\n"
        "       rnnbench bench update [KEY=VALUE ...] [-m] [--config-dir DIR] [--rounds N] [--json FILE]",
        description="Measure how fast this machine is; takes about a minute, in which nothing else should run.",
        epilog=f"what is measured:\n{groups}\n\nexamples:\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_common_options(parser)
    return parser


def parse_options(words: Sequence[str]) -> tuple[Options, Request]:
    """Read the words after `rnnbench bench`; --help shows the options and ends the process.

    Returns:
        The options, and for an update the run whose update it is.

    Raises:
        ConfigError: An option or a group does not exist, a value is wrong, or a folder is missing.
    """
    parser = bench_parser()
    given, rest = parser.parse_known_args(words)
    group = rest.pop(0) if rest and not rest[0].startswith("-") and "=" not in rest[0] else ENGINE
    if group not in GROUPS:
        raise ConfigError(f"there is no group {group!r} to measure; the groups are {', '.join(GROUPS)}")
    options = Options(group=group, **common_options(given))  # type: ignore[arg-type] # values by name
    if group == ENGINE:
        if any("=" in word for word in rest):
            raise ConfigError(f"{rest[0]}: the engine has no keys; rnnbench bench update takes those of rnnbench train")
        if rest:
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        return options, Request()
    if options.shapes or options.threads is not None:
        raise ConfigError("rnnbench bench update takes sizes and threads as keys, as in model.hidden_size=50 threads=2")
    request = parse_request(rest)
    if request.show or request.help or request.hydra_help or request.version or request.quiet:
        raise ConfigError("rnnbench bench update takes KEY=VALUE, -m and --config-dir, as rnnbench train does")
    return options, request


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number >= 1, got {text!r}")
    return int(text)


def _shape(text: str) -> Shape:
    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() and int(part) >= 1 for part in parts):
        raise argparse.ArgumentTypeError(f"must be four whole numbers >= 1, R,B,T,n, as in 1,100,100,100, got {text!r}")
    return Shape(*(int(part) for part in parts))


def _writable(text: str) -> Path:
    path = Path(text).expanduser()
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder; it needs the name of a file")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}")
    return path
