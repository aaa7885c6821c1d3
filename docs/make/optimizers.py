"""docs/optimizers.md: what each optimizer solves, from the records of `optimizers_2026` that are there."""

from collections.abc import Mapping
from pathlib import Path

from docs.make import lightbench, optimizers_against_length
from docs.make.markdown import table
from docs.make.reproductions import RECORDS
from docs.make.tuned_cells import NOT_TRIED, solved
from rnnbench.config.rule import load_rule
from rnnbench.experiments.optimizer_map import REFERENCE, OptimizerMap, Tuned, figure_size
from rnnbench.experiments.optimizers_2026 import Optimizers2026
from rnnbench.experiments.study import PARTS
from rnnbench.records.wording import count, number
from rnnbench.reports.drawing import draw_figure

NAME = "optimizers_2026"
PICTURE = "optimizers_map.svg"

INTRODUCTION = """\
# Optimizers on problems of long memory

Made by `python -m docs.make optimizers` from the records in `results/reproductions/optimizers_2026`; do not edit.

Which optimizer trains a recurrent net on problems that need a long memory? Each optimizer is tuned on each problem by
the same search (`rnnbench tune`): {trials} settings, drawn at random from the ranges in the optimizer's file, with
three seeds each. The best one is trained again with 16 fresh seeds, which are what the map counts. Every run has
{sequences} sequences, those of Gauss-Newton products included, and a net of {hidden_size} hidden units. Batches have
20 sequences; those of `muon`, `soap` and `psgd_kron`, whose updates cost more, have 50, those of `hf` 250 for the
gradient and 64 for the curvature. `rnn` starts from `init=sparse`, `lstm` from `init=gaussian`. The number after a
task's name is its sequence length. The rule is in `conf/experiment/optimizers_2026.yaml`.
"""

CONTINUE = """\
## Add to the map

```sh
mkdir -p reproductions && cp -r results/reproductions/optimizers_2026 reproductions/
rnnbench reproduce optimizers_2026
```

The second command trains the tunings that are missing, the cheap problems first, and says how many are left; Ctrl-C
ends it, and the same command continues. Each tuning ends in a file of `reproductions/optimizers_2026/parts`; copy those
without `trained_` in their names back into `results/reproductions/optimizers_2026/parts`, then
`python -m docs.make optimizers` makes this page. The verdict on the claim follows when all are there. `--quick` trains
six small tunings in two minutes.
"""


def pages(results: Path, docs: Path) -> Mapping[Path, str]:
    """The page and its figure; nothing if there is no record.

    Raises:
        ConfigError, PageError: A record is damaged.
    """
    experiment = Optimizers2026(load_rule(NAME))
    records = experiment.records(results / RECORDS / NAME / PARTS)
    if not records:
        return {}
    found = experiment.map_of(records)
    width, height = figure_size(len(found.begun))
    picture = draw_figure(lambda figure: found.draw(figure, found.begun), width=width, height=height, form="svg")
    page, images = markdown(experiment, found), docs / "images"
    made = {images / PICTURE: picture.decode()}
    rows_of_lightbench = lightbench.section(results, found)
    if rows_of_lightbench is not None:
        page = f"{page}\n{rows_of_lightbench}"
    against_length = optimizers_against_length.section(results)
    if against_length is not None:
        text, own_picture = against_length
        page, made[images / optimizers_against_length.PICTURE] = f"{page}\n{text}", own_picture.decode()
    return {docs / "optimizers.md": page, **made}


def markdown(experiment: Optimizers2026, found: OptimizerMap) -> str:
    """Make the page."""
    settings = experiment.rule.settings
    introduction = INTRODUCTION.format(
        trials=settings["trials"], sequences=number(settings["sequences"]), hidden_size=settings["hidden_size"]
    )
    return "\n".join([introduction, _extent(experiment, found), _map(found), _costs(found), _choice(found), CONTINUE])


