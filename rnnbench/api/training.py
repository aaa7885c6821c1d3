"""`rnnbench train`, `rnnbench tune` and `rnnbench resume` as functions."""

import signal
from collections.abc import Iterable, Sequence
from pathlib import Path

from rnnbench.api.arguments import Folder, check_flags, check_overrides, folder_of, text_of
from rnnbench.api.loading import load
from rnnbench.api.own_classes import trusted_classes
from rnnbench.api.process import guest, guest_of_torch
from rnnbench.api.run import Run
from rnnbench.api.sweep import Sweep
from rnnbench.api.tuning import Tuning
from rnnbench.commands import resume as resume_command
from rnnbench.commands import train as train_command
from rnnbench.commands import tune as tune_command
from rnnbench.config.errors import ConfigError
from rnnbench.config.request import parse_request
from rnnbench.exit_status import is_of_signal, of_signal
from rnnbench.records.messages import say


def train(*overrides: str, config_dir: Folder | None = None, config_name: str = "config", quiet: bool = False) -> Run:
    """Train a run, as `rnnbench train` does; in a notebook with a progress bar.

    Args:
        overrides: Choices and values as on the command line: "optim=hf", "task.sequence_length=30".
        config_dir: Folder with further choices.
        config_name: Name of the main configuration file.
        quiet: Whether to show no progress.

    Returns:
        The run. It may have failed or diverged: see its `status`.

    Raises:
        ConfigError: The run cannot be trained; nothing has been written.
        KeyboardInterrupt: The run was interrupted, and can be resumed; the message says how.
    """
    run = _train(overrides, config_dir, config_name, is_sweep=False, quiet=quiet)
    assert isinstance(run, Run)
    return run


def sweep(*overrides: str, config_dir: Folder | None = None, config_name: str = "config", quiet: bool = False) -> Sweep:
    """Train every combination of some values, as `rnnbench train -m` does: runs that can are trained together.

    Args:
        overrides: Choices and values as on the command line: "optim=hf,nag", "seed=range(0,8)".
        config_dir: Folder with further choices.
        config_name: Name of the main configuration file.
        quiet: Whether to show no progress.

    Returns:
        The sweep. Some of its runs may have failed: see its `counts`.

    Raises:
        ConfigError: A run cannot be trained; nothing has been written.
        KeyboardInterrupt: The sweep was interrupted, and can be resumed; the message says how.
    """
    runs = _train(overrides, config_dir, config_name, is_sweep=True, quiet=quiet)
    assert isinstance(runs, Sweep)
    return runs


def tune(
    *overrides: str,
    trials: int = tune_command.TRIALS,
    config_dir: Folder | None = None,
    config_name: str = "config",
    quiet: bool = False,
) -> Tuning:
    """Search the hyperparameters of an optimizer on a task, and confirm the best, as `rnnbench tune` does.

    Args:
        overrides: Choices and values as on the command line: "optim=nag", "optim.lr=interval(0.01,1)".
        trials: Number of settings that are tried.
        config_dir: Folder with further choices.
        config_name: Name of the main configuration file.
        quiet: Whether to show no progress.

    Returns:
        The search and its confirmation. Some runs may have failed: see its `exit_status`.

    Raises:
        ConfigError: There is nothing to search, or a run cannot be trained; nothing has been written.
        KeyboardInterrupt: The search was interrupted, and can be resumed; the message says how.
    """
    words = [*_words(overrides, config_dir, config_name, quiet=quiet), f"--trials={trials}"]
    with guest():
        number, request = tune_command.parse_options(words)
        plan, tuning = tune_command.plan_tuning(request, number)
        with guest_of_torch():
            tuned = tune_command.tune(plan, tuning, closing=False)
    ended = _ended(tuned.status, tuned.folder)
    assert isinstance(ended, Tuning)
    return ended


def resume(
    folder: Folder | Run | Sweep | Tuning,
    *overrides: str,
    config_dir: Folder | Iterable[Folder] = (),
    trust: str | Iterable[str] = (),
    accept_gap: bool = False,
    quiet: bool = False,
) -> Run | Sweep | Tuning:
    """Continue a run, a sweep or a tuning from its last checkpoint, as `rnnbench resume` does, bit for bit.

    Args:
        folder: The run, sweep or tuning, or its folder.
        overrides: A larger budget: "budget.updates=400".
        config_dir: Folders whose classes may be imported.
        trust: Modules whose classes may be imported.
        accept_gap: Whether to continue even if records are lost that the checkpoint counts.
        quiet: Whether to show no progress.

    Returns:
        The run, sweep or tuning as it is now.

    Raises:
        ConfigError: There is nothing to resume, or an override is invalid; nothing has been changed.
        RecordError: A record is damaged, or another process has locked the run or sweep.
        KeyboardInterrupt: It was interrupted, and can be resumed again.
    """
    path = folder_of("folder", folder.folder if isinstance(folder, Run | Sweep | Tuning) else folder)
    check_overrides(overrides)
    check_flags(accept_gap=accept_gap, quiet=quiet)
    trusted = trusted_classes(config_dir, trust, "rnnbench.resume", *map(repr, (str(path), *overrides)))
    options = resume_command.Options(path, overrides, quiet, accept_gap, trusted)
    with guest(), guest_of_torch():
        status = resume_command.resume(options, closing=False)
    return _ended(status, path.absolute())


def _train(
    overrides: Sequence[str], config_dir: Folder | None, config_name: str, *, is_sweep: bool, quiet: bool
) -> Run | Sweep:
    """Train a run or a sweep."""
    words = [*_words(overrides, config_dir, config_name, quiet=quiet), *["-m"] * is_sweep]
    with guest():
        plan = train_command.plan_of(parse_request(words))
        if plan.sweep and not is_sweep:
            raise ConfigError("hydra.mode=MULTIRUN makes a sweep, which is trained by rnnbench.sweep")
        try:
            with guest_of_torch():
                trained = train_command.train(plan, closing=False)
        except SystemExit as reported:  # from within Hydra, which would take another error for its own
            raise reported.__cause__ or reported from None
    ended = _ended(trained.status, trained.folder)
    assert not isinstance(ended, Tuning)
    return ended


def _words(overrides: Sequence[str], config_dir: Folder | None, config_name: str, *, quiet: bool) -> list[str]:
    """The arguments of a command for those of a function, which are checked."""
    check_overrides(overrides)
    check_flags(quiet=quiet)
    words = [*overrides, f"--config-name={text_of('config_name', config_name)}", *["-q"] * quiet]
    return words + ([] if config_dir is None else [f"--config-dir={folder_of('config_dir', config_dir)}"])


def _ended(status: int, folder: Path) -> Run | Sweep | Tuning:
    """Read what was trained.

    Args:
        status: Exit status of the command.
        folder: Folder of the run or sweep.

    Raises:
        KeyboardInterrupt: SIGINT has ended the training. After another signal the process receives that signal again.
    """
    if is_of_signal(status):
        number = signal.Signals(status - of_signal(0))
        message = f"interrupted by {number.name}; rnnbench.resume({str(folder)!r}) continues"
        if number == signal.SIGINT:
            raise KeyboardInterrupt(message)
        say(message)
        signal.raise_signal(number)
    ended = load(folder)
    ended.exit_status = status
    return ended
