"""`rnnbench probe`: runs probes on saved nets, writes their findings and prints a table."""

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.text import Text

from rnnbench.commands.output import show
from rnnbench.config.compose import Composer
from rnnbench.config.errors import ConfigError
from rnnbench.config.given_paths import given_path, no_folder
from rnnbench.config.overrides import quoted
from rnnbench.config.parser import CommandParser
from rnnbench.config.request import Request
from rnnbench.config.trust import add_trust_options, trusted_by
from rnnbench.config.validate import validate
from rnnbench.exit_status import FAILED, OK
from rnnbench.probing.options import DEFAULT_SEQUENCES, Options
from rnnbench.records import RecordError
from rnnbench.records.board import board_of
from rnnbench.records.closing import add_table, program, shortest_path
from rnnbench.records.lock import FILE_NAME as LOCK
from rnnbench.records.lock import locked
from rnnbench.records.messages import printable, say
from rnnbench.records.probe_files import NUMBERS, prepare_folder, write_findings
from rnnbench.records.quantiles import order_quantiles
from rnnbench.records.wording import count
from rnnbench.run.process import prepare_process

if TYPE_CHECKING:
    from rnnbench.probing.reading import Findings
    from rnnbench.probing.saved import Saved

DEFAULT = "probe=all"


def _parser() -> argparse.ArgumentParser:
    """The parser of `rnnbench probe`."""
    parser = CommandParser(
        prog="rnnbench probe",
        usage="rnnbench probe FOLDER... [probe=CHOICE] [probe.NAME.KEY=VALUE ...] [--out DIR] [--sequences N]",
        description="Run probes on the net that a run has saved, as during training.",
        epilog="Default: probe=all; rnnbench list probe shows the choices. The probes use held-out sequences of the\n"
        "run's task, the same for every run of that task. docs/probes.md explains the results.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", metavar="FOLDER", nargs="*", help="a run, a sweep, or a folder that contains runs")
    parser.add_argument("--out", metavar="DIR", help="folder of the results; default: FOLDER/probe")
    parser.add_argument("--sequences", metavar="N", default=str(DEFAULT_SEQUENCES), help="sequences; default: 100")
    add_trust_options(parser)
    return parser


def parse_options(words: Sequence[str]) -> Options:
    """Parse the arguments after `rnnbench probe`; --help prints the options and ends the process.

    Raises:
        ConfigError: A folder is missing, an option does not exist, or a value is invalid.
    """
    given = _parser().parse_intermixed_args(words)
    overrides = tuple(word for word in given.words if "=" in word or word.startswith(("~", "+")))
    folders = tuple(given_path(word) for word in given.words if word not in overrides)
    if not folders:
        raise ConfigError("rnnbench probe needs the folder of a run or of a sweep")
    trusted = trusted_by(given, ["probe", *words])
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(no_folder(folder))
    for override in overrides:
        key = override.lstrip("~+").partition("=")[0]
        if key != "probe" and not key.startswith("probe."):
            raise ConfigError(f"{override}: only probe=CHOICE and its keys can be set; the rest is fixed by the run")
    if not given.sequences.isdecimal() or int(given.sequences) < 1:
        raise ConfigError(f"--sequences must be a whole number >= 1, got {given.sequences!r}")
    out = None if given.out is None else Path(given.out).expanduser()
    return Options(folders, overrides, out, int(given.sequences), trusted)


def main(words: Sequence[str]) -> int:
    """Run the command.

    Args:
        words: Arguments after `rnnbench probe`.

    Returns:
        The exit status: 0, or 1 if a probe failed or a result could not be written.

    Raises:
        ConfigError: A folder, a checkpoint, a probe or its sample cannot be used; nothing has been written.
        RecordError: A checkpoint is damaged.
    """
    options = parse_options(words)
    prepare_process()
    options.trusted.add_to_path()
    status, lines = run_probe(options)
    return max(status, show(lambda: lines))


