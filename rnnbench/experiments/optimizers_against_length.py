"""The share of nets that each optimizer trains against the sequence length, at equal cost."""

import math
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from rnnbench.experiments.base import Experiment, Measured
from rnnbench.experiments.length_map import LengthMap
from rnnbench.experiments.nets import read_summaries
from rnnbench.experiments.processor_time import seconds_per_sequence
from rnnbench.experiments.study import Study
from rnnbench.experiments.verdict import Finding, at_least, at_most, context, unjudged_share
from rnnbench.records.summary import Summary
from rnnbench.reports.statistics import wilson_interval
from rnnbench.sweeps.plan import read_plan

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class OptimizersAgainstLength(Experiment):
    """The claim that the optimizer decides at which sequence length training fails.

    Each optimizer on each task is a part of its own: pilot runs with the shortest sequences choose its setting, with
    which fresh seeds are trained at one length after another, until none is solved.
    """

    size = (11.0, 8.0)

    @property
    @override
    def parts(self) -> Sequence[str]:
        settings = self.rule.settings
        return [part_name(task, optimizer) for task in settings["tasks"] for optimizer in settings["optimizers"]]

    @override
    def measure(self, study: Study) -> Measured:
        settings = self.rule.settings
        return {
            part_name(task, optimizer): study.keep(
                part_name(task, optimizer), partial(self._measure, study, task, optimizer)
            )
            for task in settings["tasks"]
            for optimizer in settings["optimizers"]
        }

    def _measure(self, study: Study, task: str, optimizer: str) -> dict[str, Any]:
        """Train one optimizer on one task; returns a record, see `LengthMap`."""
        settings, name = self.rule.settings, part_name(task, optimizer)
        words = [*settings["common"], *self.rule.sweeps[optimizer], f"task={task}"]
        key = settings["searched"][optimizer].partition("=")[0]
        lengths = settings["own_lengths"].get(optimizer, settings["lengths"])
        seeds = f"seed=range({settings['pilot_first_seed']},{settings['pilot_end_seed']})"
        shortest = f"task.sequence_length={lengths[0]}"
        pilot = study.train(f"{name}_pilot", [*words, shortest, seeds, settings["searched"][optimizer]])
        best = best_value(read_summaries(pilot), key)
        cells: list[dict[str, Any]] = []
        for length in lengths:
            own = [f"task.sequence_length={length}", f"seed=range({settings['first_seed']},{settings['end_seed']})"]
            folder = study.train(f"{name}_{length}", [*words, *own, f"{key}={best}"])
            solved_at = [summary.solved_at for summary in read_summaries(folder)]
            is_solved = any(at is not None for at in solved_at)
            plan = read_plan(folder)
            configs = [config for number in plan.numbers() for config in plan.groups[number].configs()]
            cells.append(
                {
                    "length": length,
                    "solved_after": [None if at is None else at.sequences for at in solved_at],
                    "seconds_per_sequence": seconds_per_sequence(configs) if is_solved else None,
                }
            )
            if not is_solved:
                break
        return {"key": key, "value": best, "cells": cells}

    def map_of(self, records: Mapping[str, Any]) -> LengthMap:
        """Return the map of the parts that are there.

        Args:
            records: Name of a part -> its record; others may be missing.
        """
        settings = self.rule.settings
        pairs = {(task, each): part_name(task, each) for task in settings["tasks"] for each in settings["optimizers"]}
        found = {pair: records[name] for pair, name in pairs.items() if name in records}
        return LengthMap(
            settings["tasks"], settings["optimizers"], settings["lengths"], float(settings["sequences"]), found
        )

    @override
    def judge(self, measured: Measured) -> Sequence[Finding]:
        settings, thresholds, found = self.rule.settings, self.rule.thresholds, self.map_of(measured)
        length, shortest = settings["claim_length"], settings["lengths"][0]
        first, second, easy = settings["plain"], settings["second_order"], settings["easy"]
        claims, shown = [], []
        for task in settings["tasks"]:
            for optimizer, judged, bound in ((first, at_most, "greatest_share"), (second, at_least, "least_share")):
                counts = found.counts(task, optimizer, length)
                words = f"{task}: share solved by {optimizer} at T = {length}"
                claims.append(judged(words, counts[0] / counts[1], wilson_interval(*counts), thresholds[bound]))
            for optimizer in settings["optimizers"]:
                longest = found.longest(task, optimizer)
                shown.append(
                    context(f"{task}: longest T of which {optimizer} solves half", longest, None, "not judged")
                )
                shown += [
                    unjudged_share(f"{task}: share solved by {optimizer} at T = {each}", found.counts(*pair, each))
                    for pair in [(task, optimizer)]
                    for each in settings["lengths"]
                    if found.was_run(*pair, each)
                ]
        counts = found.counts(easy, settings["momentum"], shortest)
        words = f"control: {easy}: share solved by {settings['momentum']} at T = {shortest}"
        control = at_least(words, counts[0] / counts[1], wilson_interval(*counts), thresholds["least_easy"], "control")
        return [*claims, control, *shown]

    @override
    def draw(self, figure: "Figure", measured: Measured) -> None:
        self.map_of(measured).draw(figure)


def part_name(task: str, optimizer: str) -> str:
    """The name of the part of an optimizer on a task."""
    return f"{task}_by_{optimizer}"


def best_value(pilots: Sequence[Summary], key: str) -> float:
    """The value that solves most pilot runs; then that with the fewest sequences, and the lowest error rate.

    Args:
        pilots: Summaries of the pilot runs.
        key: Dotted key of the value.
    """
    group, name = key.split(".")
    runs: dict[float, list[Summary]] = {}
    for summary in pilots:
        runs.setdefault(summary.config[group][name], []).append(summary)

    def cost(value: float) -> tuple[float, ...]:
        own = runs[value]
        spent = [math.inf if each.solved_at is None else each.solved_at.sequences for each in own]
        errors = [1.0 if each.error_rate is None or each.status == "diverged" else each.error_rate for each in own]
        return -sum(each.solved for each in own), statistics.median(spent), statistics.mean(errors)

    return min(runs, key=cost)
