"""The options of `python -m benchmarks`. Imports no torch."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from rnnbench.bench.options import Options as CommonOptions
from rnnbench.bench.options import add_common_options, common_options
from rnnbench.config.errors import ConfigError
from rnnbench.config.parser import CommandParser

GROUPS = {
    "engine": "gradient and Gauss-Newton product beside other ways to compute them, and beside bare products",
    "training": "whole updates of many seeds together, beside torch.nn.RNN with torch.optim, seed after seed",
    "gated": "gradients of lstm and gru step by step and by torch's operation, beside torch.nn.LSTM and torch.nn.GRU",
    "hf": "products beside PyTorchHessianFree and curvlinops; where the time of an update of hf and of nag goes",
    "tasks": "drawing the batch of every task and variant, as share of the update that uses it",
    "probes": "every probe, as share of a run",
    "sweep": "train -m beside its jobs one by one, its records, its growth with the replicas, its planning",
    "gpu": "gradient and Gauss-Newton product on a GPU beside torch.nn, torch.compile, vmap and JAX; not part of all",
}
"""What can be measured."""

ALL, GPU = "all", "gpu"

SHAPED = ("engine", "training", "gated", GPU)
"""Groups that take shapes."""

PEERS = "JAX, curvlinops, BackPACK (rnnbench[bench]) and PyTorchHessianFree are measured where installed."


@dataclass(frozen=True)
class Options(CommonOptions):
    """What to measure, and how thoroughly.

    Attributes:
        full: Whether to take every shape, the real sizes and more rounds: ten to twenty minutes instead of one.
    """

    full: bool = False

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups to be measured."""
        return tuple(name for name in GROUPS if name != GPU) if self.group == ALL else (self.group,)


def benchmarks_parser() -> argparse.ArgumentParser:
    """The options of `python -m benchmarks`."""
    groups = "\n".join(f"  {name:9}{text}" for name, text in {**GROUPS, ALL: "one after the other"}.items())
    parser = CommandParser(
        prog="python -m benchmarks",
        usage=f"python -m benchmarks [{'|'.join([*GROUPS, ALL])}] [OPTIONS]",
        description="Compare rnnbench with other packages. Nothing else should run on the machine meanwhile.",
        epilog=f"groups:\n{groups}\n\n{PEERS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("group", nargs="?", default="engine", help="what to measure; default: engine")
    parser.add_argument(
        "--full",
        action="store_true",
        help="every shape and more rounds: under ten minutes instead of under one; sweep: its real size, twenty",
    )
    add_common_options(parser)
    return parser


def parse_options(words: Sequence[str]) -> Options:
    """Read the words after `python -m benchmarks`; --help shows the options and ends the process.

    Raises:
        ConfigError: An option or a group does not exist, a value is wrong, or a folder is missing.
    """
    given = benchmarks_parser().parse_intermixed_args(words)
    if given.group not in (*GROUPS, ALL):
        raise ConfigError(f"there is no group {given.group!r} to measure; the groups are {', '.join([*GROUPS, ALL])}")
    options = Options(group=given.group, full=given.full, **common_options(given))  # type: ignore[arg-type] # by name
    if options.shapes and not set(SHAPED) & set(options.groups):
        raise ConfigError(f"--shape is for the groups {', '.join(SHAPED)}, not for {options.group}")
    return options
