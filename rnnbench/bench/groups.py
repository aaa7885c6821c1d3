"""`rnnbench bench`: measures, prints tables, and writes a JSON file on request."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from rnnbench.bench.announce import Announcer
from rnnbench.bench.case import MeasurementError
from rnnbench.bench.engine import measure_engine
from rnnbench.bench.machine_facts import machine_facts, software_facts
from rnnbench.bench.options import ENGINE, UPDATE, Options
from rnnbench.bench.report import Report, mebibytes, print_report, write_json
from rnnbench.bench.update import measure_update
from rnnbench.config.schema import Config
from rnnbench.exit_status import FAILED, OK
from rnnbench.records.messages import printable, say
from rnnbench.records.wording import count
from rnnbench.run.processors import num_processors

FORMAT = 1
"""Version of the JSON file; it is increased if readers of older versions would misread it."""

Measure = Callable[[], Iterator[Report]]


def bench(options: Options, configs: Sequence[Config]) -> int:
    """Measure the requested group and report the results.

    Args:
        options: Parsed command line.
        configs: Validated configurations of the replicas whose update is measured.

    Returns:
        The exit status: 0; 1 if two ways give different results, or the JSON file cannot be written.

    Raises:
        ConfigError: A shape or a run does not fit this machine, or is not valid.
    """
    settings = thread_settings(options)
    with Announcer() as announcer:
        measures: dict[str, Measure] = {
            ENGINE: partial(measure_engine, options, settings, announcer),
            UPDATE: partial(measure_update, options, configs, announcer),
        }
        return run_groups({options.group: measures[options.group]}, options, announcer)


def thread_settings(options: Options) -> list[int]:
    """Return the numbers of threads to compare; by default one, and all cores."""
    return [options.threads] if options.threads is not None else sorted({1, num_processors()})


def run_groups(
    measures: Mapping[str, Measure], options: Options, announcer: Announcer, facts: Mapping[str, Any] | None = None
) -> int:
    """Measure groups one after another, print each table as soon as it is made, and write the JSON file.

    Args:
        measures: Function that yields the tables of each group, by name.
        options: Options of the command.
        announcer: Shows the progress.
        facts: Further entries of the JSON file; None: none.

    Returns:
        The exit status: 0; 1 if a comparison fails, or the JSON file cannot be written.

    Raises:
        ConfigError: A measurement does not fit this machine.
    """
    machine = machine_facts()
    groups: dict[str, list[dict[str, Any]]] = {}
    try:
        for group, measure in measures.items():
            groups[group] = []
            for report in measure():
                announcer.clear()
                if not any(groups.values()):  # only after all checks of this machine
                    print(_headline(machine))
                print_report(report, sys.stdout)
                groups[group].append({"title": report.title, "notes": list(report.notes), **report.data})
        if options.json is not None:
            now = datetime.now().astimezone().isoformat(timespec="seconds")
            contents = {"format": FORMAT, "date": now, **(facts or {}), "machine": machine, **software_facts()}
            write_json(options.json, {**contents, "groups": groups})
            print(f"\nwritten to {printable(str(options.json))}")
    except (MeasurementError, OSError) as error:
        announcer.clear()
        say(str(error))
        return FAILED
    return OK


def _headline(machine: Mapping[str, Any]) -> str:
    cores = count(machine["usable_cores"], "core")
    load = "" if machine["load_average"] is None else f", load {machine['load_average']:.1f}"
    lines = [f"{machine['cpu']}, {cores}, {mebibytes(machine['memory_bytes'])} MiB of memory{load}"]
    if machine["environment"]:
        variables = " ".join(f"{name}={value}" for name, value in machine["environment"].items())
        kernels = "".join(f"; {kernels}" for kernels in machine["blas"])
        lines.append(f"set in the environment: {variables}{kernels}")
    return "\n".join(lines)
