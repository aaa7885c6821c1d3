"""docs/tasks.md: a table of the variants of every task."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docs.make.markdown import table
from rnnbench.config.packaged_tasks import packaged_tasks, shortest, variants

DOCUMENTED_LENGTH = 100
"""Sequence length of the publications, so that the page shows their numbers."""


INTRODUCTION = """\
# Tasks

Made by `python -m docs.make tasks`; do not edit.

Choose with `task=NAME task.variant=VARIANT task.sequence_length=T`. A variant is a publication's definition of the
task; compare results only within one variant. The default is `hf11` if the task has it. Lengths and steps scale with T,
each quotient rounded down, except for the first ten steps of hs97's adding and multiplication.

In Python each task is a class of `rnnbench.tasks`, which draws sequences for any net of torch:
`Adding(100, "thesis").batch(seed=0, update=0, batch_size=64)` ([tasks as data](python.md#tasks-as-data)).

| variant | publication |
| --- | --- |
| bengio94 | Bengio, Simard and Frasconi (1994) |
| hf11, hf11_answers | Martens and Sutskever (2011), as their Hessian-free code has it |
| thesis | Sutskever (2013), Training Recurrent Neural Networks, PhD thesis |
| pascanu13 | Pascanu, Mikolov and Bengio (2013), as their code has it |
| boulanger13 | Boulanger-Lewandowski (2013), theano-hf, as its code has it |
| urnn16 | Arjovsky, Shah and Bengio (2016), as their code has it |
| cornn21 | Rusch and Mishra (2021), as their code has it |
| hs97, hs97_noise | Hochreiter and Schmidhuber (1997); hs97_noise: its experiment 3b |
| le15, le15_permuted | Le, Jaitly and Hinton (2015), with smaller images |
| psgd22 | psgd_torch (2022), as its code has it |
| engelken23 | Engelken (2023), as its code has it |
| lightbench26 | LightBench (2026), as its code has it |
| every_step | no publication |

L is the length of one sequence; I, J and K are the relevant steps. Steps count from 0, and ranges include both ends.
The target is at the last step of a sequence unless the table says otherwise; with several outputs the loss is their
mean. Adding, multiplication and xor show a value x and a marker at every step: the marker is 1 at I and J, -1 at a cue,
else 0. Temporal order shows one-hot symbols: X or Y at the relevant steps, else a distractor; [Y at I] is 1 if the
symbol at I is Y, else 0. Inputs after a sequence's end are zero.

The constant predictor is the best one that ignores the inputs but knows the step: its mean loss is smallest. Squared
error is summed over the output units, without a factor 1/2; cross-entropies are in nats. If a task has outputs besides
the answers, loss and error rate say little about the answers. Then further metrics are recorded: loss of the answers,
wrong symbols per sequence, and share of sequences answered exactly ([metrics.md](metrics.md)).
"""

SHORTER_FIRST = """\
## Shorter sequences first

`task.sequence_length=200 task.first_length=50` trains on sequences of T = 50 first. Whenever the loss of a batch is
below 3 % of the constant predictor's, the next batches are a tenth longer, up to T = 200. On random permutation,
most of whose outputs are unpredictable, the share of wrong sequences of the present length, measured at every
evaluation, takes the place of the loss. Evaluations, and so the criterion for being solved, have the full length from
the start. Any task whose inputs and outputs do not depend on T can be trained in this way, by any optimizer. Each run
has lengths of its own, recorded as `task/training_length`, so the jobs of a sweep are trained one by one. Costs count a
short sequence like a long one. From `init=sparse` Hessian-free solves temporal order at T = 200 only in this way
([hf_choices.md](hf_choices.md#shorter-sequences-first)); [from the default start](hf_init.md) it is solved directly.
"""

EASY = """\
## Easy settings

Runs that solved their task in seconds on one core: first things to try with an optimizer or a net of your own. They
have `init=orthogonal init.input_scale=0.5 optim=adam`, an evaluation every 150 to 300 updates, and the defaults of all
other keys.

| task | `model.hidden_size` | `optim.lr` | solved by update |
| --- | --- | --- | --- |
| `task=parity task.sequence_length=4` | 20 | 0.005 | 300 |
| `task=parity task.variant=every_step task.sequence_length=8` | 20 | 0.005 | 300 |
| `task=parity task.variant=bengio94 task.sequence_length=8` | 20 | 0.005 | 300 |
| `task=delayed_copy task.delay=2 task.sequence_length=20` | 20 | 0.005 | 300 |
| `task=delayed_xor task.delay=2 task.sequence_length=20` | 20 | 0.005 | 300 |
| `task=two_sequence task.sequence_length=10` | 10 | 0.005 | 150 |
| `task=copy_memory task.num_positions=3 task.sequence_length=5` | 60 | 0.003 | 4500 |
| `task=digits optim.batch_size=64` | 60 | 0.001 | 750 |
| `task=digits task.variant=le15_permuted optim.batch_size=64` | 60 | 0.001 | 2000 |
"""

NOTES = """\
## Where rnnbench differs from the publications

- Every batch is drawn afresh, except of digits; urnn16 trained on 100,000 fixed sequences. urnn16, cornn21 and
  engelken23 define no criterion, so the limit of hf11 is used.
- hf11: its code draws the index L - 1 of the target's step, so its sequences are one step longer than those of the
  other variants. Below T = 100 the first relevant step is 1, never 0, so that it does not coincide with the cue or the
  start symbol. Its code stopped at 0.1 % misses. It rounds in floating point, so at a few T (29, 57, 58, 113 to 116 and
  eleven more up to 300) some lengths and steps are one less in the code.
- thesis: in the publication the windows of I and J share one step; here they do not.
- hs97, adding and multiplication: at step 0 the cue overwrites a mark. The operand of this mark is then
  replaced by 0 in a sum and by 1 in a product. Multiplication is solved below 13 misses in 2000, the stricter of the
  two reported criteria.
- hf11, temporal order: the class of a row is (row + update) modulo the number of classes.
- hf11, random permutation and memorization of at most 1000 patterns: the same rule; a batch contains each pattern
  equally often if its size is a multiple of the number of patterns (2, or 32 for memorization_5, as published).
- hf11, xor: its sequences are half as long as those of the other tasks of the same T, as in its code.
- hf11, memorization: in its code blank and trigger equal two of the symbols to be memorized; here they have separate
  inputs, and the blank has an output class. A miss is a sequence with any wrong output; the code counts outputs.
- pascanu13, memorization of several symbols: num_symbols=8 num_positions=10 is the copying problem of urnn16, except
  that urnn16 shows the trigger one step earlier.
- memorization_1 is noiseless except for boulanger13, whose code drew its bits from 99,000 fixed sequences.
- bengio94: the trainable inputs of the first steps are weights from one input for each class and step. The model
  `latch` adds the noise to its units; other models have weights for the noise and can learn to suppress it. T is fixed,
  and the readout is learned. s is taken as a standard deviation. The noise is drawn from 65,536 quantiles of the normal
  distribution, scaled to variance s^2; none exceeds 4.33 s, which happens once in 65,000 normal numbers.
- bengio94, parity and two_sequence: as Hochreiter and Schmidhuber describe them (1997; with Bengio, 2001). The
  lengths of parity are those of its sequences of 25 to 50 steps; the noise that the publication also adds to its inputs
  is left out. The loss of parity is a cross-entropy; the target and criterion of two_sequence are those of hs97.
- hs97, two_sequence: the output is linear, not logistic. The version with noisy targets (3c) is left out.
- urnn16, copy_memory: classes are numbered from 0; blank and trigger follow.
- engelken23: its code counts one output more, the first, whose answer was not shown. It reports the share of correct
  outputs, `wrong_outputs/eval` here. Its input is 0 or sigma; here 0 or 1, and the input weights have a scale.
- lightbench26: in its code a task is solved when the loss of a batch is below 0.001.
- digits: the publication shows MNIST. The images are the 1797 of 8 x 8 pixels that scikit-learn ships with
  (`pip install 'rnnbench[digits]'`), the last 500 held out. Training images are drawn with replacement, so a batch is
  still a function of seed and update. The limit of 10 % is ours.
- psgd22, xor: its code draws steps from bounds that are not rounded, so both marks can fall on one step; here they do
  not. A net counts there as trained when the loss of one batch is below 0.1.
- thesis, xor: a miss is assumed to be an output on the wrong side of 1/2.
- hs97, temporal order: outputs are linear, not logistic, and all windows scale with T.
"""


HEADINGS = (
    "variant",
    "least T",
    "L",
    "inputs",
    "steps",
    "target",
    "outputs",
    "miss",
    "solved below",
    "constant: loss",
    "misses",
)


def markdown(sequence_length: int = DOCUMENTED_LENGTH) -> str:
    """Make the page: one table per task, one row per variant.

    Args:
        sequence_length: Nominal length T.

    Raises:
        ValueError: A variant is not defined at this length.
    """
    parts = [INTRODUCTION]
    for name, build in packaged_tasks().items():
        tasks = [build(sequence_length, variant) for variant in variants(name)]
        loss = ", ".join(dict.fromkeys(task.loss for task in tasks))
        rows = [_cells(name, task) for task in tasks]
        parts.append(
            f"## {name} at T = {sequence_length} ({loss})\n\n{table(HEADINGS, rows)}\n\n"
            f"In Python: `{_call(build, sequence_length)}`.\n"
        )
    return "\n".join([*parts, SHORTER_FIRST, EASY, NOTES])


def _call(build: Any, sequence_length: int) -> str:
    """The call that builds a task as its file in conf/task has it, without arguments that are defaults."""
    parameters = inspect.signature(build.func).parameters
    own = [f"{key}={value!r}" for key, value in build.keywords.items() if parameters[key].default != value]
    return f"rnnbench.tasks.{build.func.__name__}({', '.join([str(sequence_length), *own])})"


def _cells(name: str, task: Any) -> list[str]:
    description = task.description
    return [
        task.variant,
        str(shortest(name, task.variant)),
        description.lengths,
        description.inputs,
        description.places,
        description.target,
        str(task.num_outputs),
        description.miss,
        f"{100 * task.solved_error_rate:.3g} %",
        f"{task.baseline_loss:.4f}",
        f"{100 * task.baseline_error_rate:.1f} %",
    ]


def pages(results: Path, docs: Path) -> Mapping[Path, str]:
    """Return the path of this page and its contents; it needs no records."""
    return {docs / "tasks.md": markdown()}