def run_probe(options: Options) -> tuple[int, list[str]]:
    """Probe every saved net in some folders; raises as `main` does.

    Returns:
        The exit status, and the lines to print: the table, the files and the next commands.
    """
    from rnnbench.probing.reading import SCALE, prepare, probe
    from rnnbench.probing.saved import find_saved

    runs, num_without = find_saved(options, _requested_probes(options))
    objects = [prepare(saved, options.num_sequences) for saved in runs]
    try:
        for saved in runs:
            prepare_folder(saved.out)
    except RecordError as error:
        raise ConfigError(str(error)) from error
    all_findings: list[Findings] = []
    status = OK
    for number, (saved, built) in enumerate(zip(runs, objects, strict=True), 1):
        if sys.stderr.isatty() and len(runs) > 1:
            say(f"{number} of {len(runs)}: {saved.folder}")
        findings = probe(saved, built, options.num_sequences)
        for what, failure in findings.failures.items():
            say(f"{saved.folder}: {what} failed and is left out: {failure}")
            status = FAILED
        board = board_of(list(findings.scalars), [one for each in built.probes.values() for one in each.metrics], {})
        histograms = {tag: values.double().numpy() for tag, values in findings.histograms.items()}
        try:
            # If two commands write to the same folder, the findings of the later one remain.
            with locked(saved.out / LOCK, str(saved.out), wait=True):
                write_findings(saved.out, saved.update, findings.scalars, histograms, findings.pictures, board, SCALE)
        except RecordError as error:
            say(str(error))
            return FAILED, []
        all_findings.append(findings)
    return status, _closing(options, runs, all_findings, num_without).splitlines()


def _requested_probes(options: Options) -> Mapping[str, Any]:
    """The requested probes, as a configuration has them."""
    chosen = any(override.startswith("probe=") for override in options.overrides)
    folders = ",".join(quoted(f"file://{folder}") for folder in options.trusted.folders)
    search_path = [f"hydra.searchpath=[{folders}]"] if folders else []
    overrides = (*search_path, *([] if chosen else [DEFAULT]), *options.overrides)
    with Composer(Request(overrides)) as composer:
        config = composer.compose(overrides).config
    validate(config)
    probes: Mapping[str, Any] = config.probe
    return probes


def _closing(options: Options, runs: "Sequence[Saved]", findings: "Sequence[Findings]", num_without: int) -> str:
    """The last lines: the table, the files and the next commands."""
    text = Text()
    first = runs[0]
    if len(runs) == 1:
        config = first.config
        text.append(f"{printable(config.name)}: {first.status}, probed after update {first.update:,}, ")
        text.append(f"on {count(options.num_sequences, 'held-out sequence')}\n")
    else:
        text.append(
            f"{count(len(runs), 'run')}, each on the same {count(options.num_sequences, 'held-out sequence')}\n"
        )
    add_table(text, _rows(findings))
    if num_without:
        text.append(f"  {count(num_without, 'run')} skipped: no checkpoint of its own\n")
    seconds = {name: sum(each.seconds.get(name, 0.0) for each in findings) for name in findings[0].seconds}
    text.append(f"  processor time  {', '.join(f'{name} {spent:.2f} s' for name, spent in seconds.items())}\n")
    top = first.out if len(runs) == 1 else options.out or options.folders[0]
    pictures = sum(len(each.pictures) for each in findings)
    inside = "" if len(runs) == 1 else " below"
    text.append(f"  {count(pictures, 'picture')} and {NUMBERS} in{inside}  {shortest_path(top)}\n")
    text.append(f"  look at it  {program('tensorboard')} --logdir {shortest_path(top)}\n")
    text.append("  how to read it  docs/probes.md\n")
    return text.plain


def _rows(findings: "Sequence[Findings]") -> list[list[str]]:
    """The rows of the table: the value of each tag, or the median and the range over several runs."""
    tags = dict.fromkeys(tag for each in findings for tag in each.scalars)
    if len(findings) == 1:
        return [["", "value"], *([tag, _number(findings[0].scalars[tag])] for tag in tags)]
    rows = [["", "median", "lowest", "highest"]]
    for tag in tags:
        values = np.array([each.scalars.get(tag, math.nan) for each in findings])
        rows.append([tag, *map(_number, order_quantiles(values, [0.5, 0, 1]).tolist())])
    return rows


def _number(value: float) -> str:
    return f"{value:.4g}"
