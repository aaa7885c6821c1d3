"""What a run leaves in its folder, and what a person sees while it trains: names and numbers, no arithmetic.

`rnnbench.records.writer` writes metrics and TensorBoard events, `rnnbench.records.terminal` the progress bar and
`rnnbench.records.closing` the closing summary. They are not imported here: a command that does not train needs neither
TensorBoard nor rich.
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
