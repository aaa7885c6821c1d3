"""docs/tasks.md: a table of the variants of every task."""

from collections.abc import Mapping
from pathlib import Path

from docs.make.markdown import table
from rnnbench.tasks.table import TASKS, TaskWithVariants, shortest, variants

DOCUMENTED_LENGTH = 100
"""The length of the publications, so that their numbers can be recognised."""


INTRODUCTION = """\
# Tasks

Made by `python -m docs.make tasks`; do not edit.

Choose with `task=NAME task.variant=VARIANT task.sequence_length=T`. A variant is a publication's definition of the
task, and results compare within one variant only. The default is `hf11` where a task has it. Lengths and steps scale
with T, each quotient rounded down, except for the first ten steps of hs97's adding and multiplication.

| variant | publication |
| --- | --- |
| bengio94 | Bengio, Simard and Frasconi (1994) |
| hf11, hf11_answers | Martens and Sutskever (2011), as their Hessian-free code has it |
| thesis | Sutskever (2013), Training Recurrent Neural Networks, PhD thesis |
| pascanu13 | Pascanu, Mikolov and Bengio (2013), as their code has it |
| boulanger13 | Boulanger-Lewandowski (2013), theano-hf, as its code has it |
| urnn16 | Arjovsky, Shah and Bengio (2016), as their code has it |
| cornn21 | Rusch and Mishra (2021), as their code has it |
| hs97 | Hochreiter and Schmidhuber (1997) |

L is the length of one sequence, I, J and K are the steps that matter; steps count from 0 and ranges include both ends.
A task asks for one answer, at the last step of a sequence, where its table says no other; a loss at several steps is
their mean. Adding, multiplication and xor show a value x and a marker at every step: the marker is 1 at I and J, -1 at
a cue, else 0. Temporal order shows one-hot symbols: X or Y at the steps that matter, else a distractor; [Y at I] is 1
if the symbol at I is Y, else 0. Inputs beyond a sequence's end are zero.

The constant is the output with the smallest mean loss among those that ignore the inputs, but may know the step.
Squared error is summed over the output units and has no factor 1/2; the cross-entropies are in nats. Where there are
outputs beside the answers, loss and criterion say little about those, and further numbers are recorded: the answers'
own loss, wrong symbols per sequence, the share of sequences answered exactly ([metrics.md](metrics.md)).
"""

NOTES = """\
## Where rnnbench differs from the publications

- Every batch is drawn afresh. urnn16 trained on 100,000 fixed sequences; it and cornn21 have no criterion of their own,
  so the one of hf11 is used.
- hf11: its code draws the index L - 1 of the step that it asks at, hence one step more than the other variants have.
  Below T = 100 the first step that matters is 1, never 0, so that it does not fall on the cue or the start. Its code
  stopped at 0.1 % misses, and rounds in floating point, so that some lengths and steps would be one less there at a few
  T (29, 57, 58, 113 to 116 and eleven more up to 300).
- thesis: the windows of I and J share one step there; here they do not.
- hs97, adding and multiplication: a mark on step 0 is lost under the cue there, and its operand counts as 0 in a sum,
  as 1 in a product, whichever of the two it is. Multiplication counts as solved below 13 misses in 2000, the stricter
  of the two points reported.
- hf11, temporal order: the class of a row is its index plus the update's, modulo the number of classes.
- hf11, random permutation and memorization of at most 1000 patterns: likewise; a batch whose size is a multiple of the
  number of patterns (2, or 32 for memorization_5, as published) holds each equally often.
- hf11, xor: its sequences are half as long as those of the other tasks of the same T, as in its code.
- hf11, memorization: its code has no inputs and outputs of their own for blank and trigger, so that they look like two
  of the symbols to be memorized; here they have. A miss is a sequence with any wrong output, which the code counts one
  by one.
- pascanu13, memorization of several symbols with num_symbols=8 num_positions=10 is the copying problem of urnn16, but
  for the trigger, which urnn16 shows one step earlier.
- memorization_1 is noiseless but for boulanger13, whose code drew its bits from 99,000 fixed sequences.
- bengio94: the trainable inputs of the first steps are weights from one input for each class and step; the noise is
  added to the units by the model `latch`, and any other model has weights for it, by which it could be turned down.
  T is fixed, and the model has a readout that is learned. s is taken as a standard deviation. A noise number is one of
  65,536 quantiles of the normal distribution, scaled to variance s^2; none lies beyond 4.33 s, where one of 65,000
  normal numbers would.
- thesis, xor: a miss is taken to lie on the wrong side of 1/2.
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
    """The page: a table per task, with a row per variant.

    Args:
        sequence_length: Nominal length T.

    Raises:
        ValueError: A variant is not defined at this length.
    """
    parts = [INTRODUCTION]
    for name, build in TASKS.items():
        tasks = [build(sequence_length, variant) for variant in variants(name)]
        loss = ", ".join(dict.fromkeys(task.loss for task in tasks))
        rows = [_cells(name, task) for task in tasks]
        parts.append(f"## {name} at T = {sequence_length} ({loss})\n\n{table(HEADINGS, rows)}\n")
    return "\n".join([*parts, NOTES])


def _cells(name: str, task: TaskWithVariants) -> list[str]:
    words = task.description
    return [
        task.variant,
        str(shortest(name, task.variant)),
        words.lengths,
        words.inputs,
        words.places,
        words.target,
        str(task.num_outputs),
        words.miss,
        f"{100 * task.solved_error_rate:.3g} %",
        f"{task.baseline_loss:.4f}",
        f"{100 * task.baseline_error_rate:.1f} %",
    ]


def pages(results: Path, docs: Path) -> Mapping[Path, str]:
    """The file of this page and its contents; it needs no records."""
    return {docs / "tasks.md": markdown()}
