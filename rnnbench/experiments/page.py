"""The page of what was reproduced: `python -m rnnbench.experiments.page` prints docs/reproductions.md."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rnnbench.config.rule import load_rule, rule_names
from rnnbench.experiments.command import HEADINGS, cells
from rnnbench.experiments.result import FILE_NAME, Result, read_result
from rnnbench.records.wording import duration

CHECKOUT = Path(__file__).resolve().parents[2]
RECORDS = Path("results/reproductions")

INTRODUCTION = """\
# Reproductions

Made by `python -m rnnbench.experiments.page` from the records in `results/reproductions`; do not edit.

Each is a claim of Goodfellow, Bengio and Courville, *Deep Learning*, chapter 10, as an experiment: its rule, with the
thresholds and a negative control in which the claim must fail, stands in `conf/experiment/NAME.yaml`. A claim holds
where the whole 95 % interval of each of its numbers is on the right side, does not hold where one is on the wrong side,
and is not decided else, or where the control does not fail as it must. `rnnbench reproduce --list` shows them all;
interrupted, the same command goes on; `--quick` takes fewer nets. Times are those of two cores that had other work too.
"""


def markdown(records: Path) -> str:
    """The page.

    Args:
        records: A folder of a record, result.json and figure.svg, for each experiment that was run, by its name.

    Raises:
        ConfigError: A record cannot be read.
    """
    results = [read_result(records / name) for name in rule_names() if (records / name / FILE_NAME).is_file()]
    overview = _table(
        ("", "section", "command", "takes", "verdict"),
        [
            (
                f"[{result.rule.name}](#{result.rule.name})",
                result.rule.section,
                f"`{result.command}`",
                duration(result.seconds),
                result.verdict,
            )
            for result in results
        ],
    )
    return "\n".join([INTRODUCTION, overview, *map(_section, results)])


def _section(result: Result) -> str:
    rule = result.rule
    figure = f"../{RECORDS.as_posix()}/{rule.name}/figure.svg"
    what, measured, interval, claimed, _ = cells(result.decided_by)
    machine = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    lines = [
        f"\n## {rule.name}\n",
        f"Section {rule.section}: “{rule.sentence}”\n",
        f"**Claim.** {rule.claim}\n",
        *([f"**Theory.** {rule.theory}\n"] if rule.theory else []),
        f"**Control.** {rule.control}\n",
        f'<img src="{figure}" width="720" alt="{rule.name}">\n',
        _table((*HEADINGS[:-1], "answer"), [cells(finding) for finding in result.findings]),
        f"Verdict: **{result.verdict}**, by: {what}: {measured}, 95 % interval {interval}, claimed {claimed}.",
        f"`{result.command}` took {duration(result.seconds)}; recorded at revision {result.git}, with {machine}.",
        *_since(result),
    ]
    return "\n".join(lines) + "\n"


def _since(result: Result) -> list[str]:
    """A sentence where the rule has changed since the record was made."""
    now = load_rule(result.rule.name, quick=result.rule.quick)
    return [] if now == result.rule else ["The rule in `conf/experiment` has changed since then."]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(row: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"

    return "\n".join([line(headings), line(["---"] * len(headings)), *map(line, rows)]) + "\n"


def main() -> None:
    """Print the page."""
    sys.stdout.write(markdown(CHECKOUT / RECORDS))


if __name__ == "__main__":
    main()
