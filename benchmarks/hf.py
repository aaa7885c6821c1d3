"""Compares Hessian-free's products with other packages, and measures the parts of an update of hf and of nag."""

from collections.abc import Iterator, Sequence

from benchmarks.comparison import measure_comparison
from benchmarks.options import Options
from benchmarks.runs import HF_RUN, NAG_REPLICAS, NAG_RUN, bare_run
from rnnbench.bench.announce import Announcer
from rnnbench.bench.report import Report
from rnnbench.bench.timing import Lanes
from rnnbench.bench.update import time_updates
from rnnbench.bench.update_table import report_update

SHORT_SECONDS, FULL_SECONDS = 40.0, 180.0
NAG_UPDATES = 25
"""Number of updates of nag per round: a single one takes only some milliseconds."""


def measure_hf(options: Options, settings: Sequence[int], announcer: Announcer) -> Iterator[Report]:
    """Compare products, then measure the parts of updates of hf and of nag.

    Args:
        options: Rounds: one update of hf, or `NAG_UPDATES` of nag.
        settings: Numbers of threads.
        announcer: Shows the progress.
    """
    seconds = FULL_SECONDS if options.full else SHORT_SECONDS
    yield from measure_comparison(options, settings, announcer, seconds=0.5 * seconds)
    hf = "Hessian-free, batches of 2000 and 500 at T=50"
    nag = f"nag, R={NAG_REPLICAS} B=20 T=50 n=50"
    for name, overrides, num_replicas, updates, share in (
        (hf, HF_RUN, 1, 1, 0.4),
        (nag, NAG_RUN, NAG_REPLICAS, NAG_UPDATES, 0.1),
    ):
        announcer.stage(name)
        with Lanes() as lanes:
            runs = {threads: bare_run(overrides, num_replicas, threads) for threads in settings}
            updates, times = time_updates(
                runs, lanes, announcer, rounds=options.rounds, seconds=share * seconds, updates=updates
            )
            for run in runs.values():
                run.close()
        yield report_update(name, updates, times)
