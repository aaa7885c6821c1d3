"""Compiles the kernels for the processor of this machine, once, and keeps the library in the user's cache.

There is a library for each net, from `NET.cpp` and the headers beside it. Its name has a hash of all that it was made
from: sources, compiler, flags, processor. A library is built in a temporary folder and renamed into the cache, so that
a build that is interrupted leaves nothing there and two processes do not disturb each other.
"""

import contextlib
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

SOURCES = Path(__file__).parent

COMPILERS = ("c++", "g++", "clang++")

FLAGS = (
    *("-std=c++17", "-O2", "-shared", "-fPIC", "-fno-exceptions", "-fno-rtti"),
    *("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"),
)

SWITCH, MORE_FLAGS = "RNNBENCH_NATIVE", "RNNBENCH_NATIVE_FLAGS"
"""Environment variables: 0 for computing without the kernels, otherwise 1; further flags of the compiler, for tests."""

MOST_SECONDS = 120

_OF_A_PROCESSOR = ("model name", "flags", "Features", "CPU implementer", "CPU part", "isa")
"""What identifies a processor in /proc/cpuinfo."""


class UnavailableError(Exception):
    """The kernels cannot be used; the message is the reason, a clause."""


def library(net: str, load: Callable[[Path], object], announce: Callable[[str], None]) -> None:
    """Load the library of a net from the cache, or compile it first.

    Args:
        net: Name of its source file, without the suffix.
        load: Loads a library; raises OSError if it is damaged.
        announce: Receives a line for the user before a compilation, and if the cache cannot be written.

    Raises:
        UnavailableError: There is no library and none can be made.
        ValueError: The environment variable that switches the kernels off has another value.
    """
    if is_switched_off():
        raise UnavailableError(f"{SWITCH}=0")
    command = [*_compiler(), *FLAGS, _for_this_processor(), *_words(MORE_FLAGS)]
    folder = _cache()
    source = SOURCES / f"{net}.cpp"
    name = f"{net}-{_key(command, source)}.so"
    with _locked(folder / f"{name}.lock"):
        with contextlib.suppress(OSError):  # not there, or damaged
            load(folder / name)
            return
        with _temporary_folder() as made_in:
            built = made_in / name
            announce("compiling the kernels for this processor, once; this takes about 5 seconds")
            _compile(command, source, built)
            try:
                _keep(built, folder / name)
            except OSError as error:
                announce(f"the compiled kernels are not kept for the next run: {error}")
            try:
                load(built)
            except OSError as error:
                raise UnavailableError(f"the compiled kernels cannot be loaded ({error})") from error


def is_switched_off() -> bool:
    """Whether the environment says that the kernels are not to be used.

    Raises:
        ValueError: The variable has a value without meaning.
    """
    value = os.environ.get(SWITCH) or "1"
    if value not in ("0", "1"):
        raise ValueError(f"{SWITCH} must be 0 (compute without native kernels), 1 or unset, got {value!r}")
    return value == "0"


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Make a folder, and remove it in the end.

    Raises:
        UnavailableError: There is no room for it.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="rnnbench-", ignore_cleanup_errors=True)
    except OSError as error:
        raise UnavailableError(f"there is no temporary folder to compile in ({error.strerror})") from error
    with folder as path:
        yield Path(path)


def _compiler() -> list[str]:
    """The command of the C++ compiler."""
    own = _words("CXX")
    names = [own] if own else [[name] for name in COMPILERS]
    for name, *arguments in names:
        path = shutil.which(name)
        if path is not None:
            return [path, *arguments]
    raise UnavailableError(f"no C++ compiler was found ({', '.join(name for name, *_ in names)})")


def _words(variable: str) -> list[str]:
    """The words of an environment variable.

    Raises:
        UnavailableError: It has an unclosed quotation.
    """
    try:
        return shlex.split(os.environ.get(variable, ""))
    except ValueError as error:
        raise UnavailableError(f"{variable} cannot be read ({error})") from error


def _for_this_processor() -> str:
    return "-march=native" if platform.machine().lower() in ("x86_64", "amd64", "i686") else "-mcpu=native"


def _cache() -> Path:
    """Folder of the compiled libraries."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rnnbench"
    except RuntimeError:  # no home
        return Path(os.devnull)


def _key(command: list[str], source: Path) -> str:
    """Hash of all that determines the library."""
    compiler = Path(command[0]).resolve()
    status = compiler.stat()
    facts = (*command, str(compiler), str(status.st_size), str(status.st_mtime_ns), *_processor())
    contents = [path.read_bytes() for path in (source, *sorted(SOURCES.glob("*.h")))]
    return hashlib.sha256(b"\0".join([*contents, *(fact.encode() for fact in facts)])).hexdigest()[:32]


def _processor() -> list[str]:
    """What identifies the kind of this processor, with its instructions."""
    facts = [platform.system(), platform.machine(), platform.processor()]
    with contextlib.suppress(OSError):
        first = Path("/proc/cpuinfo").read_text().split("\n\n", 1)[0]
        facts += [line for line in first.splitlines() if line.split("\t")[0].strip() in _OF_A_PROCESSOR]
    return facts


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time compile, where locks exist; a process that dies releases its lock."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, ImportError):
            import fcntl

            path.parent.mkdir(parents=True, exist_ok=True)
            fcntl.flock(stack.enter_context(path.open("w")), fcntl.LOCK_EX)
        yield


def _compile(command: list[str], source: Path, target: Path) -> None:
    """Compile the library.

    Raises:
        UnavailableError: The compiler fails, or takes too long.
    """
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            [*command, "-o", str(target), str(source)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=MOST_SECONDS,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        )
    except OSError as error:
        raise UnavailableError(f"{name} cannot be run ({error.strerror})") from error
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{name} took more than {MOST_SECONDS} seconds") from error
    if done.returncode or not target.exists():
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        said = next((line for line in lines if "error" in line.lower()), lines[0] if lines else "it says nothing")
        raise UnavailableError(f"{name} fails: {said}")


def _keep(built: Path, target: Path) -> None:
    """Copy a library into the cache, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=target.name, delete=False) as file:
        try:
            file.write(built.read_bytes())
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, target)
        except BaseException:
            os.unlink(file.name)
            raise
