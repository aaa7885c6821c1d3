"""Careful initialization and momentum, together and separately, compared with Hessian-free."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from rnnbench.experiments.base import Experiment, Measured
from rnnbench.experiments.nets import read_summaries
from rnnbench.experiments.shares import Rows, best_rate, by_rate, difference
from rnnbench.experiments.study import Study
from rnnbench.experiments.verdict import Finding, at_least, at_most, unjudged_share
from rnnbench.reports.drawing import COLORS, FOREGROUND, set_share_axis, set_value_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TASKS = {"adding": "adding", "temporal_order": "temporal order"}

BOTH = ("momentum", "careful_radius")
COMBINATION = "(careful init + momentum)"

CELLS = {
    BOTH: "careful init, momentum",
    ("plain", "careful_radius"): "careful init, no momentum",
    ("momentum", "poor_radius"): "poor init, momentum",
    ("plain", "poor_radius"): "poor init, no momentum",
}
"""(End of the sweep's name, setting with the spectral radius) -> label."""

OTHERS = {
    ("hf", "careful_radius"): "careful init, Hessian-free",
    ("clipped_momentum", "careful_radius"): "careful init, momentum, norm clipped to 1",
    ("clipped_plain", "careful_radius"): "careful init, no momentum, norm clipped to 1",
}
"""Labels of further cells, shown for comparison."""

Cell = tuple[str, str]


class InitAndMomentum(Experiment):
    """The claim that careful initialization with momentum matches Hessian-free, while neither alone does."""

    size = (9.0, 4.6)

    @override
    def measure(self, study: Study) -> Measured:
        return {sweep: study.keep(sweep, partial(_outcomes, study, sweep))["runs"] for sweep in self.rule.sweeps}

    @override
    def judge(self, measured: Measured) -> Sequence[Finding]:
        claims = [finding for task in TASKS for finding in self._claims(task, measured)]
        controls = [self._control(task, measured) for task in TASKS]
        cells = {**CELLS, **OTHERS}
        return [*claims, *controls, *(self._share(task, cell, measured) for task in TASKS for cell in cells)]

    def _claims(self, task: str, measured: Measured) -> list[Finding]:
        """Compare the combination with Hessian-free and with each part alone."""
        tolerance, least = self.rule.thresholds["tolerance"], self.rule.thresholds["least_gain"]
        both = best_rate(self._runs(task, BOTH, measured))
        findings = []
        for cell, words, bound in (
            (("hf", "careful_radius"), "Hessian-free", -tolerance),
            (("plain", "careful_radius"), "no momentum", least),
            (("momentum", "poor_radius"), "poor init", least),
        ):
            what = f"{TASKS[task]}: share solved: {COMBINATION} minus {words}"
            findings.append(at_least(what, *difference(both, best_rate(self._runs(task, cell, measured))), bound))
        return findings

    def _control(self, task: str, measured: Measured) -> Finding:
        """Compare the combination with the worst of the four cells on short sequences."""
        shares = {cell: best_rate(self._runs(task, cell, measured, "control")) for cell in CELLS}
        worst = min(shares, key=lambda cell: shares[cell][0] / shares[cell][1])
        what = f"control: {TASKS[task]}: share solved: {COMBINATION} minus the worst of the four"
        return at_most(what, *difference(shares[BOTH], shares[worst]), self.rule.thresholds["least_gain"], "control")

    def _share(self, task: str, cell: Cell, measured: Measured) -> Finding:
        what = f"{TASKS[task]}: share solved: {(CELLS | OTHERS)[cell]}"
        return unjudged_share(what, best_rate(self._runs(task, cell, measured)))

    def _runs(self, task: str, cell: Cell, measured: Measured, prefix: str | None = None) -> Rows:
        """Return the runs of a cell on a task; the sweeps of the control contain both tasks."""
        method, radius = cell
        runs: Rows = measured[f"{prefix or task}_{method}"]
        return [run for run in runs if run["task"] == task and run["radius"] == self.rule.settings[radius]]

    @override
    def draw(self, figure: "Figure", measured: Measured) -> None:
        for axes, (task, words) in zip(figure.subplots(1, 2), TASKS.items(), strict=True):
            shown: list[float] = []
            for at, (cell, label) in enumerate({**CELLS, **OTHERS}.items()):
                rates, shares = by_rate(self._runs(task, cell, measured))
                # Shares are often equal: a small offset keeps all lines visible.
                moved = [share + 0.008 * (at - 3) for share in shares]
                if cell[0] == "hf":
                    axes.axhline(moved[0], color=FOREGROUND, linestyle=(0, (4, 3)), linewidth=1, label=label)
                    continue
                style = ("o" if cell[0].endswith("momentum") else "s") + (":" if "clipped" in cell[0] else "-")
                axes.plot(rates, moved, style, color=COLORS[at], markersize=4, linewidth=1.2, label=label)
                shown += rates
            set_value_axis(axes, "learning rate", shown)
            set_share_axis(axes, "runs that solve the task")
            axes.set_title(f"{words.capitalize()}, T = {self.rule.settings['sequence_length']}")


def _outcomes(study: Study, sweep: str) -> dict[str, Any]:
    """Return the outcome of each run of a sweep; Hessian-free has no learning rate."""
    runs = []
    for summary in read_summaries(study.train(sweep)):
        task, init, optim = (summary.config[group] for group in ("task", "init", "optim"))
        runs.append(
            {
                "task": task["name"],
                "radius": init["spectral_radius"],
                "lr": optim.get("lr", 0.0),
                "solved": summary.solved,
                "sequences": None if summary.solved_at is None else summary.solved_at.sequences,
            }
        )
    return {"runs": runs}
