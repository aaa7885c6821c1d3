"""A search of hyperparameters, and the best setting trained with fresh seeds."""

from collections.abc import Mapping
from html import escape
from typing import Any

from rnnbench.api.arguments import Folder, folder_of
from rnnbench.api.sweep import Sweep
from rnnbench.records.closing import shortest_path
from rnnbench.records.tuning import CONFIRMATION, SEARCH, read_tuning


class Tuning:
    """A search and its confirmation, read from their folder.

    Args:
        folder: Folder of a call of `rnnbench tune` or `rnnbench.tune`.

    Attributes:
        folder: The folder, an absolute path.
        search: The sweep over the settings.
        confirmation: The sweep over the fresh seeds; empty if the search has not ended.
        exit_status: Exit status that the command would have had: 0, or 1 if a job failed. None: it was loaded.

    Raises:
        ConfigError: The argument is no path.
        RecordError: The record of the search is missing or damaged.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder_of("folder", folder).absolute()
        self._tuning = read_tuning(self.folder)
        self.search, self.confirmation = Sweep(self.folder / SEARCH), Sweep(self.folder / CONFIRMATION)
        self.exit_status: int | None = None

    @property
    def best(self) -> Mapping[str, Any]:
        """The searched keys with their values in the best setting, so far if the search has not ended."""
        from rnnbench.sweeps.plan import read_plan  # imports torch
        from rnnbench.sweeps.tuning import best_of, trials_of

        return best_of(trials_of(read_plan(self.folder / SEARCH), self._tuning)).values

    def __str__(self) -> str:
        """The lines that the command prints at the end."""
        from rnnbench.sweeps.tuning_closing import tuning_summary

        return tuning_summary(self.folder).plain

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return f"<pre>{escape(str(self))}</pre>"

    def __repr__(self) -> str:
        """One line: the searched keys and the folder."""
        return f"<Tuning of {', '.join(self._tuning.searched)}: {shortest_path(self.folder)}>"
