"""`rnnbench bench`: measures the groups that were asked for, prints tables, keeps everything as JSON."""

import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from rnnbench.bench.announce import Announcer
from rnnbench.bench.case import MismatchError
from rnnbench.bench.commands import CommandError
from rnnbench.bench.engine import measure_engine
from rnnbench.bench.gated import measure_gated
from rnnbench.bench.gpu import measure_gpu
from rnnbench.bench.hf import measure_hf
from rnnbench.bench.machine_facts import machine_facts, software_facts, usable_cores
from rnnbench.bench.options import Options
from rnnbench.bench.probes import measure_probes
from rnnbench.bench.report import Report, in_words, mebibytes, print_report, write_json
from rnnbench.bench.session import MakeRun
from rnnbench.bench.sweep import measure_sweep
from rnnbench.bench.tasks import measure_tasks
from rnnbench.bench.training import measure_training

OK, FAILED = 0, 1

FORMAT = 1
"""Of the JSON file; grows when a reader of an older one would misread it."""

Measure = Callable[[Options, Sequence[int], Announcer], Iterator[Report]]


def bench(options: Options, make_run: MakeRun) -> int:
    """Measure, and report.

    Args:
        options: What was asked for.
        make_run: Builds a run of `rnnbench train` from overrides.

    Returns:
        The exit status: 0; 1 where two ways to the same numbers differ, a command that is measured fails, or the JSON
        file cannot be written.

    Raises:
        OptionError: A shape does not fit into memory, or there is no GPU for the group that needs one.
    """
    settings = [options.threads] if options.threads is not None else sorted({1, usable_cores()})
    facts = machine_facts()
    measures: dict[str, Measure] = {
        "engine": measure_engine,
        "training": measure_training,
        "gated": measure_gated,
        "hf": lambda *arguments: measure_hf(*arguments, make_run=make_run),
        "tasks": lambda *arguments: measure_tasks(*arguments, make_run=make_run),
        "probes": lambda *arguments: measure_probes(*arguments, make_run=make_run),
        "sweep": measure_sweep,
        "gpu": measure_gpu,
    }
    print(_headline(facts), flush=True)
    groups: dict[str, list[dict[str, Any]]] = {}
    try:
        with Announcer() as announcer:
            for group in options.groups:
                groups[group] = []
                for report in measures[group](options, settings, announcer):
                    announcer.clear()
                    print_report(report, sys.stdout)
                    groups[group].append({"title": report.title, "notes": list(report.notes), **report.data})
        if options.json is not None:
            contents = {
                "format": FORMAT,
                "date": datetime.now().astimezone().isoformat(timespec="seconds"),
                "full": options.full,
                "threads": settings,
                "machine": facts,
                **software_facts(),
                "groups": groups,
            }
            write_json(options.json, contents)
            print(f"\nwritten to {options.json}")
    except (CommandError, MismatchError, OSError) as error:
        print(f"rnnbench: {error}", file=sys.stderr)
        return FAILED
    return OK


def _headline(facts: dict[str, Any]) -> str:
    cores = in_words(facts["usable_cores"], "core")
    load = "" if facts["load_average"] is None else f", load {facts['load_average']:.1f}"
    lines = [f"{facts['cpu']}, {cores}, {mebibytes(facts['memory_bytes'])} MiB of memory{load}"]
    if facts["environment"]:
        variables = " ".join(f"{name}={value}" for name, value in facts["environment"].items())
        kernels = "".join(f"; {kernels}" for kernels in facts["blas"])
        lines.append(f"set in the environment: {variables}{kernels}")
    return "\n".join(lines)
