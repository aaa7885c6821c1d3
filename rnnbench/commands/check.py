"""`rnnbench check`: checks the laws that every part must satisfy on classes of one's own."""

from collections.abc import Sequence
from pathlib import Path

from rnnbench.commands.output import output_status, show
from rnnbench.config.compose import Composer
from rnnbench.config.errors import ConfigError
from rnnbench.config.listing import Choices
from rnnbench.config.request import Request, parse_request
from rnnbench.config.trust import folders_of_classes
from rnnbench.exit_status import FAILED, OK
from rnnbench.run.process import prepare_process

HELP = """\
usage: rnnbench check --config-dir DIR [GROUP=NAME ...] [KEY=VALUE ...]

  rnnbench check --config-dir my                                  every choice in the folder my, each by itself
  rnnbench check --config-dir my task=first_value model=mgu       two choices, together
  rnnbench check task=adding                                      a packaged one

Checks on small sizes that a choice does what the rest of rnnbench relies on: that batches depend on seed and update
only, gradients and products are those of autograd, replicas compute as if alone, a resumed run is the uninterrupted
one. A law that fails is shown with the smallest size at which it does.
Exit status: 0 all laws hold, 1 one fails, 2 bad input."""

CHECKED = ("task", "model", "init", "optim", "schedule", "probe")
"""Groups whose choices have laws."""


def main(words: Sequence[str]) -> int:
    """Run the command.

    Args:
        words: Arguments after `rnnbench check`.

    Returns:
        The exit status: 0 if all laws hold, 1 if one fails.

    Raises:
        ConfigError: There is nothing to check, or a choice does not exist.
    """
    request = parse_request(words)
    if request.help:
        return show(lambda: [HELP])
    own = _own_choices(request)
    named = [word for word in request.overrides if word.partition("=")[0] in CHECKED]
    if not named and not own:
        where = "no --config-dir is given" if request.config_dir is None else f"{request.config_dir} has no choice"
        raise ConfigError(f"nothing to check: {where}; name a folder, or choices as in task=adding")
    print(f"checking {', '.join(named or [f'{group}={name}' for group, name in own])}", flush=True)
    prepare_process()
    folders_of_classes(request.config_dir).add_to_path()
    return _check(request, own)


def _own_choices(request: Request) -> list[tuple[str, str]]:
    """Group and name of every choice in the folder of the request."""
    if request.config_dir is None:
        return []
    choices = Choices([Path(request.config_dir)])
    return [(group, name) for group in CHECKED for name in choices.files(group)]


def _check(request: Request, own: Sequence[tuple[str, str]]) -> int:
    """Check every subject, and print a line for each law; returns the exit status."""
    from rnnbench.checks.checking import FAILS, HOLDS, SKIPPED, check
    from rnnbench.checks.subjects import subjects
    from rnnbench.run.machine import prepare_arithmetic

    prepare_arithmetic()
    counts = dict.fromkeys((HOLDS, FAILS, SKIPPED), 0)
    with Composer(request) as composer:
        for subject in subjects(composer, request.overrides, own, request.config_dir):
            for outcome in check(subject):
                counts[outcome.verdict] += 1
                line = f"{outcome.verdict:<7} {subject}: {outcome.statement} ({outcome.seconds:.2f} s)"
                print(line, *([f"        {outcome.detail}"] if outcome.detail else []), sep="\n", flush=True)
    print(f"{counts[HOLDS]} hold, {counts[FAILS]} fail, {counts[SKIPPED]} do not apply")
    return max(FAILED if counts[FAILS] else OK, output_status())
