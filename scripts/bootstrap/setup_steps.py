"""Carries out the set-up of .venv, one step after another, under a lock."""

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO

from setup_plan import Action, State, Wanted, choose_action, new_enough, torch_attempts, torch_requirement

STATE_FILE = "rnnbench-setup.json"
LOG_FILE = "rnnbench-setup.log"


class SetupError(Exception):
    """The set-up cannot continue; the message is one line for the user."""


def read_state(venv: Path) -> State | None:
    """Read what is written down about .venv; None if nothing is, or nothing that this version understands."""
    try:
        fields = json.loads((venv / STATE_FILE).read_text(encoding="utf-8"))
        return State(**fields | {"extras": tuple(fields["extras"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_state(venv: Path, state: State) -> None:
    """Write down what .venv holds, all or nothing."""
    temporary = venv / f"{STATE_FILE}.new"
    temporary.write_text(json.dumps(asdict(state), indent=2) + "\n", encoding="utf-8")
    temporary.replace(venv / STATE_FILE)


def say(line: str, end: str = "\n") -> None:
    """Tell the person at the terminal; standard output belongs to the command."""
    print(f"rnnbench: {line}", end=end, file=sys.stderr, flush=True)


def clear(venv: Path) -> None:
    """Empty the folder but for what is written down about it; the folder may be a link to another disk."""
    for entry in venv.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != STATE_FILE:
            entry.unlink()


class Setup:
    """One call for one checkout.

    Attributes:
        venv: The folder of .venv; python: the Python in it.
        wanted: What this call needs.
        requirement: The range of torch.
        environment: Environment of the steps.
        lock: The lock while it is held.
        error: Last error line of the last step.
    """

    def __init__(self, root: Path, extras: Sequence[str], environment: Mapping[str, str]) -> None:
        """Look at a checkout.

        Args:
            root: The checkout.
            extras: The extras of pyproject.toml that are needed.
            environment: As os.environ; PYTHON and RNNBENCH_TORCH are read.
        """
        self.root = root
        self.venv = root / ".venv"
        self.python = self.venv / "bin" / "python"
        self.this_version = "{}.{}".format(*sys.version_info)
        pyproject = (root / "pyproject.toml").read_text(encoding="utf-8")
        self.requirement = torch_requirement(pyproject)
        self.wanted = Wanted(
            root=str(root),
            pyproject=hashlib.sha256(pyproject.encode()).hexdigest(),
            extras=tuple(extras),
            python=self.this_version if environment.get("PYTHON") else None,
            torch=environment.get("RNNBENCH_TORCH") or None,
        )
        # Packages from these places would pass for installed in .venv, or take the place of it.
        foreign = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX")
        self.environment = {name: value for name, value in environment.items() if name not in foreign}
        self.environment |= {"PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        if not os.access(environment.get("HOME", ""), os.W_OK):
            self.environment["PIP_NO_CACHE_DIR"] = "1"  # pip as root does not notice, and then cannot build wheels
        self.lock: IO[str] | None = None
        self.error = ""

    def run(self) -> None:
        """Bring .venv up to date.

        Raises:
            SetupError: It cannot be done.
            OSError: The checkout cannot be written, or the disk is full.
        """
        if self.action() is Action.NOTHING:
            return
        with self.locked():
            action = self.action()  # once more: the call that held the lock may have done it
            started = time.monotonic()
            if action is Action.REFUSE:
                raise SetupError(
                    f"{self.venv} was not made by these scripts and does not fit; move it away, then try again"
                )
            if action is Action.CREATE:
                self.create()
            if action is not Action.NOTHING:
                self.install()
                say(f".venv is ready ({time.monotonic() - started:.0f} s)")

    def action(self) -> Action:
        """Decide what there is to do now."""
        occupied = self.venv.is_dir() and any(self.venv.iterdir())
        return choose_action(self.wanted, read_state(self.venv), self.version_in_venv(), occupied=occupied)

    def version_in_venv(self) -> str | None:
        """Version of the Python in .venv; None if there is none that starts."""
        if Path(sys.prefix).resolve() == self.venv.resolve():
            return self.this_version  # spares the start of a second Python
        return self.ask(self.python, "import sys; print('{}.{}'.format(*sys.version_info))")

    def ask(self, python: Path, program: str) -> str | None:
        """Return the output of a program under that Python; None if it fails."""
        command = [str(python), "-P", "-c", program]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, env=self.environment, check=False)
        except OSError:
            return None
        return answer.stdout.strip() if answer.returncode == 0 else None

    def torch_version(self, python: Path) -> str | None:
        """Version of the torch that this Python imports; None if there is none, or it is broken."""
        return self.ask(python, "import torch; print(torch.__version__)")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock; the system lets go of it when this process and the step that it runs have ended."""
        with (self.root / ".venv.lock").open("w", encoding="utf-8") as self.lock:
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("another call is setting up .venv, waiting for it")
                fcntl.flock(self.lock, fcntl.LOCK_EX)
            except OSError as error:  # some network file systems
                say(f"no lock ({error.strerror}): do not start two set-ups at once")
            yield

    def create(self) -> None:
        """Make an empty .venv, which sees the machine's own packages if a good torch is among them."""
        if importlib.util.find_spec("ensurepip") is None:
            raise SetupError(
                f"{sys.executable} has no venv; install it (on Debian: apt install python{self.this_version}-venv) "
                "or name another Python: PYTHON=/path/to/python"
            )
        self.venv.mkdir(exist_ok=True)
        write_state(self.venv, State(self.wanted.root, self.this_version, self.wanted.pyproject))
        say(f"setting up .venv with Python {self.this_version} (once, one to three minutes)")
        clear(self.venv)
        base = Path(
            getattr(sys, "_base_executable", sys.executable)
        )  # where this Python is itself one of a venv, perhaps the one just cleared
        found = None if self.wanted.torch else self.torch_version(base)
        options = []
        if new_enough(found, self.requirement):
            say(f"using the machine's own torch {found}")
            options = ["--system-site-packages"]
        if not self.step("making .venv", base, "-m", "venv", *options, self.venv):
            raise SetupError(f"{base} could not make .venv: {self.error}")

    def install(self) -> None:
        """Install torch if it is not there, then rnnbench and what it needs."""
        old = read_state(self.venv)
        state = State(
            root=self.wanted.root,
            python=self.version_in_venv() or self.this_version,
            pyproject=self.wanted.pyproject,
            extras=tuple(sorted({*(old.extras if old else ()), *self.wanted.extras})),
            torch=self.wanted.torch or (old.torch if old else ""),
            own=old.own if old else False,
        )
        write_state(self.venv, state)
        if not new_enough(self.torch_version(self.python), self.requirement):
            self.install_torch()
        package = f".[{','.join(state.extras)}]" if state.extras else "."
        if not self.pip("installing rnnbench and what it needs", "-e", package):
            raise SetupError(f"rnnbench could not be installed: {self.error} (all of it: {self.venv / LOG_FILE})")
        write_state(self.venv, replace(state, complete=True))

    def install_torch(self) -> None:
        """Try the ways to get torch until one works."""
        has_nvidia = shutil.which("nvidia-smi") is not None
        for attempt in torch_attempts(
            self.requirement, override=self.wanted.torch, system=platform.system(), has_nvidia=has_nvidia
        ):
            if self.pip(attempt.what, *attempt.arguments):
                return
        raise SetupError(
            f"torch could not be installed: {self.error} (all of it: {self.venv / LOG_FILE}); RNNBENCH_TORCH may name "
            "a wheel or version for pip, PYTHON a Python that has torch"
        )

    def pip(self, what: str, *arguments: str) -> bool:
        """Run `pip install` in .venv as one step."""
        return self.step(what, self.python, "-P", "-m", "pip", "install", *arguments)

    def step(self, what: str, *command: str | Path) -> bool:
        """Run a command, its output into the log; on failure self.error holds its last error line."""
        say(what)
        started = time.monotonic()
        with (self.venv / LOG_FILE).open("a+", encoding="utf-8", errors="replace") as log:
            start = log.tell()
            inherited = [self.lock.fileno()] if self.lock else []
            with subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.root,
                env=self.environment,
                pass_fds=inherited,
            ) as process:
                try:
                    while process.poll() is None:
                        with contextlib.suppress(subprocess.TimeoutExpired):
                            process.wait(timeout=1)
                        if sys.stderr.isatty():
                            say(f"{time.monotonic() - started:.0f} s", end="\r")
                except BaseException:
                    process.terminate()
                    raise
            log.seek(start)
            lines = [line.strip() for line in log if line.strip()]
        errors = [line for line in lines if re.match("error:(?!.*for help visit)", line, re.IGNORECASE)] or lines
        self.error = errors[-1] if errors else f"exit status {process.returncode}"
        return process.returncode == 0
