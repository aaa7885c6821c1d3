"""`rnnbench train`: composes and checks every job, then trains them.

torch is not imported before the jobs have been composed, so that bad input is reported at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from rnnbench import __version__
from rnnbench.commands.output import show
from rnnbench.config.classes import check_targets
from rnnbench.config.errors import ConfigError
from rnnbench.config.folders import discard_folders
from rnnbench.config.hints import hints
from rnnbench.config.hydra_keys import callback_targets, check_callbacks
from rnnbench.config.hydra_main import hydra_output, run_in_hydra, sweep_in_hydra
from rnnbench.config.listing import GROUPS, group_lines
from rnnbench.config.plan import Plan, make_plan
from rnnbench.config.request import Request, parse_request, train_parser
from rnnbench.config.trust import Trusted, folders_of_classes
from rnnbench.exit_status import OK, is_of_signal
from rnnbench.records.messages import say
from rnnbench.run.process import place_in_torchrun, prepare_process

if TYPE_CHECKING:
    from rnnbench.run.setup import RunSetup
    from rnnbench.sweeps.batches import JobBatch

NOTES = """\
  rnnbench train                                        the adding problem with Hessian-free
  rnnbench train task=multiplication optim=nag          another task, another optimizer
  rnnbench train task.sequence_length=100 seed=3        values of keys
  rnnbench train -m 'seed=range(0,8)' optim=sgd,nag     a sweep: one run per combination
  rnnbench train --config-dir my task=mine              a choice of your own, from my/task/mine.yaml

