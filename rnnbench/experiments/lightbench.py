"""The rows of LightBench on running parity: how many optimizers solve each length."""

from collections.abc import Sequence

from typing_extensions import override

from rnnbench.experiments.base import Measured
from rnnbench.experiments.tuned_map import MODELS, TunedMap
from rnnbench.experiments.verdict import Finding, share_at_least, share_context


class LightBench(TunedMap):
    """The claim that most optimizers solve those lengths of running parity that most of them solve in LightBench."""

    @property
    @override
    def problems(self) -> dict[str, list[str]]:
        words = ["task=parity", "task.variant=every_step", *MODELS["rnn"]]
        return {problem_name(length): [*words, f"task.sequence_length={length}"] for length in self.theirs}

    @property
    def theirs(self) -> dict[int, float]:
        """Sequence length -> share of the optimizers of LightBench that solve it."""
        settings = self.rule.settings
        shares = [solving / settings["their_optimizers"] for solving in settings["their_solving"]]
        return dict(zip(settings["lengths"], shares, strict=True))

    @override
    def judge(self, measured: Measured) -> Sequence[Finding]:
        thresholds, optimizers = self.rule.thresholds, self.rule.settings["optimizers"]
        tuned = self.map_of(measured["tunings"]).tuned
        solving = {
            length: [tuned[name, problem_name(length)].is_solved for name in optimizers] for length in self.theirs
        }
        agree = [
            (sum(which) / len(which) >= thresholds["majority"]) == (self.theirs[length] >= thresholds["majority"])
            for length, which in solving.items()
        ]
        return [
            share_at_least("lengths at which the majority is as in LightBench", agree, thresholds["least_agreeing"]),
            share_at_least(
                "optimizers that solve the shortest", solving[min(solving)], thresholds["least_shortest"], "control"
            ),
            *(
                share_context(f"optimizers that solve {length} bits", which, f"{self.theirs[length]:.2f} in LightBench")
                for length, which in solving.items()
            ),
        ]


def problem_name(length: int) -> str:
    """The name of a problem."""
    return f"running_parity_{length}"
