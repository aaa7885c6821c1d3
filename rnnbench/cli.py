"""The command `rnnbench`: subcommands in front of Hydra, and every user error one line with exit status 2.

Nothing here imports torch before a run has been checked, so that everything that does not train answers at once.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rnnbench import __version__
from rnnbench.config.errors import ConfigError
from rnnbench.exit_status import BAD_INPUT, FAILED, OK, of_signal
from rnnbench.records.growing_file import reason
from rnnbench.records.messages import printable, say
from rnnbench.streams import output_error
from rnnbench.training.interrupt import Interrupt, Interrupted

if TYPE_CHECKING:
    from rnnbench.config.request import Request
    from rnnbench.config.schema import Config

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

TRAIN_NOTES = """\
  rnnbench train                                        the adding problem by Hessian-free
  rnnbench train task=multiplication optim=nag          another task, another optimizer
  rnnbench train task.sequence_length=100 seed=3        values of keys
  rnnbench train -m 'seed=range(0,8)' optim=sgd,nag     a sweep: every combination is a run
  rnnbench train --config-dir my task=mine              a choice of your own, from my/task/mine.yaml

rnnbench list GROUP CHOICE shows the keys of a choice, rnnbench list keys those beside the groups,
rnnbench train --cfg job the whole configuration of a run."""


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
        except ConfigError as error:
            if os.environ.get("HYDRA_FULL_ERROR") == "1":
                traceback.print_exc()
            say(str(error))
            return BAD_INPUT
        except SystemExit as ended:  # argparse has shown the help of a command
            if ended.code not in (None, OK):
                raise
            return _output_status()
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
        return _show(lambda: [USAGE])
    if words[0] == "--version":
        return _show(lambda: [f"rnnbench {__version__}"])
    _check_working_folder()
    if words[0] in ("-sc", "--shell-completion"):
        return _show(lambda: [_complete(words[1] if len(words) > 1 else "")])
    if words[0] not in COMMANDS:
        from rnnbench.config.nearest import did_you_mean, nearest_keys

        if "=" in words[0]:
            raise ConfigError(f"a command comes first: rnnbench train {' '.join(words)}")
        near = did_you_mean(nearest_keys(words[0], COMMANDS)) or f"; the commands are {', '.join(COMMANDS)}"
        raise ConfigError(f"there is no command {words[0]}{near}")
    return COMMANDS[words[0]](words[1:])


def _check_working_folder() -> None:
    """Check that paths can be read from the folder that the command was called in."""
    try:
        os.getcwd()
    except OSError as error:
        raise ConfigError(f"the current folder cannot be used ({reason(error)}); cd to another one") from error


def _show(lines: Callable[[], Sequence[str] | Iterator[str]]) -> int:
    """Print lines, which are the whole result of a command; returns its exit status."""
    for text in lines():
        for line in text.split("\n"):
            print(printable(line))
    return _output_status()


def _output_status() -> int:
    """The exit status of a command whose result is what it has printed."""
    error = output_error()
    if error is None:
        return OK
    say(f"cannot write to standard output: {reason(error)}")
    return FAILED


def _list(words: list[str]) -> int:
    """`rnnbench list [GROUP [CHOICE]] [--config-dir DIR]`."""
    from rnnbench.config.listing import list_lines
    from rnnbench.config.request import parse_request

    request = parse_request(words)
    if request.help:
        meaning = [line for line in USAGE.splitlines() if line.startswith("  list")]
        return _show(lambda: ["usage: rnnbench list [GROUP [CHOICE]] [--config-dir DIR]", *meaning])
    return _show(lambda: list_lines(replace(request, overrides=()), request.overrides))


def _train_help(request: "Request") -> Iterator[str]:
    """The lines of `rnnbench train --help`."""
    from rnnbench.config.listing import GROUPS, group_lines
    from rnnbench.config.request import train_parser

    yield train_parser().format_help()
    yield TRAIN_NOTES
    yield ""
    yield "Choices (* is the default):"
    yield from group_lines(request, list(GROUPS))


def _train(words: list[str]) -> int:
    """`rnnbench train`."""
    from rnnbench.config.request import parse_request

    request = parse_request(words)
    if request.help:
        return _show(lambda: _train_help(request))
    if request.version:
        return _show(lambda: [f"rnnbench {__version__}"])
    from rnnbench.hydra_command import hydra_output, train

    if request.show or request.hydra_help:
        from rnnbench.config.plan import make_plan

        make_plan(request)
        return _show(lambda: hydra_output(request))
    return train(request)


def _resume(words: list[str]) -> int:
    """`rnnbench resume FOLDER [BUDGET]`."""
    from rnnbench.config.folders import check_utf8
    from rnnbench.config.resume_request import parse_resume_request

    request = parse_resume_request(words)
    folder, overrides, trusted = request.folder, request.overrides, request.trusted
    quiet, accept_gap = request.quiet, request.accept_gap
    from rnnbench.hydra_command import place_in_torchrun, prepare_process
    from rnnbench.records import RecordError, is_run_folder, is_sweep_folder, sweep_of

    check_utf8(folder)
    is_sweep = is_sweep_folder(folder)
    if not is_sweep and not any(map(os.path.lexists, (folder / "checkpoint.pt", folder / "checkpoint.previous.pt"))):
        sweep = sweep_of(folder)
        if sweep is not None and is_run_folder(folder):
            raise ConfigError(f"{folder} is trained together with other jobs of a sweep: rnnbench resume {sweep}")
        if not is_run_folder(folder):
            raise ConfigError(f"{folder} holds neither checkpoint.pt nor sweep.json to go on from")
    prepare_process()
    trusted.add_to_path()
    try:
        if is_sweep:
            from rnnbench.sweep.resume import resume_sweep

            return resume_sweep(folder, overrides, quiet=quiet, trusted=trusted, accept_gap=accept_gap)
        from rnnbench.run import follow_resumed_run, resume_run

        if place_in_torchrun()[0] > 0:
            return follow_resumed_run(folder, overrides, trusted=trusted, accept_gap=accept_gap)
        return resume_run(folder, overrides, quiet=quiet, trusted=trusted, accept_gap=accept_gap)
    except RecordError as error:
        raise ConfigError(str(error)) from error


def _report(words: list[str]) -> int:
    """`rnnbench report FOLDER... [by=KEYS] [--out DIR]`."""
    from rnnbench.report.errors import ReportError, UnknownFieldError
    from rnnbench.report.options import parse_options

    try:
        options = parse_options(words)
        from rnnbench.report.command import report

        return max(report(options), _output_status())
    except UnknownFieldError as error:
        from rnnbench.config.nearest import did_you_mean, nearest_keys

        raise ConfigError(f"{error}{did_you_mean(nearest_keys(error.field, error.fields))}") from error
    except ReportError as error:
        raise ConfigError(str(error)) from error


def _reproduce(words: list[str]) -> int:
    """`rnnbench reproduce NAME [--quick] [--out FOLDER]`."""
    from rnnbench.experiments.options import parse_options
    from rnnbench.hydra_command import prepare_process
    from rnnbench.records import RecordError

    options = parse_options(words)
    prepare_process()
    from rnnbench.experiments.command import list_lines, reproduce

    if options.name is None:
        return _show(list_lines)
    try:
        return reproduce(options)
    except RecordError as error:
        raise ConfigError(str(error)) from error


def _probe(words: list[str]) -> int:
    """`rnnbench probe FOLDER... [probe=NAME] [probe.NAME.KEY=VALUE ...] [--out DIR]`."""
    from rnnbench.hydra_command import prepare_process
    from rnnbench.probing.options import parse_options

    options = parse_options(words)
    prepare_process()
    options.trusted.add_to_path()
    from rnnbench.probing.command import run_probe
    from rnnbench.records import RecordError

    try:
        status, lines = run_probe(options)
    except RecordError as error:
        raise ConfigError(str(error)) from error
    return max(status, _show(lambda: lines))


def _bench(words: list[str]) -> int:
    """`rnnbench bench`.

    Threads wait as they do by default beside torch.nn, which comes without our settings; in an update as in training.
    """
    from rnnbench.bench.options import UPDATE, parse_options

    options, request = parse_options(words)
    configs: Sequence[Config] = ()
    if options.group == UPDATE:
        from rnnbench.config.plan import make_plan
        from rnnbench.hydra_command import folders_of_classes, prepare_process

        configs = make_plan(request).configs
        prepare_process()
        folders_of_classes(request).add_to_path()
    from rnnbench.bench.command import bench

    return bench(options, configs)


def _complete(option: str) -> str:
    """What the shell is told."""
    from rnnbench.bench.options import GROUPS, UPDATE
    from rnnbench.config.completion import complete
    from rnnbench.hydra_command import call_hydra
    from rnnbench.paths import conf_dir

    if option.partition("=")[0] not in ("install", "uninstall", "query"):
        raise ConfigError(f"-sc needs install=SHELL, uninstall=SHELL or query=SHELL, got {option!r}")
    if option.partition("=")[2] not in SHELLS:
        raise ConfigError(f"-sc: there is completion for {', '.join(SHELLS)}, got {option!r}")

    def ask_hydra(option: str) -> None:
        call_hydra(["-sc", option], conf_dir(), lambda _: None)

    groups = {"bench": {name: name == UPDATE for name in GROUPS}}
    return complete(option, os.environ, list(COMMANDS), groups, ask_hydra)


SHELLS = ("bash", "fish", "zsh")

COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "train": _train,
    "resume": _resume,
    "list": _list,
    "report": _report,
    "probe": _probe,
    "reproduce": _reproduce,
    "bench": _bench,
}
