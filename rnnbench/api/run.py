"""A run, as its folder has it."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rnnbench.api.arguments import Folder, folder_of
from rnnbench.api.own_classes import trusted_classes
from rnnbench.api.process import module_path
from rnnbench.api.settings import Settings
from rnnbench.api.tables import frame_of
from rnnbench.config.errors import ConfigError
from rnnbench.records import Summary, read_summary
from rnnbench.records.closing import closing_summary, shortest_path
from rnnbench.records.messages import printable, say
from rnnbench.records.metrics_csv import read_metrics
from rnnbench.records.wording import percent

if TYPE_CHECKING:
    from torch import Tensor

    from rnnbench.modules.from_model import StepNet
    from rnnbench.modules.recurrent_net import RecurrentNet


class Run:
    """A run, read from its folder; what the folder gets later is seen by a new `rnnbench.load`.

    Args:
        folder: Folder of the run.

    Attributes:
        folder: The folder, an absolute path.
        summary: Summary of the run: summary.json.
        exit_status: Exit status that the command would have had: 0, or 1 if the run failed. None: the run was loaded.

    Raises:
        ConfigError: The argument is no path.
        RecordError: The summary is missing or damaged.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder_of("folder", folder).absolute()
        self.summary: Summary = read_summary(self.folder)
        self.exit_status: int | None = None

    @property
    def status(self) -> str:
        """How the run ended: solved, budget, diverged, interrupted or failed; running: it has not ended."""
        return self.summary.status

    @property
    def solved(self) -> bool:
        """Whether the run was solved."""
        return self.summary.solved

    @cached_property
    def config(self) -> Settings:
        """Configuration of the run, as in `run.config.optim.lr`."""
        return Settings(self.summary.config)

    @cached_property
    def metrics(self) -> Mapping[str, NDArray[np.float64]]:
        """Recorded numbers: column of metrics.csv -> values, (rows,); NaN: no value.

        Raises:
            RecordError: metrics.csv is missing or damaged.
        """
        return read_metrics(self.folder)

    def frame(self) -> Any:
        """The recorded numbers as a pandas.DataFrame, a row for each logged update.

        Raises:
            RecordError: metrics.csv is missing or damaged.
            ImportError: pandas is not installed.
        """
        return frame_of(self.metrics)

    @cached_property
    def weights(self) -> "Mapping[str, Tensor]":
        """Saved parameters by name, each in the shape that the model gives it, on the CPU.

        The file is that of the run's last checkpoint. While the run is trained together with others of a sweep, it is
        the checkpoint of their group.

        Raises:
            RecordError: There is no checkpoint yet, or it is damaged.
        """
        from rnnbench.sweeps.last_checkpoint import parameters_of, read_last_checkpoint

        return parameters_of(read_last_checkpoint(self.folder)[0])

    @cached_property
    def theta(self) -> "Tensor":
        """Saved parameters as one vector (P,): those of `weights`, one after another; raises as `weights` does."""
        import torch

        return torch.cat([weight.reshape(-1) for weight in self.weights.values()])

    def module(
        self, *, config_dir: Folder | Iterable[Folder] = (), trust: str | Iterable[str] = ()
    ) -> "RecurrentNet | StepNet":
        """The net with the saved weights as a torch.nn.Module: sequences (B, T, d) -> outputs at every step, (B, T, o).

        The net of a packaged model consists of torch.nn.RNN, LSTM or GRU, a learned initial state and a readout; see
        `rnnbench.modules.recurrent_net.RecurrentNet`. That of model=lru, or of a class of one's own, runs its `step` in
        a loop.

        Args:
            config_dir: Folders whose classes may be imported.
            trust: Modules whose classes may be imported.

        Returns:
            A new module on the CPU, in the type of the run.

        Raises:
            ConfigError: The model is a class that may not be imported or does not implement `step`; or an argument has
                another type.
            RecordError: There is no checkpoint yet, or it is damaged.
        """
        from rnnbench.modules.from_model import module_of
        from rnnbench.probing.net import read_saved_net

        trusted = trusted_classes(config_dir, trust, "run.module")
        with module_path():
            trusted.add_to_path()
            net = read_saved_net(self.folder, trusted)
        if net.warning is not None:
            say(net.warning)
        try:
            return module_of(net.model, net.parameters)
        except ValueError as error:
            raise ConfigError(f"{self.folder}: {error}") from error

    def __str__(self) -> str:
        """The lines that the command prints when the run has ended."""
        return closing_summary(self.summary, self.folder).plain

    def __repr__(self) -> str:
        """One line: name, status, number of updates, error rate and folder."""
        name, summary = printable(str(self.summary.config.get("name", "run"))), self.summary
        rate = f"error rate {percent(summary.error_rate)}"
        return f"<Run {name}: {summary.status}, update {summary.updates:,}, {rate}, {shortest_path(self.folder)}>"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return f"<pre>{escape(str(self))}</pre>"
