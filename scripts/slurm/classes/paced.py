"""The adding problem with a pause for every update, so that a sweep lasts as long as a check needs it to."""

import os
import time

from typing_extensions import override

from rnnbench.tasks.adding import Adding
from rnnbench.tasks.base import Batch, Draw, Stream

PAUSE, TRACE = "RNNBENCH_CHECK_PAUSE", "RNNBENCH_CHECK_TRACE"
"""Environment variables: seconds for every update, and a file that gets a line from every process that trains."""


class PacedAdding(Adding):
    """Adds the pause, and writes down the Slurm job and the first update of a process.

    The batches of several updates are drawn at once.
    """

    _is_traced = False

    @override
    def draw(self, draw: Draw) -> Batch:
        if draw.stream is Stream.GRADIENT:
            updates = [draw.update] if isinstance(draw.update, int) else [int(update) for update in draw.update]
            if not PacedAdding._is_traced and TRACE in os.environ:
                PacedAdding._is_traced = True
                with open(os.environ[TRACE], "a", encoding="utf-8") as trace:
                    trace.write(f"{os.environ.get('SLURM_JOB_ID', '?')} {min(updates)}\n")
            time.sleep(float(os.environ.get(PAUSE, "0")) * (max(updates) - min(updates) + 1))
        return super().draw(draw)
