"""docs/reproductions.md: all experiments that were run, from their records."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from docs.make.markdown import table
from rnnbench.config.listing import Choices
from rnnbench.config.rule import GROUP, Rule, load_rule, rule_names
from rnnbench.experiments.result import FILE_NAME, Result, read_result
from rnnbench.experiments.running import HEADINGS, cells, draw_result
from rnnbench.paths import conf_dir
from rnnbench.records.wording import duration

RECORDS = "reproductions"
"""Name of the folder of the records, within that of all results."""

INTRODUCTION = """\
# Reproductions

Made by `python -m docs.make reproductions` from the records in `results/reproductions`; do not edit.

Each experiment tests a claim of Goodfellow, Bengio and Courville, *Deep Learning*, chapter 10, or of a paper. A claim
*holds* if the whole 95 % interval of each of its numbers is on the right side of the threshold. It *does not hold* if
one interval is entirely on the wrong side. Otherwise, or if the control does not fail as required, it is *not decided*.
The table shows the number that decides, in brackets its 95 % interval.
"""

AFTER_TABLE = """\
The rule of an experiment is in `conf/experiment/NAME.yaml`: the thresholds, and a negative control, a case in which the
claim must fail. It was fixed before the runs. `rnnbench reproduce --list` shows all experiments. The same command
continues an interrupted one; `--quick` uses fewer nets and smaller sizes, too small to test the claim, `--full` the
sizes of the paper, if the usual ones are smaller.
Times were measured on two cores that were also busy with other work.
"""


def pages(results: Path, docs: Path) -> Mapping[Path, str]:
    """Return the page and the figures: the contents of each file by its path.

    Raises:
        ConfigError: A record cannot be read.
    """
    records = results / RECORDS
    figures = {records / one.rule.name / "figure.svg": draw_result(one).decode() for one in _results(records)}
    return {docs / "reproductions.md": markdown(records), **figures}


def markdown(records: Path) -> str:
    """Make the page.

    Args:
        records: Folder with one folder per experiment, named like it, with result.json and figure.svg.

    Raises:
        ConfigError: A record cannot be read.
    """
    claims = Choices((conf_dir(),)).summaries(GROUP)
    results = _results(records)
    overview = table(
        ("claim", "source", "reported there", "measured here", "verdict", "takes", "`rnnbench reproduce`"),
        [
            (
                claims[result.rule.name].removesuffix("."),
                result.rule.source,
                result.rule.reported or "no number",
                _decisive(result),
                f"**{result.verdict}**",
                duration(result.seconds),
                f"[`{result.rule.name}`](#{result.rule.name})",
            )
            for result in results
        ],
    )
    return "\n".join([INTRODUCTION, f"{overview}\n", AFTER_TABLE, *map(_section, results)])


def _results(records: Path) -> list[Result]:
    """Read all records, in the order of their names."""
    names = [name for name in rule_names() if (records / name / FILE_NAME).is_file()]
    return [_reworded(read_result(records / name)) for name in names]


def _decisive(result: Result) -> str:
    """Return the number that decides, with its interval and the threshold."""
    what, measured, interval, claimed, _ = cells(result.decided_by)
    return f"{what}: {measured} ({interval}), claimed {claimed}"


def _section(result: Result) -> str:
    rule = result.rule
    figure = f"../results/{RECORDS}/{rule.name}/figure.svg"
    what, measured, interval, claimed, _ = cells(result.decided_by)
    machine = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    lines = [
        f"\n## {rule.name}\n",
        f"{rule.source[0].upper()}{rule.source[1:]}: “{rule.sentence}”\n",
        f"**Claim.** {rule.claim}\n",
        *([f"**Theory.** {rule.theory}\n"] if rule.theory else []),
        f"**Control.** {rule.control}\n",
        f'<img src="{figure}" width="720" alt="{rule.name}">\n',
        table((*HEADINGS[:-1], "answer"), [cells(finding) for finding in result.findings]) + "\n",
        f"Verdict: **{result.verdict}**, by: {what}: {measured}, 95 % interval {interval}, claimed {claimed}.",
        f"`{result.command}` took {duration(result.seconds)}; recorded at revision {result.git}, with {machine}.",
        *([] if rule == _rule_today(rule) else ["The rule in `conf/experiment` has changed since then."]),
    ]
    return "\n".join(lines) + "\n"


def _rule_today(rule: Rule) -> Rule:
    return load_rule(rule.name, quick=rule.quick, full=rule.full)


def _reworded(result: Result) -> Result:
    """Replace the rule of a result by today's rule if both decide in the same way and differ only in wording."""
    today = _rule_today(result.rule)
    return replace(result, rule=today) if today.decides_as(result.rule) else result
