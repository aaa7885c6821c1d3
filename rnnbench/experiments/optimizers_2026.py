"""Optimizers of today on problems of long memory: each tuned equally on each problem, its best setting confirmed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from rnnbench.config.search import NUM_FRESH_SEEDS, NUM_SEEDS
from rnnbench.experiments.base import Experiment, Measured
from rnnbench.experiments.optimizer_map import OptimizerMap, Tuned
from rnnbench.experiments.processor_time import seconds_per_sequence
from rnnbench.experiments.study import Study
from rnnbench.experiments.verdict import Finding, share_at_least, share_context
from rnnbench.records.tuning import CONFIRMATION, SEARCH, read_tuning
from rnnbench.records.wording import duration
from rnnbench.sweeps.closing import outcomes_of
from rnnbench.sweeps.plan import read_plan
from rnnbench.sweeps.tuning import best_of, trials_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODELS: Mapping[str, Sequence[str]] = {"rnn": ("init=sparse",), "lstm": ("model=lstm", "init=gaussian")}
"""Net, which is also the setting with its tasks -> its arguments of `rnnbench tune`."""

SECONDS_OF_A_START = 20.0
"""Seconds to compose the runs of a tuning and to start its processes."""

SECONDS_PER_STEP = {"rnn": 0.25e-6, "lstm": 1.1e-6}
SECONDS_PER_SEQUENCE = {"muon": 3e-6, "soap": 10e-6, "shampoo": 25e-6, "psgd_kron": 45e-6}
"""Estimates for the progress, of one core, for 50 hidden units and batches of 100: of a gradient, for each sequence and
step, and of the rest of an update for each sequence, where it matters."""


class Optimizers2026(Experiment):
    """The claim that the optimizers of today solve problems that sgd and Adam do not.

    Each optimizer on each problem is a part of its own, the cheap problems first.
    """

    size = (15.0, 6.0)

    @property
    @override
    def parts(self) -> Sequence[str]:
        return list(self.tunings)

    @property
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

    @property
    def tunings(self) -> dict[str, list[str]]:
        """Name of every tuning -> its arguments."""
        settings, tunings = self.rule.settings, {}
        for problem, words in self.problems.items():
            for optimizer in settings["optimizers"]:
                own = settings["own"].get(optimizer, settings["first_order"])
                tunings[self.part_name(optimizer, problem)] = [*words, f"optim={optimizer}", *settings["common"], *own]
        return tunings

    @staticmethod
    def part_name(optimizer: str, problem: str) -> str:
        """The name of the tuning of an optimizer on a problem."""
        return f"{problem}_by_{optimizer}"

    def tune(self, study: Study, name: str) -> dict[str, Any]:
        """Tune an optimizer on a problem, or read the record of an earlier call.

        Args:
            study: Folder of the experiment.
            name: Name of the part.
        """
        words = self.tunings[name]

        def measure() -> dict[str, Any]:
            return {"words": words, **outcome_of(study.tune(name, words, self.rule.settings["trials"]))}

        return study.keep(name, measure)

    def seconds_of(self, words: Sequence[str]) -> float:
        """About how many seconds of one core a tuning takes.

        Args:
            words: Its arguments.
        """
        own = dict(word.split("=", 1) for word in words)
        steps = SECONDS_PER_STEP[own.get("model", "rnn")] * int(own["task.sequence_length"])
        rest = SECONDS_PER_SEQUENCE.get(own["optim"], 0.0)
        runs = NUM_SEEDS * int(self.rule.settings["trials"]) + NUM_FRESH_SEEDS
        sequences = runs * float(self.rule.settings["sequences"])
        return SECONDS_OF_A_START + sequences * (steps + rest)

    @override
    def measure(self, study: Study) -> Measured:
        tunings, measured = self.tunings, {}
        for name in tunings:
            left = study.missing(tunings)
            if name in left:
                seconds = sum(self.seconds_of(tunings[each]) for each in left)
                study.tell(f"{len(left)} of {len(tunings)} parts are left, about {duration(seconds)} of one core")
            measured[name] = self.tune(study, name)
        return {"tunings": measured}

    def map_of(self, tunings: Mapping[str, Any]) -> OptimizerMap:
        """The map of the tunings that are there.

        Args:
            tunings: Name of a tuning -> its record; others may be missing.
        """
        optimizers, problems = self.rule.settings["optimizers"], list(self.problems)
        names = {(each, problem): self.part_name(each, problem) for problem in problems for each in optimizers}
        found = {pair: Tuned.of(tunings[name]) for pair, name in names.items() if name in tunings}
        return OptimizerMap(optimizers, problems, self.rule.settings["sequences"], found)

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

    @override
    def draw(self, figure: "Figure", measured: Measured) -> None:
        self.map_of(measured["tunings"]).draw(figure, list(self.problems))


def outcome_of(folder: Path) -> dict[str, Any]:
    """The outcome of a tuning: the attributes of `Tuned`.

    Args:
        folder: Folder of a finished tuning.
    """
    trials = trials_of(read_plan(folder / SEARCH), read_tuning(folder))
    confirmation = read_plan(folder / CONFIRMATION)
    solved_at = [None if each.summary is None else each.summary.solved_at for each in outcomes_of(confirmation)]
    configs = [config for number in confirmation.numbers() for config in confirmation.groups[number].configs()]
    return {
        "solving": [trial.number for trial in trials if trial.solves],
        "trials": len(trials),
        "best": dict(best_of(trials).values),
        "solved_after": [None if at is None else at.sequences for at in solved_at],
        "seconds_per_sequence": seconds_per_sequence(configs),
    }


def problem_name(task: str, length: int, model: str) -> str:
    """The name of a problem."""
    return f"{task}_{length}" + ("" if model == "rnn" else f"_{model}")
