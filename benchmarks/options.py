"""The options of `python -m benchmarks`. Imports no torch."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from rnnbench.bench.options import Options as CommonOptions
from rnnbench.bench.options import add_common_options, common_options
from rnnbench.config.errors import ConfigError
from rnnbench.config.parser import CommandParser

GROUPS = {
    "engine": "gradient and Gauss-Newton product, compared with other ways, and its share of the peak",
    "cores": "gradient and product with 1, 2, 4, ... threads, up to --threads, compared with a prediction",
    "training": "updates of many seeds together, compared with torch.nn.RNN and torch.optim, one seed at a time",
    "gated": "gradients and products of lstm and gru, compared with gradients of torch.nn.LSTM and torch.nn.GRU",
    "hf": "products, compared with PyTorchHessianFree and curvlinops; the parts of an update of hf and of nag",
    "modules": "rnnbench.HessianFree on torch modules: products, and the loss against time, compared with others",
    "tasks": "drawing the batch of every task and variant, as a share of the update that uses it",
    "probes": "every probe, as a share of a run",
    "sweep": "train -m, compared with its jobs one by one; its records, its growth with the replicas, its planning",
    "gpu": "gradient and Gauss-Newton product on a GPU, compared with torch.nn, torch.compile, vmap, JAX; not in all",
}
"""Groups of measurements."""

ALL, GPU = "all", "gpu"

SHAPED = ("engine", "cores", "training", "gated", GPU)
"""Groups that accept --shape."""

PEERS = "JAX, curvlinops, BackPACK (rnnbench[bench]) and PyTorchHessianFree are measured if installed."


@dataclass(frozen=True)
class Options(CommonOptions):
    """Options of the benchmarks.

    Attributes:
        full: Whether to measure all shapes, full sizes and more rounds: ten to twenty minutes instead of one.
    """

    full: bool = False

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups to measure."""
        return tuple(name for name in GROUPS if name != GPU) if self.group == ALL else (self.group,)


def benchmarks_parser() -> argparse.ArgumentParser:
    """Make the parser of `python -m benchmarks`."""
    groups = "\n".join(f"  {name:9}{text}" for name, text in {**GROUPS, ALL: "one after the other"}.items())
    parser = CommandParser(
        prog="python -m benchmarks",
        usage=f"python -m benchmarks [{'|'.join([*GROUPS, ALL])}] [OPTIONS]",
        description="Compare rnnbench with other packages. Run nothing else on the machine at the same time.",
        epilog=f"groups:\n{groups}\n\n{PEERS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("group", nargs="?", default="engine", help="what to measure; default: engine")
    parser.add_argument(
        "--full",
        action="store_true",
        help="all shapes and more rounds: under ten minutes instead of under one; sweep: full size, twenty minutes",
    )
    add_common_options(parser)
    return parser


def parse_options(words: Sequence[str]) -> Options:
    """Parse the arguments of `python -m benchmarks`; --help prints the options and ends the process.

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
