"""What the words after `rnnbench bench` ask for. Imports no torch."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

GROUPS = {
    "engine": "gradient and Gauss-Newton product beside other ways to compute them, and the floor",
    "training": "whole updates of many seeds together, beside torch.nn.RNN with torch.optim, seed after seed",
    "gated": "gradients of lstm and gru step by step and by torch's operation, beside torch.nn.LSTM and torch.nn.GRU",
    "hf": "products beside PyTorchHessianFree and curvlinops; where the time of an update of hf and of nag goes",
    "tasks": "drawing the batch of every task and variant, as share of the update that uses it",
    "probes": "every probe, as share of a run",
    "sweep": "train -m beside its jobs one by one, its records, its growth with the replicas, its planning",
    "gpu": "gradient and Gauss-Newton product on a GPU beside torch.nn, torch.compile, vmap and JAX; not part of all",
}
"""What can be measured."""

ALL = "all"
GPU = "gpu"

SHAPED = ("engine", "training", "gated", GPU)
"""Those that take shapes."""

PEERS = "JAX, curvlinops, BackPACK (rnnbench[bench]) and PyTorchHessianFree are measured where installed."
"""What the epilog of the help says last."""


class OptionError(Exception):
    """Options that cannot be measured: one line that says what is wrong and what would be right."""


class Shape(NamedTuple):
    """Size of a problem: R replicas, B sequences each, T time steps, n hidden units."""

    replicas: int
    sequences: int
    steps: int
    units: int


@dataclass(frozen=True)
class Options:
    """What is to be measured, and how thoroughly.

    Attributes:
        group: One of `GROUPS`.
        full: Every shape, the real sizes and more rounds: ten minutes, of a sweep twenty, in place of one.
        json: Where everything goes that was measured; None: nowhere.
        threads: Number of threads; None: one, and all cores.
        shapes: Shapes for the groups of `SHAPED`; empty: those of the bench.
        rounds: Rounds of every measurement; None: as many as fit the time.
    """

    group: str = "engine"
    full: bool = False
    json: Path | None = None
    threads: int | None = None
    shapes: tuple[Shape, ...] = ()
    rounds: int | None = None

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups to be measured."""
        return tuple(name for name in GROUPS if name != GPU) if self.group == ALL else (self.group,)


class _Parser(argparse.ArgumentParser):
    """Raises in place of printing a usage of several lines."""

    def error(self, message: str) -> NoReturn:
        raise OptionError(f"{message} (see rnnbench bench --help)")


def bench_parser() -> argparse.ArgumentParser:
    """The options of `rnnbench bench`."""
    groups = "\n".join(f"  {name:9}{text}" for name, text in {**GROUPS, ALL: "one after the other"}.items())
    parser = _Parser(
        prog="rnnbench bench",
        usage=f"rnnbench bench [{'|'.join([*GROUPS, ALL])}] [OPTIONS]",
        description="Measure what this machine does; without a group: engine. Leave the machine alone meanwhile.",
        epilog=f"groups:\n{groups}\n\n{PEERS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("group", nargs="?", default="engine", help="what to measure")
    add(
        "--full",
        action="store_true",
        help="every shape and more rounds: under ten minutes in place of under one; sweep: its real size, twenty",
    )
    add("--json", metavar="FILE", help="keep every round, the machine and the versions")
    add("--threads", metavar="N", type=_count, help="default: one thread, and all cores")
    add(
        "--shape",
        metavar="R,B,T,n",
        type=_shape,
        action="append",
        default=[],
        help="a shape for engine, training or gated: replicas, sequences, time steps, hidden units; may be repeated",
    )
    add("--rounds", metavar="N", type=_count, help="default: as many as fit the time")
    return parser


def parse_options(words: Sequence[str]) -> Options:
    """Read the words after `rnnbench bench`; --help shows the options and ends the process.

    Raises:
        OptionError: An option or a group does not exist, a value is malformed, or a folder is missing.
    """
    given = bench_parser().parse_intermixed_args(words)
    if given.group not in (*GROUPS, ALL):
        raise OptionError(f"there is no group {given.group!r} to measure; the groups are {', '.join([*GROUPS, ALL])}")
    options = Options(
        group=given.group,
        full=given.full,
        json=None if given.json is None else _writable(given.json),
        threads=given.threads,
        shapes=tuple(given.shape),
        rounds=given.rounds,
    )
    if options.shapes and not set(SHAPED) & set(options.groups):
        raise OptionError(f"--shape is for the groups {', '.join(SHAPED)}, not for {options.group}")
    return options


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
        raise OptionError(f"--json: {text} is a folder; it needs the name of a file")
    if not path.parent.is_dir():
        raise OptionError(f"--json: there is no folder {path.parent}")
    return path
