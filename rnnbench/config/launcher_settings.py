"""The settings of the launcher `batched`, and the interface of what it runs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnnbench.config.errors import ConfigError

AUTO = "auto"
BACKENDS = (AUTO, "inline", "processes", "submitit_local", "submitit_slurm")


@dataclass(frozen=True)
class LauncherSettings:
    """The keys of hydra.launcher.

    Attributes:
        backend: Where groups of jobs run: one after another in this process (inline), in parallel worker processes
            (processes), or as tasks of submitit (submitit_local, submitit_slurm); auto: processes if faster, else
            inline.
        processes: Number of worker processes with backend=processes; auto: one per processor.
        max_replicas: Largest number of replicas per group; auto: as many as fit into memory, but few enough to keep all
            processes busy.
        submitit: Parameters of submitit's AutoExecutor.update_parameters.
        fail_fast: Whether a job that fails ends all others, which can be resumed.
    """

    backend: str
    processes: int | str
    max_replicas: int | str
    submitit: Mapping[str, Any]
    fail_fast: bool = False


class BatchTask(ABC):
    """A task function for Hydra that can also run many jobs at once, as the launcher `batched` requires."""

    @abstractmethod
    def __call__(self, tree: Any) -> float:
        """Run one job, given its configuration; returns the value that a sweeper minimises."""

    @abstractmethod
    def launch(self, settings: LauncherSettings, job_overrides: Sequence[Sequence[str]], first: int) -> list[float]:
        """Run jobs of a sweep.

        Args:
            settings: Settings of the launcher.
            job_overrides: Overrides of each job.
            first: Number of the first job.

        Returns:
            The value that a sweeper minimises, for each job.
        """


def check_settings(settings: LauncherSettings) -> None:
    """Check the values of the launcher's keys.

    Raises:
        ConfigError: The first invalid value.
    """
    from rnnbench.config.nearest import not_a_choice
    from rnnbench.config.values import show_value  # imported here because Hydra's plugin does not need it

    if settings.backend not in BACKENDS:
        raise ConfigError(not_a_choice("hydra.launcher.backend", str(settings.backend), BACKENDS))
    for name in ("processes", "max_replicas"):
        value = getattr(settings, name)
        if value != AUTO and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ConfigError(f"hydra.launcher.{name} must be auto or a whole number >= 1, got {show_value(value)}")
    if not isinstance(settings.fail_fast, bool):
        raise ConfigError(f"hydra.launcher.fail_fast must be true or false, got {show_value(settings.fail_fast)}")
    if not isinstance(settings.submitit, Mapping):
        raise ConfigError(f"hydra.launcher.submitit must be keys and values, got {show_value(settings.submitit)}")
