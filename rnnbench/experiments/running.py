"""Runs an experiment: measures, judges, draws and records; formats the result for the terminal."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rnnbench.config.classes import import_class
from rnnbench.config.rule import Rule
from rnnbench.experiments.base import Experiment
from rnnbench.experiments.result import Result, write_result
from rnnbench.experiments.study import Study
from rnnbench.experiments.verdict import Finding, conclude
from rnnbench.records.environment import git_revision, versions
from rnnbench.records.whole_file import replacing
from rnnbench.records.wording import duration, number
from rnnbench.reports.drawing import draw_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHARACTERS_PER_INCH = 14
"""Width of a figure's title."""

FORMS: Sequence[Literal["svg", "png"]] = ("svg", "png")
"""File formats of the figure."""

HEADINGS = ("", "measured", "95 % interval", "claimed", "")


def make_experiment(rule: Rule) -> Experiment:
    """Make the experiment that a rule names.

    Raises:
        ConfigError: There is no such class.
    """
    experiment: Experiment = import_class("experiment", rule._target_)(rule)
    return experiment


def run(experiment: Experiment, study: Study, command: str) -> Result:
    """Measure, judge, draw and record an experiment.

    Args:
        experiment: Experiment to run.
        study: Folder and training of the experiment.
        command: Command line, for the record.

    Raises:
        StudyError: A sweep could not be trained.
        RecordError: Numbers or figure cannot be written.
    """
    measured = experiment.measure(study)
    findings = experiment.judge(measured)
    verdict, decided_by = conclude(findings)
    result = Result(
        experiment.rule, findings, verdict, decided_by, study.seconds, measured, command, versions(), git_revision()
    )
    write_result(study.folder, result)
    for form in FORMS:
        with replacing(study.folder / f"figure.{form}") as handle:
            handle.write(draw_result(result, form))
    return result


def draw_result(result: Result, form: Literal["svg", "png"] = "svg") -> bytes:
    """Draw the figure of a result; its title is the verdict (a quick run's is marked) and the number that decides it.

    Raises:
        ConfigError: There is no such experiment.
    """
    experiment = make_experiment(result.rule)
    width, height = experiment.size
    what, measured, interval, claimed, _ = cells(result.decided_by)
    verdict = f"{result.verdict} (quick run)" if result.rule.quick else result.verdict
    title = f"{verdict}: {what}: {measured} ({interval}), claimed {claimed}"

    def paint(figure: "Figure") -> None:
        figure.suptitle("\n".join(textwrap.wrap(title, int(CHARACTERS_PER_INCH * width))), fontsize="medium")
        experiment.draw(figure, result.measured)

    return draw_figure(paint, width=width, height=height, form=form)


def result_lines(result: Result, folder: Path) -> list[str]:
    """Return lines for the terminal: a table of measured and claimed numbers, and finally the verdict."""
    rule, decisive = result.rule, result.decided_by
    rows = [HEADINGS, *map(cells, result.findings)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    quotation = f'{rule.name}: {rule.source} says "{rule.sentence}"'
    what, measured, interval, claimed, _ = cells(decisive)
    note = f" (quick run, too small to test the claim; rnnbench reproduce {rule.name} does)" if rule.quick else ""
    return [
        quotation,
        f"claim: {rule.claim}",
        *([f"theory: {rule.theory}"] if rule.theory else []),
        f"control: {rule.control}",
        *table,
        f"figure: {folder / 'figure.svg'} (and .png); numbers: {folder / 'result.json'}; {duration(result.seconds)}",
        f"decided by: {what}: {measured}, 95 % interval {interval}, claimed {claimed}",
        f"verdict: {result.verdict}{note}",
    ]


def cells(finding: Finding) -> tuple[str, ...]:
    """Return the cells of a finding's table row."""
    interval = "-" if finding.interval is None else " to ".join(number(bound) for bound in finding.interval)
    answer = "" if finding.role == "context" else finding.answer
    return finding.what, number(finding.measured), interval, finding.claimed, answer
