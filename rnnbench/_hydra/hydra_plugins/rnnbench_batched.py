"""Hydra's plugins of rnnbench: the launcher `batched` and the sweeper `planned`.

Hydra loads plugins only from the namespace package hydra_plugins, and imports all of them at every start. They are
therefore small; the work is done elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, ListConfig, OmegaConf

from rnnbench.config.launcher_settings import AUTO, BatchTask, LauncherSettings


@dataclass
class BatchedLauncherConf:
    """The keys of hydra.launcher, as in `LauncherSettings`."""

    _target_: str = "hydra_plugins.rnnbench_batched.BatchedLauncher"
    backend: str = AUTO
    processes: Any = AUTO
    max_replicas: Any = AUTO
    submitit: dict[str, Any] = field(default_factory=dict)
    fail_fast: bool = False


@dataclass
class PlannedSweeperConf:
    """The keys of hydra.sweeper: those of Hydra's basic sweeper, and keys whose values are taken together."""

    _target_: str = "hydra_plugins.rnnbench_batched.PlannedSweeper"
    max_batch_size: int | None = None
    params: dict[str, str] = field(default_factory=dict)
    zip: list[Any] = field(default_factory=list)


def _register() -> None:
    """Store the choices hydra/launcher=batched and hydra/sweeper=planned."""
    launcher, sweeper = OmegaConf.structured(BatchedLauncherConf), OmegaConf.structured(PlannedSweeperConf)
    for open_to_any_key in (launcher.submitit, sweeper.params):
        OmegaConf.set_struct(open_to_any_key, False)
    store = ConfigStore.instance()
    store.store(group="hydra/launcher", name="batched", node=launcher, provider="rnnbench")
    store.store(group="hydra/sweeper", name="planned", node=sweeper, provider="rnnbench")


_register()


class BatchedLauncher(Launcher):
    """Passes all jobs of a sweep at once to the task function, a `BatchTask`.

    Args:
        backend: Backend of the groups, as in `LauncherSettings`.
        processes: Number of groups that run at the same time, as in `LauncherSettings`.
        max_replicas: Maximum number of replicas in a group, as in `LauncherSettings`.
        submitit: Parameters of submitit, as in `LauncherSettings`.
        fail_fast: Whether a job that fails ends all others, as in `LauncherSettings`.
    """

    def __init__(
        self,
        backend: str,
        processes: int | str,
        max_replicas: int | str,
        submitit: DictConfig,
        fail_fast: bool = False,
    ) -> None:
        super().__init__()
        self.settings = LauncherSettings(backend, processes, max_replicas, _plain(submitit), fail_fast)
        self.task_function: Any = None
        self.sweep_folder = Path()

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Store what `launch` needs.

        Args:
            hydra_context: Context of Hydra; not used.
            task_function: Function that runs the jobs.
            config: Configuration with the sweep folder.
        """
        self.task_function = task_function
        self.sweep_folder = Path(str(config.hydra.sweep.dir))

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run jobs.

        Args:
            job_overrides: The overrides of each job.
            initial_job_idx: Number of the first job.

        Returns:
            The objective of each job, which a searching sweeper minimizes.

        Raises:
            HydraException: The task function cannot run several jobs together.
        """
        if not isinstance(self.task_function, BatchTask):
            raise HydraException("hydra/launcher=batched runs only jobs of rnnbench train; use hydra/launcher=basic")
        self.sweep_folder.mkdir(parents=True, exist_ok=True)  # some sweepers write into it
        values = self.task_function.launch(self.settings, job_overrides, initial_job_idx)
        folder = str(self.sweep_folder)
        return [
            JobReturn(overrides=overrides, working_dir=folder, status=JobStatus.COMPLETED, _return_value=value)
            for overrides, value in zip(job_overrides, values, strict=True)
        ]


class PlannedSweeper(BasicSweeper):
    """Hydra's basic sweeper with zipped keys, without its check of every job, which rnnbench has made before.

    Args:
        max_batch_size: Number of jobs that are launched together, as for Hydra's basic sweeper.
        params: Values of swept keys, as for Hydra's basic sweeper.
        zip: Keys whose values are taken together, or several such lists.
    """

    def __init__(self, max_batch_size: int | None, params: dict[str, str] | None, zip: ListConfig) -> None:
        super().__init__(max_batch_size, params)
        self.zip = zip

    def split_arguments(  # type: ignore[override] # a static method of Hydra's, called as one of the object
        self, overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        """The jobs in batches.

        Args:
            overrides: Overrides of the sweep.
            max_batch_size: Number of jobs that are launched together; None: all.
        """
        if not self.zip:
            return super().split_arguments(overrides, max_batch_size)
        from rnnbench.config.overrides import expand_sweep, zipped_keys

        zipped: Any = OmegaConf.to_container(OmegaConf.create({"zip": self.zip}))
        jobs = expand_sweep(overrides, zipped_keys(zipped["zip"]))
        return [list(batch) for batch in self.split_overrides_to_chunks(jobs, max_batch_size)]

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Check nothing.

        Args:
            batch: The overrides of each job.
        """


def _plain(parameters: DictConfig) -> dict[str, Any]:
    """Convert parameters to plain values, with resolved interpolations."""
    values = OmegaConf.to_container(parameters, resolve=True)
    return {str(name): value for name, value in values.items()} if isinstance(values, dict) else {}
