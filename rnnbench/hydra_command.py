"""Hands what `rnnbench train` was asked for to Hydra, and takes its jobs back.

Nothing here imports torch before a run has been checked, so that everything that does not train answers at once.
"""

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rnnbench.config.errors import ConfigError
from rnnbench.exit_status import BAD_INPUT, FAILED, OK, is_of_signal
from rnnbench.records import RecordError
from rnnbench.records.growing_file import reason
from rnnbench.records.messages import say

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from rnnbench.config.launcher_settings import LauncherSettings
    from rnnbench.config.plan import Plan
    from rnnbench.config.request import Request
    from rnnbench.config.trust import Trusted
    from rnnbench.sweep.launch import Launch

# Threads that spin while they wait make a busy machine many times slower, and a changing thread count changes the bits.
# The OpenMP runtimes read these when torch is imported.
ENVIRONMENT = {
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "0",
    "OMP_DYNAMIC": "FALSE",
    "MKL_DYNAMIC": "FALSE",
}


def train(request: "Request") -> int:
    """Run what a request asks for: one run, or a sweep.

    Returns:
        The exit status, the worst one of a sweep's jobs.

    Raises:
        ConfigError: Anything that would stop one of the jobs; nothing has been done then.
    """
    from rnnbench.config.folders import discard_folders
    from rnnbench.config.plan import make_plan

    rank, num_processes = place_in_torchrun()
    quiet = request.quiet or rank > 0
    plan = make_plan(request, None if quiet else _show_planning)
    if plan.sweep and num_processes > 1:
        raise ConfigError("torchrun shares one run among its processes; start a sweep (-m) without it")
    if not quiet:
        say(_first_line(plan))
    prepare_process()
    trusted = folders_of_classes(request)
    trusted.add_to_path()
    _prepare_workers(plan)
    from rnnbench.config.classes import check_targets
    from rnnbench.config.hydra_keys import check_callbacks
    from rnnbench.run import check_machine

    check_targets(plan.configs)
    check_callbacks(plan.callbacks, batched=plan.launcher is not None)
    check_machine(plan.configs)
    if rank > 0:
        from rnnbench.run import follow_job

        return follow_job(plan.configs[0])
    missing = [path for path in (plan.folder, *plan.folder.parents) if not path.exists()]
    with plan.taken_folder() as (folder, request):
        if folder != plan.folder and not quiet:
            say(f"{plan.folder} was taken by another run; the folder is {folder}")
        try:
            return _run_jobs(request, folder, trusted, quiet=quiet)
        except ConfigError:
            if folder != plan.folder or folder in missing:
                discard_folders([folder, *missing])
            raise


def _run_jobs(request: "Request", folder: Path, trusted: "Trusted", *, quiet: bool) -> int:
    """Have Hydra run the jobs of a request in a folder that this process holds.

    Returns:
        The worst exit status.

    Raises:
        ConfigError: No job could begin.
    """
    from rnnbench.config.explain import explain

    jobs = _Jobs(request, folder, trusted, quiet=quiet)
    try:
        call_hydra(request.hydra_arguments(), request.main_dir, jobs.run, launch=jobs.launch)
    except OSError as error:  # of Hydra's own files: a full disk
        message = f"cannot write {error.filename or folder}: {reason(error)}"
        if not jobs.statuses:
            raise ConfigError(message) from error
        say(message)
        jobs.statuses.append(FAILED)
    except Exception as error:
        if jobs.have_begun or _is_of_a_job(error):
            raise
        raise explain(error) from error  # Hydra cannot do what its own keys say, as with a wrong hydra.job_logging
    return jobs.close()


def _prepare_workers(plan: "Plan") -> None:
    """Where the groups of a sweep will run in processes of their own, begin to make them ready."""
    if plan.launcher is None:
        return
    from rnnbench.sweep.backend_choice import choose_backend

    on_cpu = not any(config.device.startswith("cuda") for config in plan.configs)
    if choose_backend(plan.launcher, plan.configs, on_cpu=on_cpu).backend == "processes":
        from rnnbench.sweep.workers import prepare

        prepare()


