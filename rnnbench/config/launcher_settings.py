"""What the launcher `batched` was asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

AUTO = "auto"
BACKENDS = (AUTO, "inline", "processes", "submitit_local", "submitit_slurm")


@dataclass(frozen=True)
class LauncherSettings:
    """The keys of hydra.launcher.

    Attributes:
        backend: Where groups of jobs run: one after the other in this process (inline), side by side in processes of
            their own (processes), or handed to submitit (submitit_local, submitit_slurm); auto: processes where that
            is faster, else inline.
        processes: How many groups run side by side with backend=processes; auto: one for each processor.
        max_replicas: Most replicas of one group; auto: as many as fit into memory, and as keep all processes busy.
        submitit: Parameters of submitit's AutoExecutor.update_parameters.
    """

    backend: str
    processes: int | str
    max_replicas: int | str
    submitit: Mapping[str, Any]
