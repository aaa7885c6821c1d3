"""The groups of benchmarks and the functions that measure them."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from benchmarks.cores import measure_cores
from benchmarks.engine import measure_engine
from benchmarks.gated import measure_gated
from benchmarks.gpu import measure_gpu
from benchmarks.hf import measure_hf
from benchmarks.modules import measure_modules
from benchmarks.options import Options
from benchmarks.probes import measure_probes
from benchmarks.sweep import measure_sweep
from benchmarks.tasks import measure_tasks
from benchmarks.training import measure_training
from rnnbench.bench.announce import Announcer
from rnnbench.bench.groups import run_groups, thread_settings
from rnnbench.bench.report import Report

Measure = Callable[[Options, Sequence[int], Announcer], Iterator[Report]]

MEASURES: dict[str, Measure] = {
    "engine": measure_engine,
    "cores": measure_cores,
    "training": measure_training,
    "gated": measure_gated,
    "hf": measure_hf,
    "modules": measure_modules,
    "tasks": measure_tasks,
    "probes": measure_probes,
    "sweep": measure_sweep,
    "gpu": measure_gpu,
}


def run(options: Options) -> int:
    """Measure the requested groups; see `rnnbench.bench.groups.run_groups`."""
    settings = thread_settings(options)
    with Announcer() as announcer:
        measures = {name: partial(MEASURES[name], options, settings, announcer) for name in options.groups}
        return run_groups(measures, options, announcer, {"full": options.full, "threads": settings})