def _extent(experiment: Optimizers2026, found: OptimizerMap) -> str:
    """How much of the plan has been done."""
    planned = len(found.optimizers) * len(found.problems)
    missing = [each for each in experiment.parts if each not in _names(experiment, found)]
    hours = sum(experiment.seconds_of(experiment.tunings[each]) for each in missing) / 3600
    if not missing:
        return f"All {planned} tunings are there.\n"
    return (
        f"**This is a part of the map: {len(found.tuned)} of {planned} tunings**, on {len(found.begun)} of "
        f"{len(found.problems)} problems; on {len(found.complete)} of them all optimizers were tried. What is missing "
        f"is marked as {NOT_TRIED}. It takes about {hours:.0f} hours of one core.\n"
    )


def _names(experiment: Optimizers2026, found: OptimizerMap) -> set[str]:
    return {experiment.part_name(*pair) for pair in found.tuned}


def _map(found: OptimizerMap) -> str:
    """The figure, and the map as a table."""
    rows = []
    for problem in found.begun:
        cells = [found.tuned.get((name, problem)) for name in found.optimizers]
        rows.append((problem, *map(solved, cells)))
    text = (
        "Fresh seeds that solve the problem within the budget of sequences; the figure has the 95 % intervals "
        f"(Wilson). 0 of 16 was tried and failed; {NOT_TRIED} was not."
    )
    figure = f'<img src="images/{PICTURE}" width="860" alt="Seeds solved by each optimizer on each problem">'
    return f"## The map\n\n{figure}\n\n{text}\n\n{table(('problem', *found.optimizers), rows)}\n"


def _costs(found: OptimizerMap) -> str:
    """Sequences and seconds of a solution."""
    sequences, seconds = [], []
    for problem in found.begun:
        budget = found.seconds(problem)
        cells = [found.tuned.get((name, problem)) for name in found.optimizers]
        sequences.append((problem, *(_cost(cell) for cell in cells)))
        shown = ("-" if budget is None else f"{budget:.2g}", *(_in_seconds(cell, budget) for cell in cells))
        seconds.append((problem, *shown))
    return "\n".join(
        [
            "## At equal budgets of sequences, and of seconds\n",
            "Median of sequences until solved (-: fewer than half of the fresh seeds are solved):\n",
            f"{table(('problem', *found.optimizers), sequences)}\n",
            f"Fresh seeds solved within the seconds of one core that `{REFERENCE}` takes for all of its sequences, and "
            "the microseconds of a sequence in brackets. These are processor times of the first 30 updates, with 16 "
            "seeds at once and without evaluations. A method that is slower than the others is cut off earlier. The "
            "settings were chosen by sequences:\n",
            f"{table(('problem', 'seconds', *found.optimizers), seconds)}\n",
        ]
    )


def _cost(cell: Tuned | None) -> str:
    if cell is None:
        return NOT_TRIED
    return number(cell.cost("sequences")) if cell.is_solved else "-"


def _in_seconds(cell: Tuned | None, budget: float | None) -> str:
    if cell is None or budget is None:
        return NOT_TRIED
    return f"{cell.solved_within(budget)} of {cell.runs} ({number(1e6 * cell.seconds_per_sequence)})"


def _choice(found: OptimizerMap) -> str:
    """What the map says about the choice of an optimizer."""
    lines = ["## How to choose\n"]
    for name in found.optimizers:
        tried = [found.tuned[name, each] for each in found.problems if (name, each) in found.tuned]
        if not tried:
            lines.append(f"- `{name}` was {NOT_TRIED}.")
            continue
        share = sum(len(each.solving) / each.trials for each in tried) / len(tried)
        lines.append(
            f"- `{name}`: {sum(each.is_solved for each in tried)} of {count(len(tried), 'problem')} solved; "
            f"{100 * share:.0f} % of the settings drawn for it solve their problem."
        )
    lines.append(
        "\nThe search prefers the setting that solves its three seeds with the fewest sequences, often one with a "
        "large learning rate, which may fail with fresh seeds. The intervals are wide: 16 of 16 seeds mean a share "
        "above 81 %, 8 of 16 one between 28 and 72 %. Problems that are missing here may rank the optimizers "
        "differently; the long ones are what the claim is about."
    )
    return "\n".join(lines) + "\n"
