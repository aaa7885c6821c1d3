"""Experiments in which each optimizer is tuned equally on each problem, and its best setting confirmed."""

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from rnnbench.config.errors import ConfigError
from rnnbench.config.rule import Rule
from rnnbench.config.search import NUM_FRESH_SEEDS, NUM_SEEDS
from rnnbench.experiments.base import Experiment, Measured
from rnnbench.experiments.optimizer_map import OptimizerMap, Tuned, figure_size
from rnnbench.experiments.processor_time import seconds_per_sequence
from rnnbench.experiments.study import PARTS, Study
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
SECONDS_PER_SEQUENCE = {"muon": 3e-6, "soap": 6e-6, "shampoo": 6e-6, "psgd_kron": 8e-6}
"""Estimates for the progress, of one core, for 50 hidden units and batches of 50: of a gradient, for each sequence and
step, and of the rest of an update for each sequence, where it matters."""


class TunedMap(Experiment):
    """Each optimizer on each problem is a part of its own, the cheap problems first."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule)
        self.size = figure_size(len(self.problems))

    @property
    @abstractmethod
    def problems(self) -> Mapping[str, Sequence[str]]:
        """Problem -> its arguments of `rnnbench tune`, in the order in which they are measured."""

    @property
    @override
    def parts(self) -> Sequence[str]:
        return list(self.tunings)

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

    def records(self, folder: Path) -> dict[str, Any]:
        """Name of a tuning -> its record, for those that are there.

        Args:
            folder: Folder of the records.

        Raises:
            ConfigError: A record is damaged, or is of other arguments.
        """
        records = {}
        for name, words in self.tunings.items():
            path = folder / f"{name}.json"
            if not path.is_file():
                continue
            try:
                records[name] = json.loads(path.read_text(encoding="utf-8"))
                Tuned.of(records[name])
                own = records[name]["words"]
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigError(f"{path} is damaged ({error}); remove it to make it again") from error
            if own != words:
                other = next((f"{one} and not {two}" for one, two in zip(own, words, strict=False) if one != two), own)
                raise ConfigError(f"{path} is of a tuning with {other}; remove it to make it again")
        return records

    def seconds_of(self, words: Sequence[str]) -> float:
        """About how many seconds of one core a tuning takes.

        Args:
            words: Its arguments.
        """
        own = dict(word.split("=", 1) for word in words)
        steps = SECONDS_PER_STEP[own.get("model", "rnn")] * int(own["task.sequence_length"])
        steps *= (int(own["model.hidden_size"]) / 50) ** 2
        rest = SECONDS_PER_SEQUENCE.get(own["optim"], 0.0)
        runs = NUM_SEEDS * int(self.rule.settings["trials"]) + NUM_FRESH_SEEDS
        sequences = runs * float(self.rule.settings["sequences"])
        return SECONDS_OF_A_START + sequences * (steps + rest)

    @override
    def measure(self, study: Study) -> Measured:
        tunings, measured = self.tunings, {}
        self.records(study.folder / PARTS)  # wrong ones are told before any work
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
