"""Optimizers of today on problems of long memory: each tuned equally on each problem, its best setting confirmed."""

from collections.abc import Sequence

from typing_extensions import override

from rnnbench.experiments.base import Measured
from rnnbench.experiments.tuned_map import MODELS, SECONDS_PER_STEP, TunedMap
from rnnbench.experiments.verdict import Finding, share_at_least, share_context


class Optimizers2026(TunedMap):
    """The claim that the optimizers of today solve problems that sgd and Adam do not."""

    @property
    @override
    def problems(self) -> dict[str, list[str]]:
        """Problem -> its arguments of `rnnbench tune`; by difficulty, then by cost."""
        settings = self.rule.settings
        found: dict[str, tuple[tuple[int, float], list[str]]] = {}
        for model, words in MODELS.items():
            for task in settings[model]:
                for difficulty, length in enumerate(settings["lengths"][task]):
                    name = problem_name(task, length, model)
                    own = [f"task={task}", f"task.sequence_length={length}", *words]
                    found[name] = (difficulty, SECONDS_PER_STEP[model] * length), own
        return {name: own for name, (_, own) in sorted(found.items(), key=lambda each: each[1][0])}

    @override
    def judge(self, measured: Measured) -> Sequence[Finding]:
        settings, thresholds = self.rule.settings, self.rule.thresholds
        usual, optimizers = settings["usual"], settings["optimizers"]
        new = [name for name in settings["new"] if name in optimizers]
        tuned = self.map_of(measured["tunings"]).tuned
        solved = {problem: {each: tuned[each, problem].is_solved for each in optimizers} for problem in self.problems}
        hard = [own for own in solved.values() if not any(own[name] for name in usual)]
        easiest = [
            problem_name(task, settings["lengths"][task][0], model) for model in MODELS for task in settings[model]
        ]
        return [
            share_at_least(
                f"problems that neither {' nor '.join(usual)} solves that are solved by {', '.join(new)}",
                [any(own[name] for name in new) for own in hard],
                thresholds["least_share"],
            ),
            share_at_least(
                f"easiest problems that {' or '.join(usual)} solves",
                [any(solved[problem][name] for name in usual) for problem in easiest],
                thresholds["least_easy"],
                "control",
            ),
            *(
                share_context(f"problems that {name} solves", [own[name] for own in solved.values()], "not judged")
                for name in optimizers
            ),
        ]


def problem_name(task: str, length: int, model: str) -> str:
    """The name of a problem."""
    return f"{task}_{length}" + ("" if model == "rnn" else f"_{model}")
