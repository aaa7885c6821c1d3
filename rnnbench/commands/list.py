"""`rnnbench list`: the choices of every group, or the keys of one choice."""

from collections.abc import Sequence
from dataclasses import replace

from rnnbench.commands.output import show
from rnnbench.config.listing import list_lines
from rnnbench.config.request import parse_request

HELP = """\
usage: rnnbench list [GROUP [CHOICE]] [--config-dir DIR]
  list [GROUP [CHOICE]]        show the choices of every group, or the keys of one choice"""


def main(words: Sequence[str]) -> int:
    """Run the command.

    Args:
        words: Arguments after `rnnbench list`.

    Returns:
        The exit status.

    Raises:
        ConfigError: The group or choice does not exist.
    """
    request = parse_request(words)
    if request.help:
        return show(lambda: [HELP])
    return show(lambda: list_lines(replace(request, overrides=()), request.overrides))
