"""Gradient flossing before and during training, on bits that are to be repeated after a delay (Engelken 2023)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from typing_extensions import override

from rnnbench.experiments.base import Experiment, Measured
from rnnbench.experiments.outcomes import measure_outcomes
from rnnbench.experiments.shares import Rows, best_rate, difference
from rnnbench.experiments.study import Study
from rnnbench.experiments.verdict import Finding, at_least, at_most, context, unjudged_share
from rnnbench.reports.drawing import COLORS, set_share_axis, set_value_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TASKS = {"copy": "delayed copy", "xor": "delayed xor"}
WAYS = {"none": "no flossing", "before": "flossing before training", "during": "flossing before and during training"}
"""A sweep is named after a task and a way."""

KEYS = {"delay": "task.delay", "lr": "optim.lr"}


class Engelken2023(Experiment):
    """The claim that more nets bridge long delays if their Lyapunov exponents are driven to 0."""

    size = (8.4, 3.9)

    @override
    def measure(self, study: Study) -> Measured:
        return {sweep: measure_outcomes(study, sweep, KEYS) for sweep in self.rule.sweeps}

    @override
    def judge(self, measured: Measured) -> Sequence[Finding]:
        thresholds = self.rule.thresholds
        claims, controls, shown = [], [], []
        for task, words in TASKS.items():
            short, *delays = _delays(measured[f"{task}_none"])
            longer = f"{words}, d = {' and '.join(map(str, delays))}: share solved"
            plain, before, during = (_solved(measured[f"{task}_{way}"], delays) for way in WAYS)
            claims.append(
                at_least(
                    f"{longer} with {WAYS['during']} minus that without",
                    *difference(during, plain),
                    thresholds["least_gain"],
                )
            )
            gain = difference(before, plain)
            shown.append(context(f"{longer} with {WAYS['before']} minus that without", *gain, "not judged"))
            easy = [_solved(measured[f"{task}_{way}"], [short]) for way in ("during", "none")]
            controls.append(
                at_most(
                    f"control: {words}, d = {short}: share solved with {WAYS['during']} minus that without",
                    *difference(*easy),
                    thresholds["greatest_gain"],
                    "control",
                )
            )
            for way, name in WAYS.items():
                for delay in (short, *delays):
                    what = f"{words}, d = {delay}: share solved with {name}"
                    shown.append(unjudged_share(what, _solved(measured[f"{task}_{way}"], [delay])))
        return [*claims, *controls, *shown]

    @override
    def draw(self, figure: "Figure", measured: Measured) -> None:
        for axes, (task, words) in zip(figure.subplots(1, 2), TASKS.items(), strict=True):
            delays = _delays(measured[f"{task}_none"])
            for color, (way, name) in zip(COLORS, WAYS.items(), strict=False):
                counts = [_solved(measured[f"{task}_{way}"], [delay]) for delay in delays]
                axes.plot(delays, [count / total for count, total in counts], "o-", color=color, label=name)
            axes.set_xscale("log")
            set_value_axis(axes, "delay d, steps", delays)
            set_share_axis(axes, "nets that learn the task")
            axes.set_title(words)


def _delays(runs: Rows) -> list[int]:
    """Return the delays, ascending; the first is that of the control."""
    return sorted({run["delay"] for run in runs})


def _solved(runs: Rows, delays: Sequence[int]) -> tuple[int, int]:
    """Return the numbers of solved and of all runs with some delays, each at its best learning rate."""
    counts = [best_rate([run for run in runs if run["delay"] == delay]) for delay in delays]
    return sum(solved for solved, _ in counts), sum(total for _, total in counts)
