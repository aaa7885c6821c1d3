"""The section of docs/optimizers.md on LightBench's rows, from the records of `lightbench` and of the map."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from docs.make.markdown import table
from docs.make.reproductions import RECORDS
from docs.make.tuned_cells import NOT_TRIED, solved
from rnnbench.config.rule import load_rule
from rnnbench.experiments.lightbench import LightBench, problem_name
from rnnbench.experiments.optimizer_map import OptimizerMap
from rnnbench.experiments.study import PARTS
from rnnbench.records.wording import number

NAME = "lightbench"

AT_THE_END: Mapping[str, Mapping[int, str]] = {
    "parity_{}": {4: "27 of 27", 8: "13 of 27", 16: "0 of 11"},
    "parity_{}_lstm": {4: "27 of 27", 8: "26 of 27", 16: "22 of 27"},
}
"""Problem of the map -> number of bits -> optimizers that solve it in LightBench."""

TEXT = """\
## LightBench's rows

LightBench (2026) counts the optimizers that learn the parity of random bits: at the end of the sequence, or at every
step (running parity). It has one seed and up to 1000 settings for each optimizer, and nets of 64 units, of 16 for
running parity; its problem is solved if the loss falls below 0.01. Here each of {optimizers} optimizers has {trials}
settings with three seeds and {sequences} sequences, and counts as solving if at least half of 16 fresh seeds do. The
answers at the end are those of the map above, with nets of 50 units; running parity has nets of {hidden_size}, and a
sequence is a miss if any of its answers is wrong. LightBench's row *xor_spot* is left out: its data mark whole columns
of a batch, so it is the parity of nearly all bits and not the exclusive or of two; `xor` in the map is that problem.

{table}

{by_all}
LightBench's nets start from torch's default weights and have a layer normalization before the readout; which of the
differences matters was not measured.

`rnnbench reproduce {name}` makes the rows of running parity and ends in a verdict
([reproductions.md](reproductions.md#{name})).
"""


def section(results: Path, of_the_map: OptimizerMap) -> str | None:
    """Return the section; None: there is no record.

    Args:
        results: Folder of all results.
        of_the_map: The map of `optimizers_2026`.

    Raises:
        ConfigError: A record is damaged.
    """
    experiment = LightBench(load_rule(NAME))
    records = experiment.records(results / RECORDS / NAME / PARTS)
    if not records:
        return None
    found, settings = experiment.map_of(records), experiment.rule.settings
    rows = [
        _row(of_the_map, problem.format(bits), theirs)
        for problem, lengths in AT_THE_END.items()
        for bits, theirs in lengths.items()
    ]
    rows += [
        _row(found, problem_name(bits), f"{solving} of {settings['their_optimizers']}")
        for bits, solving in zip(settings["lengths"], settings["their_solving"], strict=True)
    ]
    return TEXT.format(
        by_all=_solved_by_all(found, settings["lengths"]),
        optimizers=len(found.optimizers),
        trials=settings["trials"],
        sequences=number(settings["sequences"]),
        hidden_size=settings["hidden_size"],
        table=table(("problem", "LightBench", "here", *found.optimizers), rows),
        name=NAME,
    )


def _row(found: OptimizerMap, problem: str, theirs: str) -> Sequence[str]:
    cells = [found.tuned.get((name, problem)) for name in found.optimizers]
    tried = [cell for cell in cells if cell is not None]
    solving = f"{sum(cell.is_solved for cell in tried)} of {len(tried)}" if tried else NOT_TRIED
    return problem, theirs, solving, *map(solved, cells)


def _solved_by_all(found: OptimizerMap, lengths: Sequence[int]) -> str:
    """At which lengths all optimizers solve running parity."""
    by_all = [
        str(bits)
        for bits in lengths
        if all((name, problem_name(bits)) in found.tuned for name in found.optimizers)
        and all(found.tuned[name, problem_name(bits)].is_solved for name in found.optimizers)
    ]
    if not by_all:
        return "No length of running parity is solved by all optimizers."
    return f"Running parity of {', '.join(by_all)} bits is solved by all optimizers that were tried here."
