"""Folder of an experiment: it stores trained sweeps and measured parts, so that nothing is computed twice."""

import contextlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rnnbench.config.errors import ConfigError
from rnnbench.config.folders import check_apart, check_utf8
from rnnbench.config.overrides import quoted
from rnnbench.config.rule import Rule
from rnnbench.exit_status import OK, is_of_signal, of_signal
from rnnbench.records.lock import FILE_NAME as LOCK
from rnnbench.records.lock import locked_folder
from rnnbench.records.messages import say
from rnnbench.records.summary import is_sweep_folder
from rnnbench.records.tuning import is_tuning_folder
from rnnbench.records.whole_file import replace_file
from rnnbench.training.interrupt import Interrupt, Interrupted

RULE, SPENT, PARTS = "rule.json", "spent.json", "parts"

OWN_OVERRIDES = (
    "device=cpu",
    "threads=1",
    "probe=none",
    "record.log_every=${optim.cadence.log_every}",
    "record.evaluate_every=${optim.cadence.evaluate_every}",
)
"""Overrides of every sweep, before its own ones. Device and threads are fixed, since they change the numbers. Probes
are read after training. A sweep that needs more frequent evaluations overrides the last two."""


class StudyError(Exception):
    """A sweep that the experiment needs could not be trained; the sweep's own message is on the terminal."""


def call_rnnbench(words: Sequence[str]) -> int:
    """Run `rnnbench WORDS` in a child process and return its exit status; a signal is forwarded to the child."""
    command = [sys.executable, "-m", "rnnbench", *words]
    with (
        Interrupt() as interrupt,
        # In a new session, so that the child receives Ctrl-C only once, from this process.
        subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as child,
    ):
        try:
            with interrupt.allowed():
                return child.wait()
        except Interrupted:
            assert interrupt.signal is not None
            child.send_signal(interrupt.signal)
            child.wait()
            return of_signal(interrupt.signal)
        except BaseException:
            child.kill()
            raise


