"""The command `rnnbench`: runs a subcommand, and reports bad input in one line with exit status 2.

Importing this module does not import torch, so that commands that do not train answer at once.
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
rnnbench trains recurrent nets on long-term dependencies and shows why they learn or fail to learn.

usage: rnnbench COMMAND ...

  train [OVERRIDES]            train a net or a sweep: rnnbench train task=adding optim=hf
  tune [OVERRIDES]             search an optimizer's hyperparameters: rnnbench tune task=adding optim=nag
  resume FOLDER [BUDGET]       continue a run, a sweep or a search: rnnbench resume FOLDER budget.updates=400
  list [GROUP [CHOICE]]        show the choices of every group, or the keys of one choice
  report FOLDER... [by=KEYS]   report on runs: tables, and a page with figures
  probe FOLDER... [probe=NAME] analyse saved nets: Jacobians, their products, gradients
  export RUN FILE              write a trained net for plain torch, and print the code that loads it
  check [GROUP=NAME ...]       check classes of your own against their laws: rnnbench check --config-dir my
  reproduce NAME [--quick]     test a claim of the book or a paper; --list shows them
  bench [engine]               measure the engine's speed on this machine against torch.nn and autograd
  bench update [OVERRIDES]     measure which parts of an update take time, and how many threads are fastest
  --version                    show the version
  --help                       show this help; rnnbench train --help has more

Tab completion: eval "$(rnnbench -sc install=bash)" (or zsh, fish)"""

COMMANDS = ("train", "tune", "resume", "list", "report", "probe", "export", "check", "reproduce", "bench")
"""Names of the commands; each is also the name of a module in `rnnbench.commands`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Arguments after `rnnbench`; None: the arguments of this process.

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
            return _report_interruption(interrupt.signal)
        except Exception:
            if interrupt.signal is None:
                raise
            return _report_interruption(interrupt.signal)  # an import that a signal interrupts raises its own error


def _report_interruption(received: signal.Signals | None) -> int:
    """Report the signal that ended the command outside of training; returns the exit status."""
    number = received or signal.SIGINT
    say(f"interrupted by {number.name}")
    return of_signal(number)


def _dispatch(words: list[str]) -> int:
    """Run the command that the first argument names."""
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
    """The error if the first argument is not a command."""
    from rnnbench.config.nearest import did_you_mean, nearest_choices

    if "=" in words[0]:
        return ConfigError(f"a command comes first: rnnbench train {' '.join(words)}")
    near = did_you_mean(nearest_choices("rnnbench", words[0], COMMANDS)) or f"; the commands are {', '.join(COMMANDS)}"
    return ConfigError(f"there is no command {words[0]}{near}")


def _check_working_folder() -> None:
    """Check that the current folder exists and can be read."""
    try:
        os.getcwd()
    except OSError as error:
        raise ConfigError(f"the current folder cannot be used ({reason(error)}); cd to another one") from error
