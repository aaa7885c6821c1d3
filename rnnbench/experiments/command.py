"""`rnnbench reproduce`: run an experiment and print its findings and verdict."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from rnnbench.config.classes import import_class
from rnnbench.config.rule import Rule, load_rule, rule_names
from rnnbench.exit_status import FAILED, OK
from rnnbench.experiments.base import Experiment
from rnnbench.experiments.options import ROOT, Options
from rnnbench.experiments.result import Result, write_result
from rnnbench.experiments.study import Study, StudyError
from rnnbench.experiments.verdict import Finding, conclude
from rnnbench.records.environment import git_revision, versions
from rnnbench.records.messages import printable, say
from rnnbench.records.wording import duration, number
from rnnbench.report.drawing import draw_figure

HEADINGS = ("", "measured", "95 % interval", "claimed", "")


def list_lines() -> list[str]:
    """A line for each experiment: its name, the book's section, and what is claimed."""
    rules = [load_rule(name) for name in rule_names()]
    width = max(len(rule.name) for rule in rules)
    return [f"{rule.name:<{width}}  {rule.section:<7}  {rule.claim}" for rule in rules]


def reproduce(options: Options) -> int:
    """Run one experiment, or continue it.

    Args:
        options: Parsed command line, with the name of an experiment.

    Returns:
        The exit status: 0 whatever the verdict, 1 where something could not be trained.

    Raises:
        ConfigError: There is no such experiment, or its folder cannot be used; nothing has been done.
        RecordError: Another process works on the folder, or it cannot be written.
    """
    assert options.name is not None
    rule = load_rule(options.name, quick=options.quick)
    experiment = make_experiment(rule)
    study = Study(rule, options.out, quiet=options.quiet)
    try:
        with study.taken():
            result = run(experiment, study, _command(options))
    except StudyError as error:
        say(str(error))
        return FAILED
    for line in result_lines(result, study.folder):
        print(printable(line))
    return OK


def make_experiment(rule: Rule) -> Experiment:
    """The experiment that a rule names.

    Raises:
        ConfigError: There is no such class.
    """
    experiment: Experiment = import_class("experiment", rule._target_)(rule)
    return experiment


def run(experiment: Experiment, study: Study, command: str) -> Result:
    """Measure, judge, draw and record.

    Args:
        experiment: Experiment to run.
        study: Folder and training of the experiment.
        command: Command line, for the record.

    Raises:
        StudyError: Something could not be trained.
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
    """Lines for the terminal: a table of measured and claimed numbers, and the verdict last."""
    rule, decisive = result.rule, result.decided_by
    rows = [HEADINGS, *map(cells, result.findings)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    said = f'{rule.name}: section {rule.section} says "{rule.sentence}"'
    what, measured, interval, claimed, _ = cells(decisive)
    return [
        said,
        f"claim: {rule.claim}",
        *([f"theory: {rule.theory}"] if rule.theory else []),
        f"control: {rule.control}",
        *table,
        f"figure: {folder / 'figure.svg'} (and .png); numbers: {folder / 'result.json'}; {duration(result.seconds)}",
        f"interval: {what}: {measured}, 95 % interval {interval}, claimed {claimed}",
        f"verdict: {result.verdict}",
    ]


def cells(finding: Finding) -> tuple[str, ...]:
    """A finding as the cells of a table's row."""
    interval = "-" if finding.interval is None else " to ".join(number(bound) for bound in finding.interval)
    answer = "" if finding.role == "beside" else finding.answer
    return finding.what, number(finding.measured), interval, finding.claimed, answer


def _command(options: Options) -> str:
    words: Sequence[str] = ["rnnbench", "reproduce", str(options.name), *["--quick"] * options.quick]
    default = ROOT / (f"{options.name}_quick" if options.quick else str(options.name))
    return shlex.join([*words, *([] if options.out == default else ["--out", str(options.out)])])