class Study:
    """The folder of one experiment.

    Attributes:
        rule: Rule of the experiment.
        folder: Folder of the experiment; it exists after `begin`.
        parts: Names of the parts of the experiment, in order; by default its sweeps.
    """

    def __init__(self, rule: Rule, folder: Path, *, quiet: bool = False, parts: Sequence[str] | None = None) -> None:
        self.rule, self.folder, self.quiet = rule, folder, quiet
        self.parts = tuple(rule.sweeps) if parts is None else tuple(parts)
        self._started, self._spent = time.monotonic(), 0.0

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder and `begin`; the time spent is recorded at the end.

        Raises:
            ConfigError: The folder holds something else.
            RecordError: Another process has locked the folder, or it cannot be written.
        """
        self._check()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot create {self.folder}: {error.strerror}") from error
        with locked_folder(self.folder):
            self.begin()
            try:
                yield
            finally:
                self.end()

    def begin(self) -> None:
        """Create the folder, or continue in that of an earlier process with the same rule.

        Raises:
            ConfigError: The folder holds something else.
        """
        self._check()
        try:
            (self.folder / PARTS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot create {self.folder}: {error.strerror}") from error
        if (self.folder / RULE).is_file():
            self._spent = float(self._read(SPENT, {"seconds": 0.0})["seconds"])
        else:
            replace_file(self.folder / RULE, self._rule_text())
        self._started = time.monotonic()

    def _rule_text(self) -> str:
        return json.dumps(asdict(self.rule), indent=1) + "\n"

    def _check(self) -> None:
        """Check that the folder belongs to this experiment or is empty."""
        check_utf8(self.folder)
        path = self.folder / RULE
        if path.is_file():
            if not self._stored_rule().decides_as(self.rule):
                raise ConfigError(
                    f"{self.folder} was begun with another rule ({path}); remove it, or choose another folder by --out"
                )
        elif self.folder.exists() and (not self.folder.is_dir() or {*os.listdir(self.folder)} - {LOCK, PARTS}):
            raise ConfigError(
                f"{self.folder} holds files that are not of this experiment; choose another folder by --out"
            )
        else:
            check_apart(self.folder, "--out")

    def _stored_rule(self) -> Rule:
        """Read the rule with which the folder was started."""
        try:
            return Rule(**self._read(RULE, {}))
        except TypeError as error:
            raise ConfigError(f"{self.folder / RULE} is not the rule of an experiment: {error}") from error

    @property
    def seconds(self) -> float:
        """Wall-clock time of all processes together."""
        return self._spent + time.monotonic() - self._started

    def end(self) -> None:
        """Record the time spent."""
        replace_file(self.folder / SPENT, json.dumps({"seconds": self.seconds}) + "\n")

    def keep(self, name: str, measure: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """Return a measured part; it is measured only if no earlier process has stored it.

        Args:
            name: Name of the part, used as file name.
            measure: Function that returns numbers, strings, and lists and dictionaries of these.
        """
        path = f"{PARTS}/{name}.json"
        if not (self.folder / path).is_file():
            trains_first = name in self.rule.sweeps and not (self.folder / PARTS / f"trained_{name}.json").is_file()
            self._tell_part(name, "" if trains_first else "measuring" if name in self.parts else f"measuring {name}")
            replace_file(self.folder / path, json.dumps(measure(), allow_nan=False) + "\n")
            self.end()
        return self._read(path, {})

    def missing(self, names: Iterable[str]) -> list[str]:
        """Those of some parts that have not been measured."""
        return [name for name in names if not (self.folder / PARTS / f"{name}.json").is_file()]

    def tell(self, line: str) -> None:
        """Show a line of progress."""
        if not self.quiet:
            say(line)

    def train(self, name: str, overrides: Sequence[str] | None = None) -> Path:
        """Train a sweep, or resume it, until every job has ended; returns its folder.

        Args:
            name: Name of the sweep.
            overrides: Arguments of `rnnbench train -m`; None: the rule's for this sweep.

        Raises:
            StudyError: A job failed.
            SystemExit: A signal ended the sweep; the next call resumes it.
        """
        return self._trained(name, ["train", "-m"], self.rule.sweeps[name] if overrides is None else overrides)

    def tune(self, name: str, overrides: Sequence[str], trials: int) -> Path:
        """Tune an optimizer on a problem, or resume that; returns the folder of the tuning.

        Args:
            name: Name of the part.
            overrides: Arguments of `rnnbench tune`.
            trials: Number of settings that are tried.

        Raises:
            StudyError, SystemExit: As by `train`.
        """
        return self._trained(name, ["tune", f"--trials={trials}"], overrides)

    def _trained(self, name: str, command: Sequence[str], overrides: Sequence[str]) -> Path:
        """Run a command that trains into the folder of a part, or resume it; returns the folder."""
        folder = self.folder / name
        done = self.folder / PARTS / f"trained_{name}.json"
        if done.is_file():
            if self._read(f"{PARTS}/{done.name}", {}).get("overrides") != list(overrides):
                raise ConfigError(f"{folder} was trained with other arguments; remove it and {done} to train it again")
            return folder
        if is_sweep_folder(folder) or is_tuning_folder(folder):
            words = ["resume", str(folder)]
        else:
            where = f"hydra.sweep.dir={quoted(str(folder.absolute()))}"
            words = [*command, *OWN_OVERRIDES, *overrides, where]
        self._tell_part(name, shlex.join(["rnnbench", *words]))
        if self.quiet:
            words.append("-q")
        status = call_rnnbench(words)
        self.end()
        if is_of_signal(status):
            say(f"interrupted in {name}; the same command of rnnbench reproduce continues there")
            raise SystemExit(status)
        if status != OK:
            raise StudyError(f"the sweep {name} ended with status {status}: {shlex.join(['rnnbench', *words])}")
        replace_file(done, json.dumps({"overrides": list(overrides)}) + "\n")
        return folder

    def _tell_part(self, name: str, what: str) -> None:
        """Say which part is running, of how many: the one of this name, or that the name begins with."""
        part = max((part for part in self.parts if f"{name}_".startswith(f"{part}_")), key=len, default=None)
        place = name if part is None else f"part {self.parts.index(part) + 1} of {len(self.parts)}, {part}"
        self.tell(f"{place}: {what}" if what else place)

    def _read(self, name: str, missing: dict[str, Any]) -> dict[str, Any]:
        path = self.folder / name
        if not path.is_file():
            return missing
        try:
            contents: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            remedy = "choose another folder by --out" if name == RULE else "remove it to create it again"
            raise ConfigError(f"{path} is damaged: {error}; {remedy}") from error
        return contents
