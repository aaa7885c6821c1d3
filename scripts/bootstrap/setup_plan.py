"""Decides what a set-up of .venv has to do; touches nothing."""

import re
import shlex
import tomllib
from dataclasses import dataclass
from enum import Enum

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CPU_TORCH = "torch==2.13.0+cpu"  # the build that the tests ran with; the suffix shuts out builds with CUDA
QUICK_TO_GIVE_UP = ("--retries", "1", "--timeout", "15")  # an index behind a firewall must not hold up the rest


@dataclass(frozen=True)
class State:
    """The contents of .venv.

    Attributes:
        root: The checkout that it was made for; its scripts contain this path, so a moved .venv cannot be used.
        python: Version of its Python, such as "3.11".
        pyproject: SHA-256 of the pyproject.toml that was installed.
        extras: The extras that were installed.
        torch: $RNNBENCH_TORCH when torch was installed, "" without it.
        own: Whether this script made .venv, and so may delete it.
        complete: False from before the first change until after the last.
    """

    root: str
    python: str
    pyproject: str
    extras: tuple[str, ...] = ()
    torch: str = ""
    own: bool = True
    complete: bool = False


@dataclass(frozen=True)
class Wanted:
    """The contents of .venv that this call needs; fields as in State, None: any value is accepted."""

    root: str
    pyproject: str
    extras: tuple[str, ...] = ()
    python: str | None = None
    torch: str | None = None


class Action(Enum):
    """An action on .venv."""

    NOTHING = "it is up to date"
    INSTALL = "install into the .venv that is there"
    CREATE = "make a new .venv"
    REFUSE = "a .venv of somebody else's does not fit"


def choose_action(wanted: Wanted, state: State | None, python: str | None, *, occupied: bool) -> Action:
    """Decide what to do.

    Args:
        wanted: What is needed.
        state: What is written down about .venv, None if nothing is.
        python: Version of the Python in .venv that starts, None if none does.
        occupied: Whether .venv holds anything at all.
    """
    usable = python is not None and wanted.python in (None, python)
    if state is None:
        if not occupied:
            return Action.CREATE
        return Action.INSTALL if usable else Action.REFUSE
    intact = state.complete and state.root == wanted.root and state.python == python
    intact = intact and wanted.torch in (None, state.torch)
    if usable and intact:
        current = state.pyproject == wanted.pyproject and set(wanted.extras) <= set(state.extras)
        return Action.NOTHING if current else Action.INSTALL
    if state.own:
        return Action.CREATE
    return Action.INSTALL if usable else Action.REFUSE


@dataclass(frozen=True)
class Attempt:
    """One way to get torch: the line that announces it, and the arguments of `pip install`."""

    what: str
    arguments: tuple[str, ...]


def torch_attempts(requirement: str, *, override: str | None, system: str, has_nvidia: bool) -> list[Attempt]:
    """List the ways to get torch, best first; each is for when those before it failed.

    Args:
        requirement: The range of pyproject.toml, as in "torch>=2.6".
        override: $RNNBENCH_TORCH: arguments of `pip install` as one would type them, None or empty if not set.
        system: As platform.system() gives it.
        has_nvidia: Whether the machine has NVIDIA's driver.
    """
    if override:
        return [Attempt(f"installing torch as RNNBENCH_TORCH says: {override}", tuple(shlex.split(override)))]
    if system != "Linux":
        return [Attempt("installing torch (about 100 MB)", (requirement,))]
    if has_nvidia:
        return [
            Attempt("installing torch with CUDA, for the NVIDIA GPU here (about 3 GB, some minutes)", (requirement,))
        ]
    # pip adds the packages that torch needs when it installs rnnbench: they are not in these two places.
    return [
        Attempt("looking for a CPU build of torch in pip's find-links", ("--no-deps", "--no-index", CPU_TORCH)),
        Attempt(
            f"installing the CPU build of torch from {CPU_INDEX} (about 200 MB)",
            ("--no-deps", *QUICK_TO_GIVE_UP, "--index-url", CPU_INDEX, CPU_TORCH),
        ),
        Attempt(
            "warning: no CPU build of torch to be had, so installing the default one, which brings CUDA (about 3 GB); "
            "to avoid that, stop and set RNNBENCH_TORCH to a wheel or version for pip, or PYTHON to one with torch",
            (requirement,),
        ),
    ]


def torch_requirement(pyproject: str) -> str:
    """Read the requirement on torch from the text of pyproject.toml, as in "torch>=2.6"."""
    dependencies: list[str] = tomllib.loads(pyproject)["project"]["dependencies"]
    return next(line for line in dependencies if re.match(r"torch\s*[<>=!~]", line))


def new_enough(version: str | None, requirement: str) -> bool:
    """Whether a version ("2.13.0+cpu"; None: not there) is at or above the lower bound of a requirement."""
    return version is not None and _release(version) >= _release(requirement)


def _release(text: str) -> tuple[int, ...]:
    """The first two parts of the first version number in a text, (0,) without one."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return tuple(int(part) for part in found.groups()) if found else (0,)
