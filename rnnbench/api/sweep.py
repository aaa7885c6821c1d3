"""A sweep, or another folder with several runs."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from rnnbench.api.arguments import Folder, folder_of
from rnnbench.api.run import Run
from rnnbench.api.tables import Rows
from rnnbench.records import RecordError, is_sweep_folder
from rnnbench.records.closing import shortest_path
from rnnbench.records.wording import count
from rnnbench.reports.finding import find_run_folders


class Sweep:
    """The runs in a folder, read from it: of a sweep, its jobs.

    Args:
        folder: Folder of a sweep, or another one that contains runs.

    Attributes:
        folder: The folder, an absolute path.
        runs: The runs, in the order of their folders.
        problems: Folder without a usable summary -> what is wrong with it; a job that has not begun is no problem.
        waiting: Folders of jobs that have not begun.
        exit_status: Exit status that the command would have had: 0, or 1 if a job failed. None: the sweep was loaded.

    Raises:
        ConfigError: The argument is no path.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder_of("folder", folder).absolute()
        found = find_run_folders([self.folder])
        self.waiting = found.waiting
        self.problems = {problem.folder: problem.message for problem in found.problems}
        self.runs: list[Run] = []
        self.exit_status: int | None = None
        for path in sorted(found.runs, key=_natural_order):
            try:
                self.runs.append(Run(path))
            except RecordError as error:
                self.problems[path] = str(error)

    @property
    def counts(self) -> Mapping[str, int]:
        """Status -> number of runs, and the number of jobs that wait, if there are any."""
        return Counter([*(run.status for run in self.runs), *("waiting" for _ in self.waiting)])

    def table(self) -> Rows:
        """A row for each run: the fields that distinguish it, its outcome and its numbers.

        Raises:
            ConfigError: No run can be read.
        """
        from rnnbench.api.reports import report  # imports matplotlib

        return report(self).runs

    def success(self, by: str | Sequence[str] | None = None) -> Rows:
        """The share of solved runs in each setting, with the 95 % interval (Wilson) of the report.

        Args:
            by: Fields that make a setting, as in `rnnbench.report`; None: those that vary, except the seed.

        Raises:
            ConfigError: No run can be read, or a field does not exist.
        """
        from rnnbench.api.reports import report

        groups = report(self, by=by).groups
        columns = list(groups[0])
        shown = [*columns[: columns.index("runs") + 1], "solved", "share_solved", "low_95", "high_95"]
        return Rows({name: group[name] for name in shown} for group in groups)

    def __str__(self) -> str:
        """The lines that the command prints when the sweep has ended."""
        if not is_sweep_folder(self.folder):
            from rnnbench.api.reports import report

            return str(report(self))
        from rnnbench.sweeps.closing import sweep_summary
        from rnnbench.sweeps.plan import read_plan

        return sweep_summary(read_plan(self.folder)).plain

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return f"<pre>{escape(str(self))}</pre>"

    def __repr__(self) -> str:
        """One line: the number of runs, how many have which status, and the folder."""
        counts = ", ".join(f"{number:,} {status}" for status, number in self.counts.items())
        return f"<Sweep of {count(len(self.runs), 'run')}: {counts}, {shortest_path(self.folder)}>"


def _natural_order(path: Path) -> list[tuple[int, str]]:
    """Sort key by which 2 comes before 10."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
