"""`rnnbench -sc`: tab completion by Hydra, extended to the subcommand before the overrides."""

import contextlib
import io
import os
from collections.abc import MutableMapping, Sequence

from rnnbench.bench.options import GROUPS as BENCH_GROUPS
from rnnbench.bench.options import UPDATE
from rnnbench.config.errors import ConfigError
from rnnbench.config.hydra_main import call_hydra, show_nothing
from rnnbench.config.listing import GROUPS, KEYS, folders_of
from rnnbench.config.request import Request
from rnnbench.paths import conf_dir

HIDDEN = "schema"  # Hydra lists the schema as a group
SHELLS = ("bash", "fish", "zsh")
TASKS = ("install", "uninstall", "query")

FIRST_WORDS = {"bench": {name: name == UPDATE for name in BENCH_GROUPS}}
"""For commands that take a group first: name of the group -> whether overrides follow it."""


def complete(option: str, commands: Sequence[str], environment: MutableMapping[str, str] = os.environ) -> str:
    """The text that `rnnbench -sc OPTION` prints: one suggestion per line for fish, else separated by spaces.

    Args:
        option: install=SHELL, uninstall=SHELL or query=SHELL.
        commands: The subcommands.
        environment: Environment variables; COMP_LINE is the line being typed, and is changed for Hydra.

    Raises:
        ConfigError: The option does not exist, or there is no completion for this shell.
    """
    task, _, shell = option.partition("=")
    if task not in TASKS:
        raise ConfigError(f"-sc needs install=SHELL, uninstall=SHELL or query=SHELL, got {option!r}")
    if shell not in SHELLS:
        raise ConfigError(f"-sc: there is completion for {', '.join(SHELLS)}, got {option!r}")
    line = environment.get("COMP_LINE", "")
    words = line.split(" ")
    separator = "\n" if option.endswith("=fish") else " "
    if option.startswith("query"):
        if len(words) <= 2:
            return separator.join(command for command in commands if command.startswith(words[-1]))
        if words[1] == "list":
            return separator.join(_list_words(words[2:]))
        first = FIRST_WORDS.get(words[1], {})
        if first and len(words) == 3:
            return separator.join(name for name in first if name.startswith(words[2]))
        if words[1] not in commands or (first and not first.get(words[2])):
            return ""
        environment["COMP_LINE"] = " ".join([words[0], *words[3 if first else 2 :]])
        if "COMP_POINT" in environment:
            environment["COMP_POINT"] = str(len(environment["COMP_LINE"]))
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        call_hydra(["-sc", option], conf_dir(), show_nothing)
    if not option.startswith("query"):
        return printed.getvalue().rstrip("\n")
    return separator.join(word for word in printed.getvalue().split() if not word.startswith(HIDDEN))


def _list_words(words: Sequence[str]) -> list[str]:
    """Completions of the last argument after `rnnbench list`."""
    if len(words) == 1:
        return [name for name in (*GROUPS, KEYS) if name.startswith(words[0])]
    return [name for name in folders_of(Request()).files(words[0]) if name.startswith(words[-1])]
