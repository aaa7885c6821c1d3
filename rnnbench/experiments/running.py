"""Runs an experiment: measures, judges, draws and records; formats the result for the terminal."""

from pathlib import Path

from rnnbench.config.classes import import_class
from rnnbench.config.rule import Rule
from rnnbench.experiments.base import Experiment
from rnnbench.experiments.result import Result, write_result
from rnnbench.experiments.study import Study
from rnnbench.experiments.verdict import Finding, conclude
from rnnbench.records.environment import git_revision, versions
from rnnbench.records.wording import duration, number
from rnnbench.reports.drawing import draw_figure

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
    """
    measured = experiment.measure(study)
    findings = experiment.judge(measured)
    verdict, decided_by = conclude(findings)
    width, height = experiment.size
    for form in ("svg", "png"):
        picture = draw_figure(lambda figure: experiment.draw(figure, measured), width=width, height=height, form=form)
        (study.folder / f"figure.{form}").write_bytes(picture)
    result = Result(
        experiment.rule, findings, verdict, decided_by, study.seconds, measured, command, versions(), git_revision()
    )
    write_result(study.folder, result)
    return result


def result_lines(result: Result, folder: Path) -> list[str]:
    """Return lines for the terminal: a table of measured and claimed numbers, and finally the verdict."""
    rule, decisive = result.rule, result.decided_by
    rows = [HEADINGS, *map(cells, result.findings)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    quotation = f'{rule.name}: {rule.source} says "{rule.sentence}"'
    what, measured, interval, claimed, _ = cells(decisive)
    return [
        quotation,
        f"claim: {rule.claim}",
        *([f"theory: {rule.theory}"] if rule.theory else []),
        f"control: {rule.control}",
        *table,
        f"figure: {folder / 'figure.svg'} (and .png); numbers: {folder / 'result.json'}; {duration(result.seconds)}",
        f"interval: {what}: {measured}, 95 % interval {interval}, claimed {claimed}",
        f"verdict: {result.verdict}",
    ]


def cells(finding: Finding) -> tuple[str, ...]:
    """Return the cells of a finding's table row."""
    interval = "-" if finding.interval is None else " to ".join(number(bound) for bound in finding.interval)
    answer = "" if finding.role == "context" else finding.answer
    return finding.what, number(finding.measured), interval, finding.claimed, answer
