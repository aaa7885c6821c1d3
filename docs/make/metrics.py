"""docs/metrics.md: the metrics of each part of the program, with their descriptions in the code."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from docs.make.markdown import table
from rnnbench.config.classes import import_class
from rnnbench.config.compose import Composer
from rnnbench.config.request import Request
from rnnbench.metrics import Metric
from rnnbench.optim.first_order import INFORMATION_FLOW, LEARNING_RATE
from rnnbench.optim.hessian_free_metrics import METRICS
from rnnbench.optim.weight_average import AVERAGE_ERROR_RATE, AVERAGE_LOSS
from rnnbench.probes.base import Probe
from rnnbench.records.board import CONSTANT_PREDICTOR, DETAILS, OVERVIEW, QUANTILES
from rnnbench.tasks.answers import ANSWER_LOSS, EXACT_SEQUENCE_RATE, WRONG_OUTPUTS, WRONG_SYMBOLS
from rnnbench.training.curriculum import LENGTH_METRIC
from rnnbench.training.observation import LOOP_METRICS


def packaged_probes() -> dict[str, type[Probe]]:
    """Return the class of every packaged probe (those of probe=all), by its key."""
    with Composer(Request()) as composer:
        probes = composer.compose(["probe=all"]).config.probe
    return {name: import_class(f"probe.{name}", probe._target_) for name, probe in probes.items()}


PROBES = packaged_probes()

INTRODUCTION = """\
# Recorded numbers

<!-- Made by `python -m docs.make metrics`. -->

Each tag is a column of a run's `metrics.csv`, and a scalar in TensorBoard with the same description. A row is written
at every `record.log_every`-th update and at every evaluation; an empty cell means that the value was not computed
there. The row of update k has the gradient at the parameters before that update, and the evaluation of the parameters
after it. The row of update 0 is the evaluation of the initial parameters. Logarithms are natural.

Medians and quantiles over replicas or runs, here and in reports, are not interpolated: the q-quantile is the smallest
value for which at least a share q of the values is not larger. So the median of two values is the smaller one. Infinite
values count, missing ones do not."""

ANSWERS = (
    "Recorded at every evaluation: the first by `random_permutation`, all three by the `memorization` tasks and\n"
    "`copy_memory`. They consider only the answers, whereas `error_rate/eval` of memorization counts a sequence as\n"
    "wrong if any of its outputs is wrong."
)

OUTPUTS = "Recorded at every evaluation by `delayed_copy`, `delayed_xor` and the variant `every_step` of `parity`."

PICTURES = """\
## Pictures and histograms

Pictures of the first two replicas of a run are drawn at every `picture_every`-th logged update:
`state_gradient/against_lag`, `gradient_by_lag/shares`, `curvature/gradient_against_curvature`, `jacobian/eigenvalues`,
`jacobian/singular_values`, `jacobian/push_against_steps`, `jacobian/product_against_lag`,
`jacobian/product_singular_values`, `lyapunov/spectrum`. [probes.md](probes.md) and
[probes_curvature.md](probes_curvature.md) explain them.

Histograms of the same replicas are recorded at every reading: `jacobian/eigenvalue_modulus`, `jacobian/singular_value`,
`recurrent_weight/eigenvalue_modulus`."""


def pages(results: Path, docs: Path) -> Mapping[Path, str]:
    """Return the path of this page and its contents; it needs no records."""
    return {docs / "metrics.md": markdown()}


def markdown() -> str:
    """Make the page."""
    return "\n".join(_sections()) + "\n"


def _sections() -> Iterator[str]:
    yield INTRODUCTION
    yield _in_tensorboard()
    yield _section("The training loop", LOOP_METRICS)
    yield _section("The training loop, if `task.first_length` is set", (LENGTH_METRIC,))
    yield _section(
        "Tasks with outputs besides their answers", (ANSWER_LOSS, WRONG_SYMBOLS, EXACT_SEQUENCE_RATE), ANSWERS
    )
    yield _section("Tasks with an answer at every step", (WRONG_OUTPUTS,), OUTPUTS)
    for name, probe in PROBES.items():
        summary = (probe.__doc__ or "").strip().splitlines()[0]
        yield _section(f"Probe `{name}`", probe.metrics, summary)
    yield _section("First-order optimizers, if `optim.information_flow` is set", (INFORMATION_FLOW,))
    yield _section("First-order optimizers with a schedule", (LEARNING_RATE,))
    yield _section("First-order optimizers, if `optim.average_decay` is set", (AVERAGE_LOSS, AVERAGE_ERROR_RATE))
    yield _section("Optimizer `hf`", METRICS)
    yield f"\n{PICTURES}"


def _in_tensorboard() -> str:
    """Where TensorBoard shows which metrics."""
    metrics = [*LOOP_METRICS, *CONSTANT_PREDICTOR.values(), *METRICS]
    metrics += [metric for probe in PROBES.values() for metric in probe.metrics]
    first = sorted((metric for metric in metrics if metric.overview), key=lambda metric: metric.overview)
    rows = [(f"`{OVERVIEW}/{metric.overview}_{metric.tag}`", metric.formula) for metric in first]
    details = ", ".join(f"`{metric.tag}`" for metric in metrics if metric.is_detail)
    text = (
        f"The pages TIME SERIES and SCALARS open on the group `{OVERVIEW}`. CUSTOM SCALARS shows the same numbers in a "
        "few charts; the first compares the loss with that of the constant predictor. Every other scalar has the name "
        f"of its column as tag. Scalars that few readers need come last, as `{DETAILS}/COLUMN`: {details}. Under "
        "`aggregate/` a tag is a median over the replicas; the quantiles of the overview are in the group "
        f"`{QUANTILES}`, all other quantiles only in its `metrics.csv`. A filter of tags such as `loss/eval` finds a "
        "column in every group. Runs of rnnbench 0.1.0 keep the columns as tags, also when they are resumed."
    )
    lines = "\n".join(textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False))
    return f"\n## In TensorBoard\n\n{lines}\n\n{table(('first in TensorBoard', 'what it is'), rows)}"


def _section(title: str, metrics: Sequence[Metric], summary: str = "") -> str:
    rows = [(f"`{metric.tag}`", metric.formula, metric.unit, metric.healthy) for metric in metrics]
    cells = table(("tag", "what it is", "unit", "in a run that learns"), rows)
    return f"\n## {title}\n\n" + (f"{summary}\n\n" if summary else "") + cells
