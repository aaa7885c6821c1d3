"""Tab completion: Hydra's, told about the subcommand that stands before the overrides."""

import contextlib
import io
from collections.abc import Callable, Mapping, MutableMapping, Sequence

from rnnbench.config.listing import GROUPS, KEYS, folders_of
from rnnbench.config.request import Request

HIDDEN = "schema"  # Hydra lists the schema among the groups


def complete(
    option: str,
    environment: MutableMapping[str, str],
    commands: Sequence[str],
    groups: Mapping[str, Mapping[str, bool]],
    ask_hydra: Callable[[str], None],
) -> str:
    """What `rnnbench -sc OPTION` prints; fish wants a suggestion per line, bash and zsh words.

    Args:
        option: install=SHELL, uninstall=SHELL or query=SHELL.
        environment: COMP_LINE in it is the line that is being typed; changed for Hydra.
        commands: The subcommands.
        groups: For commands that take a group first: its names, and whether overrides follow it.
        ask_hydra: Lets Hydra print what it has to say about an option.
    """
    line = environment.get("COMP_LINE", "")
    words = line.split(" ")
    separator = "\n" if option.endswith("=fish") else " "
    if option.startswith("query"):
        if len(words) <= 2:
            return separator.join(command for command in commands if command.startswith(words[-1]))
        if words[1] == "list":
            return separator.join(_list_words(words[2:]))
        first = groups.get(words[1], {})
        if first and len(words) == 3:
            return separator.join(name for name in first if name.startswith(words[2]))
        if words[1] not in commands or (first and not first.get(words[2])):
            return ""
        environment["COMP_LINE"] = " ".join([words[0], *words[3 if first else 2 :]])
        if "COMP_POINT" in environment:
            environment["COMP_POINT"] = str(len(environment["COMP_LINE"]))
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        ask_hydra(option)
    if not option.startswith("query"):
        return printed.getvalue().rstrip("\n")
    return separator.join(word for word in printed.getvalue().split() if not word.startswith(HIDDEN))


def _list_words(words: Sequence[str]) -> list[str]:
    """Completions of the last word after `rnnbench list`."""
    if len(words) == 1:
        return [name for name in (*GROUPS, KEYS) if name.startswith(words[0])]
    return [name for name in folders_of(Request()).files(words[0]) if name.startswith(words[-1])]