rnnbench list GROUP CHOICE shows the keys of a choice, rnnbench list keys the keys outside the groups,
rnnbench train --cfg job the complete configuration of a run."""


def main(words: Sequence[str]) -> int:
    """Run the command.

    Args:
        words: Arguments after `rnnbench train`.

    Returns:
        The exit status; for a sweep, the worst of its jobs.

    Raises:
        ConfigError: A job cannot be run; nothing has been done.
    """
    request = parse_request(words)
    if request.help:
        return show(lambda: _help(request))
    if request.version:
        return show(lambda: [f"rnnbench {__version__}"])
    if request.show or request.hydra_help:
        make_plan(request)
        return show(lambda: hydra_output(request))
    return train(plan_of(request)).status


def _help(request: Request) -> Iterator[str]:
    """The lines of `rnnbench train --help`."""
    yield train_parser().format_help()
    yield NOTES
    yield ""
    yield "Choices (* is the default):"
    yield from group_lines(request, list(GROUPS))


@dataclass(frozen=True)
class Trained:
    """How a training ended.

    Attributes:
        status: Exit status of the command; for a sweep, the worst of its jobs.
        folder: Absolute path of the folder of the run or sweep.
    """

    status: int
    folder: Path


def plan_of(request: Request) -> Plan:
    """Compose and check every job of a request, as `make_plan` does, and report the progress."""
    return make_plan(request, None if _is_quiet(request) else _show_planning)


def train(plan: Plan, *, closing: bool = True) -> Trained:
    """Train a run or sweep.

    Args:
        plan: Composed jobs of the run or sweep.
        closing: Whether to print a summary at the end.

    Raises:
        ConfigError: A job cannot be run; nothing has been done.
        SystemExit: A job that Hydra launches is bad input, which has been reported; the cause is the error.
    """
    request, (rank, num_processes) = plan.request, place_in_torchrun()
    quiet = _is_quiet(request)
    if plan.sweep and num_processes > 1:
        raise ConfigError("torchrun distributes a single run over its processes; start a sweep (-m) without torchrun")
    prepare_process()
    if not quiet:
        say(_first_line(plan))  # before torch is imported, which takes a second or more
        for line in dict.fromkeys(hint for config in plan.configs for hint in hints(config)):
            say(line)
    trusted = folders_of_classes(request.config_dir)
    trusted.add_to_path()
    _prepare_workers(plan)
    check_targets(plan.configs)
    check_callbacks(callback_targets(plan.hydra), batched=plan.launcher is not None)

    from rnnbench.run.single_run import this_world, work_on_run
    from rnnbench.sweeps.batches import batch_jobs

    batches = batch_jobs(plan.configs, this_world())
    if rank > 0:
        return Trained(work_on_run(batches[0].setup, plan.configs[0].seed), plan.folder.absolute())
    missing = [path for path in (plan.folder, *plan.folder.parents) if not path.exists()]
    with plan.locked_folder() as folder:
        if folder != plan.folder and not quiet:
            say(f"another run already uses {plan.folder}; this one uses {folder}")
        try:
            return Trained(_train(plan, batches, folder, trusted, quiet=quiet, closing=closing), folder.absolute())
        except ConfigError:
            if folder != plan.folder or folder in missing:
                discard_folders([folder, *missing])
            raise


def _is_quiet(request: Request) -> bool:
    """Whether to hide progress: of the processes of torchrun, the first one shows it."""
    return request.quiet or place_in_torchrun()[0] > 0


def _train(
    plan: Plan, batches: "Sequence[JobBatch]", folder: Path, trusted: Trusted, *, quiet: bool, closing: bool
) -> int:
    """Train a run or sweep in its folder; returns the worst exit status."""
    if plan.is_left_to_hydra:
        from rnnbench.sweeps.hydra_jobs import run_by_hydra

        return run_by_hydra(plan.request_in(folder), folder, trusted, quiet=quiet, closing=closing)
    if plan.sweep:
        return _train_sweep(plan, batches, folder, trusted, quiet=quiet, closing=closing)
    return _train_one(plan, batches[0].setup, folder, quiet=quiet, closing=closing)


def _train_one(plan: Plan, setup: "RunSetup", folder: Path, *, quiet: bool, closing: bool) -> int:
    """Train a single run in its folder; returns its exit status."""
    from rnnbench.run.job_folders import Job
    from rnnbench.run.single_run import run_job

    job, statuses = Job(plan.configs[0], folder.absolute()), [OK]  # wherever hydra.job.chdir leads

    def run(_: DictConfig) -> None:
        statuses.append(run_job(job, setup, quiet=quiet, closing=closing))

    run_in_hydra(plan.main, plan.loader, plan.request.config_name, folder, run)
    return statuses[-1]


def _train_sweep(
    plan: Plan, batches: "Sequence[JobBatch]", folder: Path, trusted: Trusted, *, quiet: bool, closing: bool
) -> int:
    """Train the jobs of a sweep in its folder; returns the worst exit status."""
    from rnnbench.sweeps.batched_sweep import BatchedSweep

    assert plan.launcher is not None
    settings, size = plan.launcher, plan.hydra.sweeper.max_batch_size or len(plan.jobs)
    sweep = BatchedSweep(plan.request_in(folder).overrides, folder, trusted, quiet=quiet)

    def launch() -> None:
        for first in range(0, len(plan.jobs), size):
            jobs = plan.jobs[first : first + size]
            sweep.run(settings, jobs, first, batches if len(jobs) == len(plan.jobs) else None)
            if is_of_signal(sweep.status):
                break

    sweep_in_hydra(plan.main, plan.request.config_name, folder, launch)
    if closing:
        sweep.print_summary()
    return sweep.status


def _prepare_workers(plan: Plan) -> None:
    """Start the process that workers are forked from, if the groups of a sweep will run in worker processes."""
    if plan.launcher is None:
        return
    from rnnbench.sweeps.backend_choice import choose_backend

    on_cpu = not any(config.device.startswith("cuda") for config in plan.configs)
    if choose_backend(plan.launcher, plan.configs, on_cpu=on_cpu).backend == "processes":
        from rnnbench.sweeps.workers import prepare

        prepare()


def _show_planning(done: int, total: int) -> None:
    """Report how many jobs of a sweep have been composed."""
    say(f"composed {done} of {total} jobs")


def _first_line(plan: Plan) -> str:
    """The first line on the terminal: the jobs and their folder."""
    first = plan.configs[0]
    if plan.sweep:
        from rnnbench.records.wording import count  # imports numpy, which --help and --cfg do without

        return f"{count(len(plan.configs), 'job')} -> {plan.folder}"
    length = getattr(first.task, "sequence_length", None)
    task = first.task.name if length is None else f"{first.task.name} (T={length})"
    parts = ", ".join([task, first.model.name, first.init.name, first.optim.name, f"seed {first.seed}"])
    return f"{parts} -> {plan.folder}"
