"""`rnnbench probe`: finds saved nets, reads the probes on each, writes what they find, prints a table."""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.text import Text

from rnnbench.config.compose import Composer
from rnnbench.config.errors import ConfigError
from rnnbench.config.overrides import quoted
from rnnbench.config.request import Request
from rnnbench.config.validate import validate
from rnnbench.exit_status import FAILED, OK
from rnnbench.probing.options import Options
from rnnbench.probing.reading import Findings, prepare, probe
from rnnbench.probing.saved import Saved, find_saved
from rnnbench.records import RecordError
from rnnbench.records.closing import add_table, shortest_path
from rnnbench.records.lock import FILE_NAME as LOCK
from rnnbench.records.lock import locked
from rnnbench.records.messages import printable, say
from rnnbench.records.probe_files import NUMBERS, prepare_folder, write_findings
from rnnbench.records.wording import count

DEFAULT = "probe=all"


def run_probe(options: Options) -> tuple[int, list[str]]:
    """Probe every saved net in some folders.

    Args:
        options: What was asked for.

    Returns:
        The exit status, 0, or 1 where a probe failed or something could not be written; and the lines of the table,
        with where everything is and what to type next.

    Raises:
        ConfigError: A folder, a checkpoint, a probe or its sample cannot be; nothing has been written then.
    """
    runs, num_without = find_saved(options, _wanted(options))
    objects = [prepare(saved, options.num_sequences) for saved in runs]
    try:
        for saved in runs:
            prepare_folder(saved.out)
    except RecordError as error:
        raise ConfigError(str(error)) from error
    found: list[Findings] = []
    status = OK
    for number, (saved, built) in enumerate(zip(runs, objects, strict=True), 1):
        if sys.stderr.isatty() and len(runs) > 1:
            say(f"{number} of {len(runs)}: {saved.folder}")
        findings = probe(saved, built, options.num_sequences)
        for what, failure in findings.failures.items():
            say(f"{saved.folder}: {what} failed and is left out: {failure}")
            status = FAILED
        histograms = {tag: values.double().numpy() for tag, values in findings.histograms.items()}
        try:
            with locked(saved.out / LOCK, str(saved.out), wait=True):  # of two commands the later one's findings stay
                write_findings(saved.out, saved.update, findings.scalars, histograms, findings.pictures)
        except RecordError as error:
            say(str(error))
            return FAILED, []
        found.append(findings)
    return status, _closing(options, runs, found, num_without).splitlines()


def _wanted(options: Options) -> Mapping[str, Any]:
    """The probes that are asked for, as of a configuration."""
    chosen = any(override.startswith("probe=") for override in options.overrides)
    folders = ",".join(quoted(f"file://{folder}") for folder in options.trusted.folders)
    searched = [f"hydra.searchpath=[{folders}]"] if folders else []
    overrides = (*searched, *([] if chosen else [DEFAULT]), *options.overrides)
    with Composer(Request(overrides)) as composer:
        config = composer.compose(overrides).config
    validate(config)
    wanted: Mapping[str, Any] = config.probe
    return wanted


def _closing(options: Options, runs: Sequence[Saved], found: Sequence[Findings], num_without: int) -> str:
    """The table, where everything is, and what to type next."""
    text = Text()
    first = runs[0]
    if len(runs) == 1:
        config = first.config
        text.append(f"{printable(config.name)}: {first.status}, looked at after update {first.update:,}, ")
        text.append(f"on {count(options.num_sequences, 'held-out sequence')}\n")
    else:
        text.append(
            f"{count(len(runs), 'run')}, each on the same {count(options.num_sequences, 'held-out sequence')}\n"
        )
    add_table(text, _rows(found))
    if num_without:
        text.append(f"  {count(num_without, 'run')} without a checkpoint of its own left out\n")
    seconds = {name: sum(each.seconds.get(name, 0.0) for each in found) for name in found[0].seconds}
    text.append(f"  processor time  {', '.join(f'{name} {spent:.2f} s' for name, spent in seconds.items())}\n")
    top = first.out if len(runs) == 1 else options.out or options.folders[0]
    pictures = sum(len(findings.pictures) for findings in found)
    inside = "" if len(runs) == 1 else " below"
    text.append(f"  {count(pictures, 'picture')} and {NUMBERS} in{inside}  {shortest_path(top)}\n")
    text.append(f"  look at it  tensorboard --logdir {shortest_path(top)}\n")
    text.append("  how to read it  docs/probes.md\n")
    return text.plain


def _rows(found: Sequence[Findings]) -> list[list[str]]:
    """One number for each tag; of several runs, the median and the range."""
    tags = dict.fromkeys(tag for findings in found for tag in findings.scalars)
    if len(found) == 1:
        return [["", "value"], *([tag, _number(found[0].scalars[tag])] for tag in tags)]
    rows = [["", "median", "lowest", "highest"]]
    for tag in tags:
        values = np.array([findings.scalars.get(tag, math.nan) for findings in found])
        known = values[~np.isnan(values)]
        shown = (np.median(known), known.min(), known.max()) if known.size else (math.nan,) * 3
        rows.append([tag, *(_number(float(value)) for value in shown)])
    return rows


def _number(value: float) -> str:
    return f"{value:.4g}"
