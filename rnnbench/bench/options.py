"""The options that `rnnbench bench` and the benchmarks of a checkout share. This module imports no torch."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ENGINE, UPDATE = "engine", "update"
GROUPS = {
    ENGINE: "gradients and Gauss-Newton products of rnn, gradients of lstm and gru, compared with torch",
    UPDATE: "an update of the run that rnnbench train would start: the time of its parts, with several threads",
}
"""Groups of measurements."""


class Shape(NamedTuple):
    """Size of a problem: R replicas, B sequences each, T time steps, n hidden units."""

    replicas: int
    sequences: int
    steps: int
    units: int


@dataclass(frozen=True)
class Options:
    """Options of a measurement.

    Attributes:
        group: Name of the group to measure.
        json: File for all measured times; None: no file is written.
        threads: Number of threads; None: chosen by the group.
        shapes: Shapes to measure; empty: the default shapes of the group.
        rounds: Number of rounds of every measurement; None: as many as fit into its time.
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
    """Return the values of the shared options, as arguments of `Options`."""
    return {"json": given.json, "threads": given.threads, "shapes": tuple(given.shape), "rounds": given.rounds}


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
