"""The last lines of `rnnbench tune`: the settings, the best one, its score with fresh seeds, and what to type next."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.text import Text

from rnnbench.records import is_sweep_folder, wording
from rnnbench.records.closing import add_commands, program, shortest_path
from rnnbench.records.messages import printable, shell_word
from rnnbench.records.tuning import CONFIRMATION, SEARCH, read_tuning
from rnnbench.reports.description import interval
from rnnbench.reports.groups import Group
from rnnbench.sweeps.closing import add_results, group_of, outcomes_of
from rnnbench.sweeps.plan import read_plan
from rnnbench.sweeps.tuning import Trial, best_of, jobs_without_result, setting_of, trials_of


def print_tuning_summary(folder: Path, stream: TextIO) -> None:
    """Print `tuning_summary`: with colour on a terminal, else as plain text; lines are not wrapped."""
    text = tuning_summary(folder)
    Console(file=stream, force_jupyter=False).print(text, soft_wrap=True, highlight=False, emoji=False)


def tuning_summary(folder: Path, *, cwd: Path | None = None) -> Text:
    """Summarize a tuning from its records.

    Args:
        folder: Folder of the tuning; every job of its search has been planned.
        cwd: Folder that shown paths are relative to; None: the current folder.

    Returns:
        Lines without a newline at the end; `.plain` is the plain text.
    """
    tuning, search = read_tuning(folder), read_plan(folder / SEARCH)
    trials = trials_of(search, tuning)
    best, name = best_of(trials), printable(os.path.basename(os.path.realpath(folder)))
    where, rnnbench, tensorboard = shortest_path(folder, cwd), program("rnnbench", cwd), program("tensorboard", cwd)
    commands = [("report", f"{rnnbench} report {where}"), ("all runs", f"{tensorboard} --logdir {where}")]
    waiting = jobs_without_result(trials)
    confirmed = outcomes_of(read_plan(folder / CONFIRMATION)) if is_sweep_folder(folder / CONFIRMATION) else []
    is_finished = not waiting and bool(confirmed) and all(outcome.has_ended for outcome in confirmed)
    group = group_of(confirmed) if is_finished else None
    best_words = f"the best of {wording.count(len(trials), 'setting')}"
    if group is None:
        text = Text(f"{name}: not finished\n")
        commands.append(("continue", f"{rnnbench} resume {where}"))
    else:
        text = Text(f"{name}: {best_words} solved {_score(group)}\n")
        words = [*map(shell_word, tuning.words), *setting_of(best).split()]
        commands.append(("train it", " ".join([rnnbench, "train", *words])))
    add_results(text, search, outcomes_of(search))
    text.append(f"  best{'' if group else ' so far'}: trial {best.number}, {setting_of(best)}\n", style="bold")
    text.append(f"  {first_solving(trials)}\n")
    add_commands(text, commands)
    return text


def first_solving(trials: Sequence[Trial]) -> str:
    """Which trial was the first that solved the task, and how many did."""
    solving = [trial.number for trial in trials if trial.solves]
    if not solving:
        return f"none of the {len(trials)} settings solved the task for half of its seeds"
    return (
        f"{len(solving)} of {len(trials)} settings solved the task for at least half of their seeds; "
        f"the first of them was trial {solving[0]}"
    )


def _score(group: Group) -> str:
    """The share solved with its interval, and the median cost."""
    score = f"{group.num_solved} of {wording.count(len(group.runs), 'fresh seed')} ({interval(group)})"
    sequences = group.not_yet_solved("sequences").time(0.5)
    if sequences is None:
        return f"{score}; median loss {wording.number(group.loss)}"
    return f"{score}, half of them within {wording.number(sequences)} sequences"
