"""Which classes may be imported for a record: those in folders and modules that the command line names.

Importing a module runs its code, and a record may come from an untrusted source. So the folders of classes in a
checkpoint or a sweep.json are shown to the user but never used. Classes of rnnbench itself are always allowed.
"""

import argparse
import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnbench.config.classes import external_targets, import_origins
from rnnbench.config.errors import ConfigError
from rnnbench.config.parser import option_folder
from rnnbench.config.schema import Config

CONFIG_DIR, TRUST = "config_dir", "trust"
"""Names of the options, as arguments of functions."""

MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

SUBMITIT, SUBMITIT_PREFIX = "submitit", re.compile("^(slurm|local)_")
RESOURCES = frozenset(
    {
        *("account", "comment", "constraint", "dependency", "exclude", "nodelist", "partition", "qos", "wckey"),
        *("cpus_per_gpu", "cpus_per_task", "gpus_per_node", "gpus_per_task", "gres", "num_gpus", "exclusive"),
        *("mem", "mem_gb", "mem_per_cpu", "mem_per_gpu", "nodes", "ntasks_per_node", "tasks_per_node"),
        *("array_parallelism", "max_num_timeout", "signal_delay_s", "stderr_to_stdout", "use_srun"),
        *("time", "timeout_min"),
    }
)
"""Parameters of submitit that request resources and cannot run commands."""


@dataclass(frozen=True)
class Trusted:
    """The folders and modules whose classes may be imported.

    Attributes:
        folders: Absolute paths of folders, searched after Python's own path.
        modules: Dotted names of modules and packages on Python's own path.
        command: Command as typed, which an error message repeats with the missing options; or a function and its
            arguments. Empty: there are no such options.
        is_call: Whether it is a function.
    """

    folders: tuple[Path, ...] = ()
    modules: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    is_call: bool = False

    def add_to_path(self) -> None:
        """Add the folders to Python's module search path."""
        sys.path += [str(folder) for folder in self.folders if str(folder) not in sys.path]

    def covers(self, target: str) -> bool:
        """Whether a class may be imported: its module is named, or lies in one of the folders."""
        if any(target == module or target.startswith(f"{module}.") for module in self.modules):
            return True
        origins = import_origins(target)
        return bool(origins) and all(any(_lies_in(each, folder) for folder in self.folders) for each in origins)

    def command_with(self, options: Iterable[tuple[str, str]]) -> str:
        """The command with further options; the call of a function with those that it has and further ones.

        Args:
            options: `CONFIG_DIR` or `TRUST`, and a value.
        """
        if not self.is_call:
            words = [word for name, value in options for word in (f"--{name.replace('_', '-')}", value)]
            return shlex.join([*self.command, *words])
        values: dict[str, list[str]] = {CONFIG_DIR: [str(folder) for folder in self.folders], TRUST: [*self.modules]}
        for name, value in options:
            values[name].append(value)
        function, *arguments = self.command
        arguments += [f"{name}={(each[0] if len(each) == 1 else each)!r}" for name, each in values.items() if each]
        return f"{function}({', '.join(arguments)})"


NOTHING = Trusted()
"""Nothing is trusted except rnnbench itself."""


def add_trust_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for trusted folders and modules to a parser."""
    add = parser.add_argument
    add("--config-dir", metavar="DIR", action="append", default=[], help="folder with your own classes")
    add(
        "--trust",
        metavar="MODULE",
        action="append",
        default=[],
        help="module with your own classes, on Python's path",
    )


def trusted_by(options: argparse.Namespace, command: Sequence[str]) -> Trusted:
    """The folders and modules that the options of a command name.

    Args:
        options: Parsed options, including those of `add_trust_options`.
        command: Arguments of the command, as typed.

    Raises:
        ConfigError: A folder does not exist, or a module's name is not valid.
    """
    folders = [option_folder("--config-dir", folder) for folder in options.config_dir]
    for module in options.trust:
        if not MODULE.fullmatch(module):
            raise ConfigError(f"--trust takes the name of a module, as in my_package, got {module!r}")
    return Trusted(tuple(folders), tuple(options.trust), ("rnnbench", *command))


def folders_of_classes(config_dir: Path | None) -> Trusted:
    """The folders that contain the classes of the user's own choices.

    Args:
        config_dir: Folder of these choices, from --config-dir; the current folder is searched after it.
    """
    return Trusted(tuple(folder for folder in (config_dir, Path.cwd()) if folder is not None))


def check_trusted(record: Path, configs: Sequence[Config], places: Any, trusted: Trusted) -> None:
    """Check, before anything is imported, that every class is part of rnnbench or trusted.

    Args:
        record: Folder of the record, for the message.
        configs: Configurations read from the record.
        places: Folder of each class according to the record; not validated.
        trusted: Trusted folders and modules.

    Raises:
        ConfigError: A class is not trusted; the message contains the command that would allow it.
    """
    refused = [target for target in external_targets(configs) if not trusted.covers(target)]
    if not refused:
        return
    folders = {target: _place(target, places) for target in refused}
    by_folder = {folder: [target for target in refused if folders[target] == folder] for folder in folders.values()}
    classes = ", ".join(
        f"{' and '.join(targets)} from {folder or 'a folder not recorded'}" for folder, targets in by_folder.items()
    )
    one = len(refused) == 1
    message = f"{record} uses {classes}, {'a class that is' if one else 'classes that are'} not part of rnnbench"
    if not trusted.command:
        raise ConfigError(message)
    options = dict.fromkeys(_option(target, folder) for target, folder in folders.items())
    raise ConfigError(f"{message}; if you trust {'it' if one else 'them'}: {trusted.command_with(options)}")


def check_submitit(record: Path, parameters: Any, trusted: Trusted) -> None:
    """Check that parameters of submitit from a record only request resources, or that submitit is trusted.

    Args:
        record: Folder of the record, for the message.
        parameters: Parameters of `AutoExecutor.update_parameters`.
        trusted: Trusted folders and modules.

    Raises:
        ConfigError: A parameter may run commands; the message contains the command that would allow it.
    """
    if SUBMITIT in trusted.modules:
        return
    for name, value in parameters.items():
        is_plain = value is None or isinstance(value, int | float) or (isinstance(value, str) and value.isprintable())
        if SUBMITIT_PREFIX.sub("", name) not in RESOURCES or not is_plain:
            command = trusted.command_with([(TRUST, SUBMITIT)])
            raise ConfigError(
                f"{record} passes {name}={value!r} to submitit, which may run commands; if you trust it: {command}"
            )


def _lies_in(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or lies inside it, with or without symbolic links resolved."""
    return path.is_relative_to(folder) or Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _place(target: str, places: Any) -> str | None:
    """The folder that a class would be imported from; if Python does not find it, the folder in the record."""
    origins = import_origins(target)
    if origins:
        return str(origins[0].parent)
    place = places.get(target) if isinstance(places, Mapping) else None
    return place if isinstance(place, str) and place.isprintable() and place else None


def _option(target: str, place: str | None) -> tuple[str, str]:
    """The option that makes a class in a folder trusted, and its value."""
    if import_origins(target) and place != os.getcwd():
        return TRUST, target.partition(".")[0]
    return CONFIG_DIR, "DIR" if place is None or not os.path.isdir(place) else place
