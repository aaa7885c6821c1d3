"""Files in a run folder and output on the terminal: names and numbers, no arithmetic.

`rnnbench.records.writer` writes metrics and TensorBoard events, `rnnbench.records.terminal` the progress bar and
`rnnbench.records.closing` the closing summary. They are not imported here, since commands that do not train need
neither TensorBoard nor rich.
"""

from rnnbench.records.errors import RecordError
from rnnbench.records.summary import (
    SolvedAt,
    Summary,
    is_run_folder,
    is_sweep_folder,
    read_summary,
    sweep_of,
    write_summary,
)

__all__ = [
    "RecordError",
    "SolvedAt",
    "Summary",
    "is_run_folder",
    "is_sweep_folder",
    "read_summary",
    "sweep_of",
    "write_summary",
]
