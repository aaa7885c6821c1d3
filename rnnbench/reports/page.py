"""The page of a report: one self-contained HTML file."""

from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path

import rnnbench
from rnnbench.records import wording
from rnnbench.records.messages import printable
from rnnbench.reports import description
from rnnbench.reports.chart import Chart
from rnnbench.reports.drawing import inline
from rnnbench.reports.finding import Found, Problem
from rnnbench.reports.further_tables import tables_of
from rnnbench.reports.groups import Group
from rnnbench.reports.runs import OUTCOMES, Run
from rnnbench.reports.tables import Table

FIGURES = "figures"
"""Folder of the figure files, in the folder of the page."""

_STYLE = "page.css"


def make_page(
    runs: Sequence[Run],
    groups: Sequence[Group],
    charts: Sequence[Chart],
    found: Found,
) -> str:
    """Make the HTML file.

    Args:
        runs: Runs of the report, at least one.
        groups: The same runs, grouped by fields.
        charts: The figures.
        found: Jobs without records, repeated runs and folders that cannot be read.
    """
    title = _text(description.title(runs, len(found.waiting)))
    everything = Group((), (), tuple(runs))
    style = (resources.files("rnnbench.reports") / _STYLE).read_text(encoding="utf-8")
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        f'<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{style}</style></head>",
        f"<body><main><h1>{title}</h1>",
        _headline(everything, groups, len(found.waiting)),
        _link_line("repeats", description.repeats(found.repeats), found.repeats),
        _link_line("problems", description.problems(found.problems), found.problems),
        '<div class="facts"><section><h2>What was run</h2>',
        _definitions(description.facts(runs, groups)),
        f'</section><section><h2>What "solved" means</h2><p>{_text(description.SOLVED_MEANS)}</p></section></div>',
        *map(_table, tables_of(groups)),
        _charts(charts),
        _repeats(found.repeats),
        _problems(found.problems),
        _folded("Settings that all runs share", description.common_settings(runs)),
        _folded("Made with", description.made_with(runs)),
        f"<footer>rnnbench {rnnbench.__version__}. Numbers: <a href=groups.csv>groups.csv</a>, "
        "<a href=runs.csv>runs.csv</a>, and those of each figure below it.</footer>",
        "</main></body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _text(words: str) -> str:
    """Escape a text from a record for the page."""
    return escape(printable(words))


def _headline(everything: Group, groups: Sequence[Group], num_waiting: int) -> str:
    """Return the share solved in large type, the best settings, and a bar of all outcomes."""
    amounts = {outcome: everything.counts[outcome] for outcome in OUTCOMES} | {"no records yet": num_waiting}
    present = [(words.replace(" ", "-"), words, amount) for words, amount in amounts.items() if amount]
    pieces = "".join(f'<span class="{kind}" style="flex-grow:{amount}"></span>' for kind, _, amount in present)
    legend = "".join(f'<li><i class="{kind}"></i>{amount:,} {words}</li>' for kind, words, amount in present)
    solved, total = everything.num_solved, wording.count(len(everything.runs), "run")
    best = "".join(f"<p>{_text(line)}</p>" for line in description.best_lines(everything, groups))
    state = description.state(everything, num_waiting)
    return (
        f'<section class="headline"><p class="share">{wording.percent(everything.share_solved)}</p>'
        f"<div><p><strong>{solved:,} of {total} solved</strong>, {_text(description.interval(everything))}."
        f"{state and f' {_text(state)}'}</p>{best}</div></section>"
        f'<div class="bar">{pieces}</div><ul class="legend">{legend}</ul>'
    )


def _link_line(place: str, words: str, folders: Sequence[object]) -> str:
    """Return a line that links to a section on some folders; "" if there are none."""
    return f'<p class="warning"><a href="#{place}">{words}</a></p>' if folders else ""


def _definitions(rows: Sequence[tuple[str, str]]) -> str:
    cells = "".join(f"<dt>{_text(name)}</dt><dd>{_text(words)}</dd>" for name, words in rows)
    return f"<dl>{cells}</dl>"


def _table(table: Table) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        words = (
            f"<{tag}{' class=label' if number < table.num_labels else ''}>{_text(cell)}</{tag}>"
            for number, cell in enumerate(cells)
        )
        return f"<tr>{''.join(words)}</tr>"

    body = "".join(row(cells, "td") for cells in table.rows)
    return (
        f'<section><h2>{_text(table.title)}</h2><div class="scroll"><table><thead>{row(table.columns, "th")}</thead>'
        f'<tbody>{body}</tbody></table></div><p class="note">{_text(table.note)}</p></section>'
    )


def _charts(charts: Sequence[Chart]) -> str:
    if not charts:
        return ""
    figures = "".join(
        f"<figure><h3>{_text(chart.title)}</h3>{inline(chart.svg, chart.name)}<figcaption>{_text(chart.caption)} "
        f'<a href="{FIGURES}/{chart.name}.csv">numbers</a>, <a href="{FIGURES}/{chart.name}.svg">picture</a>'
        "</figcaption></figure>"
        for chart in charts
    )
    return f'<section><h2>Figures</h2><div class="figures">{figures}</div></section>'


def _repeats(repeats: Sequence[tuple[Path, Path]]) -> str:
    if not repeats:
        return ""
    note = "Runs with the same configuration and seed have the same numbers; only one of them is counted."
    rows = [(str(run), str(same)) for run, same in repeats]
    return f'<div id="repeats">{_table(Table("Repeated runs", ("folder", "the same run as"), 2, rows, note))}</div>'


def _problems(problems: Sequence[Problem]) -> str:
    if not problems:
        return ""
    rows = [(str(problem.folder), problem.effect, problem.message) for problem in problems]
    table = Table("Missing or damaged records", ("folder", "in this report", "problem"), 3, rows, "")
    return f'<div id="problems">{_table(table)}</div>'


def _folded(title: str, rows: Sequence[tuple[str, str]]) -> str:
    return f"<details><summary>{_text(title)}</summary>{_definitions(rows)}</details>" if rows else ""
