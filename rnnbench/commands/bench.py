"""`rnnbench bench`: measures the speed of this machine."""

import argparse
from collections.abc import Sequence

from rnnbench.bench.options import ENGINE, GROUPS, UPDATE, Options, add_common_options, common_options
from rnnbench.config.errors import ConfigError
from rnnbench.config.parser import CommandParser
from rnnbench.config.plan import make_plan
from rnnbench.config.request import Request, parse_request
from rnnbench.config.schema import Config
from rnnbench.config.trust import folders_of_classes
from rnnbench.run.process import check_environment, prepare_process

EXAMPLES = """\
  rnnbench bench                                           the engine, with two shapes
  rnnbench bench engine --shape 8,100,200,50               8 nets of 50 units, 100 sequences of 200 steps each
  rnnbench bench update task=adding optim=hf model.hidden_size=200
  rnnbench bench update -m optim=nag 'seed=range(0,32)'    32 seeds, trained together
  rnnbench bench update optim=adam threads=4               4 threads; without it 1, 2, 4, ... are compared"""


def _parser() -> argparse.ArgumentParser:
    """The parser of `rnnbench bench`."""
    groups = "\n".join(f"  {name:8}{text}" for name, text in GROUPS.items())
    parser = CommandParser(
        prog="rnnbench bench",
        usage="rnnbench bench [engine] [--shape R,B,T,n] [--threads N] [--rounds N] [--json FILE]\n"
        "       rnnbench bench update [KEY=VALUE ...] [-m] [--config-dir DIR] [--rounds N] [--json FILE]",
        description="Measure the speed of this machine. It takes about a minute; run nothing else meanwhile.",
        epilog=f"what is measured:\n{groups}\n\nexamples:\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_common_options(parser)
    return parser


def parse_options(words: Sequence[str]) -> tuple[Options, Request]:
    """Parse the arguments after `rnnbench bench`; --help prints the options and ends the process.

    Returns:
        The options, and the request of the run whose update is measured.

    Raises:
        ConfigError: An option or a group does not exist, a value is invalid, or a folder is missing.
    """
    parser = _parser()
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


def main(words: Sequence[str]) -> int:
    """Run the command.

    Args:
        words: Arguments after `rnnbench bench`.

    Returns:
        The exit status: 0; 1 if two methods for the same numbers disagree, or the JSON file cannot be written.

    Raises:
        ConfigError: An option, a shape or a run is invalid or does not fit this machine.
    """
    options, request = parse_options(words)
    check_environment()
    configs: Sequence[Config] = ()
    if options.group == UPDATE:
        # An update is measured with the process settings of training, the engine with torch's defaults like torch.nn.
        configs = make_plan(request).configs
        prepare_process()
        folders_of_classes(request.config_dir).add_to_path()
    from rnnbench.bench.groups import bench

    return bench(options, configs)