def place_in_torchrun() -> tuple[int, int]:
    """Number of this process among those that torchrun has started for one run, and how many they are."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return 0, 1
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


class _Jobs:
    """The jobs that Hydra hands back: one by one, or all of a sweep at once through the launcher `batched`."""

    def __init__(self, request: "Request", folder: Path, trusted: "Trusted", *, quiet: bool) -> None:
        self.request, self.folder, self.trusted, self.quiet = request, folder, trusted, quiet
        self._held_folder = folder.absolute()  # wherever hydra.job.chdir leads
        self.have_begun = False
        self.statuses: list[int] = []
        self.launcher: Launch | None = None
        self._folder_of: dict[Hashable, Path] = {}  # by the identity of the run

    def run(self, tree: "DictConfig") -> float:
        """Run one job inside Hydra; a signal ends all of them."""
        from hydra.core.hydra_config import HydraConfig

        from rnnbench.config.objects import to_config
        from rnnbench.config.validate import validate
        from rnnbench.keeping import Job
        from rnnbench.records.identity import run_identity
        from rnnbench.records.objective import objective_of
        from rnnbench.run import run_job

        self.have_begun = True
        with _one_line():
            config = to_config(tree)
            validate(config)  # not all sweepers say their values beforehand
            folder = Path(HydraConfig.get().runtime.output_dir)
            identity = run_identity(config)
            if identity in self._folder_of:  # a sweeper that searches may propose the same values twice
                if not self.quiet:
                    same = f"is the same run as {self._folder_of[identity].name}, whose result it gets"
                    say(f"job {folder.name} {same}")
                return objective_of(self._folder_of[identity])
            with self._held(folder):
                status = run_job(Job(config, folder), quiet=self.quiet)
            self._folder_of[identity] = folder
        if is_of_signal(status):
            raise SystemExit(status)
        self.statuses.append(status)
        return objective_of(folder)

    def _held(self, folder: Path) -> contextlib.AbstractContextManager[None]:
        """Hold the folder of a job, which `rnnbench resume` takes by itself; that of a single run is held already."""
        from rnnbench.records.lock import locked_folder

        return contextlib.nullcontext() if os.path.samefile(folder, self._held_folder) else locked_folder(folder)

    def launch(self, settings: "LauncherSettings", job_overrides: Sequence[Sequence[str]], first: int) -> list[float]:
        """Run jobs of a sweep as few batched runs; a signal ends all of them."""
        from rnnbench.sweep.launch import Launch

        self.have_begun = True
        if self.launcher is None:
            self.launcher = Launch(self.request, self.folder, self.trusted, quiet=self.quiet)
        with _one_line():
            values = self.launcher(settings, job_overrides, first)
        self.statuses.append(self.launcher.status)
        if is_of_signal(self.launcher.status):
            raise SystemExit(self.close())
        return values

    def close(self) -> int:
        """Say what came of a sweep; returns the worst exit status."""
        if self.launcher is not None:
            self.launcher.print_summary()
        if not self.statuses:  # the jobs ran in processes of their own, and left their summaries
            folders = [path.parent for path in self.folder.rglob("summary.json")]
            self.statuses = [FAILED for folder in folders if _has_failed(folder)]
        return max(self.statuses, default=OK)


def _has_failed(folder: Path) -> bool:
    """Whether a run has failed, or its summary cannot be read."""
    from rnnbench.records import RecordError, read_summary

    try:
        return read_summary(folder).status == "failed"
    except RecordError:
        return True


def _is_of_a_job(error: Exception) -> bool:
    """Whether Hydra raises what a job had raised, perhaps in another process, when it asks for the job's result."""
    return any(frame.name == "return_value" for frame in traceback.extract_tb(error.__traceback__))


@contextlib.contextmanager
def _one_line() -> Iterator[None]:
    """What keeps a job from its beginning, as one line: Hydra would name the job beside it."""
    try:
        yield
    except (ConfigError, RecordError) as error:
        say(str(error))
        raise SystemExit(BAD_INPUT) from error


def _show_planning(done: int, total: int) -> None:
    """How far a sweep's planning is."""
    say(f"{done} of {total} jobs are composed")


def _first_line(plan: "Plan") -> str:
    """What will be run, and where."""
    first = plan.configs[0]
    if plan.sweep:
        from rnnbench.records.wording import count

        return f"{count(len(plan.configs), 'job')} -> {plan.folder}"
    length = getattr(first.task, "sequence_length", None)
    task = first.task.name if length is None else f"{first.task.name} (T={length})"
    parts = ", ".join([task, first.model.name, first.init.name, first.optim.name, f"seed {first.seed}"])
    return f"{parts} -> {plan.folder}"


def folders_of_classes(request: "Request") -> "Trusted":
    """Where classes of one's own are found: beside the choices that name them, or in the current folder."""
    from rnnbench.config.trust import Trusted

    return Trusted(tuple(folder for folder in (request.config_dir, Path.cwd()) if folder is not None))


def prepare_process() -> None:
    """Say how threads wait, before torch is imported."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


@contextlib.contextmanager
def _as_arguments(words: Sequence[str]) -> Iterator[None]:
    """Hydra reads its words from sys.argv alone."""
    before = sys.argv
    sys.argv = [before[0], *words]
    try:
        yield
    finally:
        sys.argv = before


@contextlib.contextmanager
def _raised_errors() -> Iterator[None]:
    """Have Hydra raise errors in place of printing them, with a traceback, and ending the process."""
    variable = "HYDRA_FULL_ERROR"
    before = os.environ.get(variable)
    os.environ[variable] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before


def call_hydra(
    words: Sequence[str],
    main_dir: Path,
    task: "Callable[[DictConfig], float | None]",
    launch: Callable[..., list[float]] | None = None,
) -> None:
    """Hand words to Hydra's own command line.

    Args:
        words: Options and overrides.
        main_dir: The main configuration folder.
        task: Runs one job.
        launch: Runs many at once, for the launcher `batched`.

    Raises:
        ConfigError: Hydra refuses something.
        OSError: A file of its own could not be written.
    """
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from rnnbench.config.explain import explain
    from rnnbench.config.register import register_schema

    register_schema()

    def job(tree: "DictConfig") -> float | None:  # of this module, by whose name Hydra finds out who calls
        return task(tree)

    if launch is not None:
        job.launch = launch  # type: ignore[attr-defined] # where the launcher looks for it
    with _as_arguments(words), _raised_errors():
        try:
            hydra.main(version_base="1.3", config_path=str(main_dir), config_name="config")(job)()
        except (HydraException, OmegaConfBaseException) as error:
            raise explain(error) from error


def hydra_output(request: "Request") -> list[str]:
    """What Hydra prints where it shows something and runs nothing."""
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.redirect_stderr(io.StringIO()) as complaint:
        try:
            call_hydra(request.hydra_arguments(), request.main_dir, lambda _: None)
        except SystemExit as ended:
            if ended.code not in (None, OK):
                raise ConfigError(complaint.getvalue().partition("\n")[0]) from ended
    return printed.getvalue().rstrip("\n").split("\n")
