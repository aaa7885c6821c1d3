"""The request of a command: the options and overrides after `rnnbench train`."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rnnbench.config.errors import ConfigError
from rnnbench.config.parser import CommandParser, option_folder
from rnnbench.paths import conf_dir


@dataclass(frozen=True)
class Request:
    """The options and overrides of one call of `rnnbench train`.

    Attributes:
        overrides: Hydra overrides, as typed.
        config_path: Absolute path of the main configuration folder; None: that of the package.
        config_name: Name of the main configuration file, in the main folder or the additional folder.
        config_dir: Absolute path of an additional folder of choices.
        multirun: Whether to run a sweep.
        quiet: Whether to hide progress.
        help: Whether to show the help.
        hydra_help: Whether to show Hydra's own help.
        version: Whether to show the version.
        show: Hydra's options, with values, that show something instead of starting a run.
    """

    overrides: tuple[str, ...] = ()
    config_path: Path | None = None
    config_name: str = "config"
    config_dir: Path | None = None
    multirun: bool = False
    quiet: bool = False
    help: bool = False
    hydra_help: bool = False
    version: bool = False
    show: tuple[str, ...] = ()

    @property
    def main_dir(self) -> Path:
        """The main configuration folder."""
        return self.config_path or conf_dir()

    @property
    def main_file(self) -> Path | None:
        """The main configuration file, in the main folder or the additional one; None if neither contains it."""
        folders = [self.main_dir, *([] if self.config_dir is None else [self.config_dir])]
        return next((path for folder in folders if (path := folder / f"{self.config_name}.yaml").is_file()), None)

    def with_overrides(self, *overrides: str) -> "Request":
        """The same request with further overrides, which take precedence."""
        return replace(self, overrides=(*self.overrides, *overrides))

    def hydra_arguments(self) -> list[str]:
        """The arguments of this request for Hydra's own command line: options, then overrides."""
        options = [f"--config-name={self.config_name}", *self.show]
        if self.config_dir is not None:
            options.append(f"--config-dir={self.config_dir}")
        if self.multirun:
            options.append("--multirun")
        if self.hydra_help:
            options.append("--hydra-help")
        return [*options, *self.overrides]


def train_parser() -> argparse.ArgumentParser:
    """The parser of `rnnbench train`: Hydra's options, and -q."""
    parser = CommandParser(prog="rnnbench train", add_help=False, usage="rnnbench train [OPTIONS] [KEY=VALUE ...]")
    add = parser.add_argument
    add("overrides", nargs="*", metavar="KEY=VALUE", help="a choice of a group or the value of a key")
    add("-m", "--multirun", action="store_true", help="a sweep: run every combination, as in -m seed=0,1 optim=hf,nag")
    add("-q", "--quiet", action="store_true", help="no progress on the terminal")
    add("-c", "--cfg", choices=("job", "hydra", "all"), help="show the configuration instead of training")
    add("--resolve", action="store_true", help="with --cfg: resolve interpolations")
    add("-p", "--package", help="with --cfg: only this part, as in -p optim")
    add("-i", "--info", nargs="?", const="all", help="show all, config, defaults, defaults-tree, plugins or searchpath")
    add("-cd", "--config-dir", help="folder with your own choices, such as DIR/task/NAME.yaml")
    add("-cn", "--config-name", default="config", help="main file, in the configuration folder or --config-dir")
    add("-cp", "--config-path", help="main configuration folder instead of rnnbench's")
    add("-h", "--help", action="store_true", help="show this help")
    add("--hydra-help", action="store_true", help="show Hydra's help")
    add("--version", action="store_true", help="show the version")
    add("-r", "--run", action="store_true", help=argparse.SUPPRESS)
    add("--experimental-rerun", help=argparse.SUPPRESS)
    return parser


HEADER = "`# @package _global_`"
INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


def _folder(option: str, given: str | None) -> Path | None:
    """The folder that an option names; None: the option is not given."""
    return None if given is None else option_folder(option, given)


def _plain_experiment(override: str) -> str:
    """Remove the plus of `+experiment=NAME`, which Hydra rejects for a group in the defaults list."""
    return override.lstrip("+") if override.startswith(("+experiment=", "++experiment=")) else override


def parse_request(arguments: Sequence[str]) -> Request:
    """Parse the arguments after `rnnbench train`; options and overrides may come in any order.

    Args:
        arguments: Arguments of the command.

    Raises:
        ConfigError: An option does not exist or has no value, a folder does not exist, or options exclude each other.
    """
    options, unknown = train_parser().parse_known_intermixed_args(arguments)
    if unknown:
        example = "keys are given without dashes, as in optim.lr=0.1 (see rnnbench train --help)"
        raise ConfigError(f"there is no option {unknown[0]}; {example}")
    if options.info is not None and "=" in options.info:  # an override after a bare -i
        options.overrides.append(options.info)
        options.info = "all"
    if options.info not in (None, *INFO):
        raise ConfigError(f"--info has no choice {options.info!r} (choices: {', '.join(INFO)})")
    if (options.cfg is not None) + (options.info is not None) + options.multirun + options.run > 1:
        raise ConfigError("only one of --cfg, --info, --multirun and --run can be given")
    if options.experimental_rerun is not None:
        raise ConfigError(
            "--experimental-rerun is not supported: rnnbench resume FOLDER continues a run, "
            "and .hydra/overrides.yaml in its folder has the overrides to start it again"
        )
    if options.cfg is None and (options.resolve or options.package is not None):
        raise ConfigError("--resolve and --package need --cfg")
    show = []
    if options.cfg is not None:
        show = [f"--cfg={options.cfg}", *["--resolve"] * options.resolve]
        show += [] if options.package is None else [f"--package={options.package}"]
    elif options.info is not None:
        show = [f"--info={options.info}"]
    request = Request(
        overrides=tuple(_plain_experiment(override) for override in options.overrides),
        config_path=_folder("--config-path", options.config_path),
        config_name=options.config_name.removesuffix(".yaml"),
        config_dir=_folder("--config-dir", options.config_dir),
        multirun=options.multirun,
        quiet=options.quiet,
        help=options.help,
        hydra_help=options.hydra_help,
        version=options.version,
        show=tuple(show),
    )
    _check_main_file(request)
    return request


def _check_main_file(request: Request) -> None:
    """Check that the main file exists, and that its keys are at the top level even if it lies in a subfolder."""
    file, name = request.main_file, request.config_name
    if file is None:
        beside = "" if request.config_dir is None else f" nor in {request.config_dir}"
        raise ConfigError(f"--config-name: there is no {name}.yaml in {request.main_dir}{beside}")
    if "/" in name and not re.match(rb"\s*#\s*@package\s+_global_", file.read_bytes()):
        raise ConfigError(f"--config-name: the first line of {file} must be {HEADER}, because it lies in a subfolder")
