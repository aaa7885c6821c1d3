"""The command `rnnbench`: subcommands in front of Hydra, and every user error one line with exit status 2.

Nothing here imports torch before a run has been checked, so that everything that does not train answers at once.
"""

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence

from rnnbench import __version__
from rnnbench.commands.output import output_status, show
from rnnbench.config.errors import ConfigError
from rnnbench.exit_status import BAD_INPUT, OK, of_signal
from rnnbench.records.errors import RecordError
from rnnbench.records.growing_file import reason
from rnnbench.records.messages import say
from rnnbench.training.interrupt import Interrupt, Interrupted

USAGE = """\
rnnbench trains recurrent nets on long-term dependencies, and shows why they learn or do not.

usage: rnnbench COMMAND ...

  train [OVERRIDES]            train: rnnbench train task=adding optim=hf
  resume FOLDER [BUDGET]       go on with a run or a sweep: rnnbench resume FOLDER budget.updates=400
  list [GROUP [CHOICE]]        show the choices of every group, or the keys of one choice
  report FOLDER... [by=KEYS]   what runs came to: a table, and a page with figures
  probe FOLDER... [probe=NAME] look at saved nets: Jacobians, products, gradients
  reproduce NAME [--quick]     put a claim of the book to the test; --list shows them
  bench [engine]               how fast the engine is on this machine, beside torch.nn and autograd
  bench update [OVERRIDES]     what an update of a run spends its time on, and how many threads to use
  --version                    show the version
  --help                       show this help; rnnbench train --help has more

Tab completion: eval "$(rnnbench -sc install=bash)" (or zsh, fish)"""

COMMANDS = ("train", "resume", "list", "report", "probe", "reproduce", "bench")
"""Names of the commands, each also the name of its module in `rnnbench.commands`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: The words after `rnnbench`; None: those of this process.

    Returns:
        The exit status: 0 ended as planned, 1 a job failed, 2 bad input, 128 + N ended by signal N.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    with Interrupt() as interrupt:
        try:
            with interrupt.allowed():
                return _dispatch(words)
        except (ConfigError, RecordError) as error:
            if os.environ.get("HYDRA_FULL_ERROR") == "1":
                traceback.print_exc()
            say(str(error))
            return BAD_INPUT
        except SystemExit as ended:  # argparse has shown the help of a command
            if ended.code not in (None, OK):
                raise
            return output_status()
        except (Interrupted, KeyboardInterrupt):
            return _end_by(interrupt.signal)
        except Exception:
            if interrupt.signal is None:
                raise
            return _end_by(interrupt.signal)  # an import that a signal has cut short says that it has failed


def _end_by(received: signal.Signals | None) -> int:
    """Say which signal has ended the command outside of training; the exit status."""
    number = received or signal.SIGINT
    say(f"interrupted by {number.name}")
    return of_signal(number)


def _dispatch(words: list[str]) -> int:
    """Run the command that the first word names."""
    if not words:
        print(USAGE, file=sys.stderr)
        return BAD_INPUT
    if words[0] in ("-h", "--help", "help"):
        return show(lambda: [USAGE])
    if words[0] == "--version":
        return show(lambda: [f"rnnbench {__version__}"])
    _check_working_folder()
    if words[0] in ("-sc", "--shell-completion"):
        from rnnbench.commands.complete import complete

        return show(lambda: [complete(words[1] if len(words) > 1 else "", COMMANDS)])
    if words[0] not in COMMANDS:
        raise _no_command(words)
    status: int = importlib.import_module(f"rnnbench.commands.{words[0]}").main(words[1:])
    return status


def _no_command(words: list[str]) -> ConfigError:
    """The error on words that do not begin with a command."""
    from rnnbench.config.nearest import did_you_mean, nearest_keys

    if "=" in words[0]:
        return ConfigError(f"a command comes first: rnnbench train {' '.join(words)}")
    near = did_you_mean(nearest_keys(words[0], COMMANDS)) or f"; the commands are {', '.join(COMMANDS)}"
    return ConfigError(f"there is no command {words[0]}{near}")


def _check_working_folder() -> None:
    """Check that paths can be read from the folder that the command was called in."""
    try:
        os.getcwd()
    except OSError as error:
        raise ConfigError(f"the current folder cannot be used ({reason(error)}); cd to another one") from error
