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
        settings, measured = self.rule.settings, {}
        for task in settings["tasks"]:
            for optimizer in settings["optimizers"]:
                name = part_name(task, optimizer)
                pilot = study.keep(f"{name}_pilot", partial(self._choose, study, task, optimizer))
                cells: list[dict[str, Any]] = []
                for length in self.lengths_of(optimizer):
                    measure = partial(self._train, study, task, optimizer, length, pilot)
                    cells.append(study.keep(f"{name}_{length}", measure))
                    if not any(cells[-1]["solved_after"]):
                        break
                measured[name] = {**pilot, "cells": cells}
        return measured

    def lengths_of(self, optimizer: str) -> Sequence[int]:
        """Sequence lengths T at which an optimizer is run, ascending."""
        lengths: Sequence[int] = self.rule.settings["own_lengths"].get(optimizer, self.rule.settings["lengths"])
        return lengths

    def _words(self, task: str, optimizer: str, length: int, seeds: str) -> list[str]:
        """Return the arguments of runs on fresh or on pilot seeds."""
        settings = self.rule.settings
        first, end = settings[f"{seeds}first_seed"], settings[f"{seeds}end_seed"]
        own = [f"task={task}", f"task.sequence_length={length}", f"seed=range({first},{end})"]
        return [*settings["common"], *self.rule.sweeps[optimizer], *own]

    def _choose(self, study: Study, task: str, optimizer: str) -> dict[str, Any]:
        """Choose the setting of an optimizer by pilot runs with its shortest sequences: `key` and `value`."""
        searched = self.rule.settings["searched"][optimizer]
        words = self._words(task, optimizer, self.lengths_of(optimizer)[0], "pilot_")
        pilots = read_summaries(study.train(f"{part_name(task, optimizer)}_pilot", [*words, searched]))
        key = searched.partition("=")[0]
        return {"key": key, "value": best_value(pilots, key)}

    def _train(self, study: Study, task: str, optimizer: str, length: int, pilot: Mapping[str, Any]) -> dict[str, Any]:
        """Train fresh seeds at a length with the chosen setting; returns a cell, see `LengthMap`."""
        words = [*self._words(task, optimizer, length, ""), f"{pilot['key']}={pilot['value']}"]
        folder = study.train(f"{part_name(task, optimizer)}_{length}", words)
        solved_at = [summary.solved_at for summary in read_summaries(folder)]
        plan = read_plan(folder)
        configs = [config for number in plan.numbers() for config in plan.groups[number].configs()]
        return {
            "length": length,
            "solved_after": [None if at is None else at.sequences for at in solved_at],
            "seconds_per_sequence": seconds_per_sequence(configs) if any(solved_at) else None,
        }

    def map_of(self, records: Mapping[str, Any]) -> LengthMap:
        """Return the map of the parts that are there.

        Args:
            records: Name of a part -> its record, see `LengthMap`; others may be missing.
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
