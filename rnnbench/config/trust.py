"""What a person names on the command line, and the program therefore imports.

A record is read as a stranger's: to import a module is to run it, so what a checkpoint or a sweep.json says of where
its classes lie is shown and not followed. rnnbench's own classes need nothing.
"""

import argparse
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnbench.config.classes import origins_of, own_targets
from rnnbench.config.errors import ConfigError
from rnnbench.config.schema import Config

MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

SUBMITIT, SUBMITIT_PREFIX = "submitit", re.compile("^(slurm|local)_")
RESOURCES = frozenset(
    {
        *("account", "comment", "constraint", "dependency", "exclude", "nodelist", "partition", "qos", "wckey"),
        *("cpus_per_gpu", "cpus_per_task", "gpus_per_node", "gpus_per_task", "gres", "num_gpus", "exclusive"),
        *("mem", "mem_gb", "mem_per_cpu", "mem_per_gpu", "nodes", "ntasks_per_node", "tasks_per_node"),
        *("array_parallelism", "signal_delay_s", "stderr_to_stdout", "time", "timeout_min", "use_srun"),
    }
)
"""Parameters of submitit that say what a task gets, and run nothing."""


@dataclass(frozen=True)
class Trusted:
    """The folders and modules whose classes may be imported.

    Attributes:
        folders: Absolute paths; they are searched after Python's own path.
        modules: Dotted names of modules and packages that Python finds by itself.
        command: The command as typed, which a refusal repeats with what it lacks; empty: it takes no such options.
    """

    folders: tuple[Path, ...] = ()
    modules: tuple[str, ...] = ()
    command: tuple[str, ...] = ()

    def add_to_path(self) -> None:
        """Have Python find modules in the folders."""
        sys.path += [str(folder) for folder in self.folders if str(folder) not in sys.path]

    def covers(self, target: str) -> bool:
        """Whether a class may be imported: its module is named, or lies in one of the folders."""
        if any(target == module or target.startswith(f"{module}.") for module in self.modules):
            return True
        origins = origins_of(target)
        return bool(origins) and all(any(_lies_in(each, folder) for folder in self.folders) for each in origins)


NOTHING = Trusted()
"""What is trusted where nobody has named anything."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give a command the options that name folders and modules."""
    add = parser.add_argument
    add("--config-dir", metavar="DIR", action="append", default=[], help="a folder with classes of your own")
    add(
        "--trust",
        metavar="MODULE",
        action="append",
        default=[],
        help="a module of your own that Python finds by itself",
    )


def trusted_by(options: argparse.Namespace, command: Sequence[str]) -> Trusted:
    """What the options of a command name.

    Args:
        options: With those of `add_options`.
        command: The words of the command, as typed.

    Raises:
        ConfigError: A folder does not exist, or a module's name cannot be one.
    """
    folders = [Path(os.path.realpath(Path(folder).expanduser())) for folder in options.config_dir]
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"--config-dir: there is no folder {folder}")
    for module in options.trust:
        if not MODULE.fullmatch(module):
            raise ConfigError(f"--trust takes the name of a module, as in my_package, got {module!r}")
    return Trusted(tuple(folders), tuple(options.trust), ("rnnbench", *command))


def folders_of_classes(config_dir: Path | None) -> Trusted:
    """The folders in which the classes of a user's own choices are looked for.

    Args:
        config_dir: The folder with these choices, from --config-dir; the current folder comes after it.
    """
    return Trusted(tuple(folder for folder in (config_dir, Path.cwd()) if folder is not None))


def check_trusted(record: Path, configs: Sequence[Config], places: Any, trusted: Trusted) -> None:
    """Check, before anything is imported, that every class is rnnbench's or may be imported.

    Args:
        record: The folder that the configurations come from, for the message.
        configs: Read from it.
        places: Where the classes came from, as it says; anything, where it is a stranger's.
        trusted: What the person has named.

    Raises:
        ConfigError: A class may not be imported; the message has the command that would allow it.
    """
    refused = [target for target in own_targets(configs) if not trusted.covers(target)]
    if not refused:
        return
    found = {target: _place(target, places) for target in refused}
    of_place = {place: [target for target in refused if found[target] == place] for place in found.values()}
    classes = ", ".join(
        f"{' and '.join(of_place[place])} from {place or 'a folder not recorded'}" for place in of_place
    )
    one = len(refused) == 1
    message = f"{record} uses {classes}, {'a class that is' if one else 'classes that are'} not rnnbench's"
    if not trusted.command:
        raise ConfigError(message)
    options = dict.fromkeys(_option(target, place) for target, place in found.items())
    command = f"{shlex.join(trusted.command)} {' '.join(options)}"
    raise ConfigError(f"{message}; if you trust {'it' if one else 'them'}: {command}")


def check_submitit(record: Path, parameters: Any, trusted: Trusted) -> None:
    """Check that parameters of submitit out of a record ask for resources and run nothing, or that it is trusted.

    Args:
        record: The folder that they come from, for the message.
        parameters: Of `AutoExecutor.update_parameters`.
        trusted: What the person has named.

    Raises:
        ConfigError: They may run commands; the message has the command that would allow it.
    """
    if SUBMITIT in trusted.modules:
        return
    for name, value in parameters.items():
        is_plain = value is None or isinstance(value, int | float) or (isinstance(value, str) and value.isprintable())
        if SUBMITIT_PREFIX.sub("", name) not in RESOURCES or not is_plain:
            command = shlex.join([*trusted.command, "--trust", SUBMITIT])
            raise ConfigError(
                f"{record} asks submitit for {name}={value!r}, which may run commands; if you trust it: {command}"
            )


def _lies_in(path: Path, folder: Path) -> bool:
    """Whether a path lies in a folder or is it, with symbolic links followed or not."""
    return path.is_relative_to(folder) or Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _place(target: str, places: Any) -> str | None:
    """The folder that a class would be imported from, else the one that the record names."""
    origins = origins_of(target)
    if origins:
        return str(origins[0].parent)
    place = places.get(target) if isinstance(places, Mapping) else None
    return place if isinstance(place, str) and place.isprintable() and place else None


def _option(target: str, place: str | None) -> str:
    """The option that lets a class be imported from a folder."""
    if origins_of(target) and place != os.getcwd():
        return f"--trust {target.partition('.')[0]}"
    return f"--config-dir {'DIR' if place is None or not os.path.isdir(place) else shlex.quote(place)}"
