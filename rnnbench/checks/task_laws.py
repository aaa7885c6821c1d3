"""Laws of a task.

Letters: R replicas, T time steps, B sequences, S outputs of a sequence, o output units.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.checks.constant_predictor import check_constant_predictor
from rnnbench.checks.law import SIZES, Law, LawError, NotApplicableError, Size, assert_close
from rnnbench.losses import Loss, loss_of
from rnnbench.tasks.base import Batch, Stream, Task

SEEDS = (0, 7, 2**40 + 3)


@dataclass(frozen=True)
class TaskCase:
    """A task, and the batch size at which it is checked."""

    task: Task
    size: Size

    @property
    def seeds(self) -> list[int]:
        """One seed for each replica."""
        return [SEEDS[k % len(SEEDS)] + k // len(SEEDS) for k in range(self.size.replicas)]

    def batch(self, update: int = 2, dtype: torch.dtype = torch.float32) -> Batch:
        """The training batch of an update."""
        return self.task.replica_batch(self.seeds, Stream.GRADIENT, update, self.size.sequences, dtype=dtype)


def assert_same_batch(actual: Batch, expected: Batch, what: str) -> None:
    """Check that two batches are equal bit for bit.

    Raises:
        LawError: They are not; the message begins with `what`.
    """
    for name in ("inputs", "lengths", "output_steps", "targets"):
        ours, theirs = getattr(actual, name), getattr(expected, name)
        if (ours is None) != (theirs is None):
            raise LawError(f"{what}: only one of the batches has {name}")
        if ours is not None and (ours.dtype != theirs.dtype or not torch.equal(ours, theirs)):
            raise LawError(f"{what}: {name} differ")


def shapes_are_declared(case: TaskCase) -> None:
    """Shapes and types of a batch are those that the task declares."""
    task, batch, size = case.task, case.batch(), (case.size.replicas, case.size.sequences)
    expected = {"inputs": (task.num_steps, *size, task.input_size), "lengths": size}
    types = {"inputs": torch.float32, "lengths": torch.int64}
    outputs = (task.num_outputs, *size)
    if batch.output_steps is not None:
        expected["output_steps"], types["output_steps"] = outputs, torch.int64
    elif task.num_outputs != task.num_steps or not bool((batch.lengths == task.num_steps).all()):
        raise LawError("without output_steps every step has an output, so num_outputs and all lengths must be T")
    if task.loss == "softmax_cross_entropy":
        expected["targets"], types["targets"] = outputs, torch.int64
    elif isinstance(task.loss, str):
        expected["targets"], types["targets"] = (*outputs, task.output_size), torch.float32
    for name, shape in expected.items():
        given: Tensor = getattr(batch, name)
        if tuple(given.shape) != shape or given.dtype != types[name]:
            raise LawError(f"{name} must be {shape} of {types[name]}, got {tuple(given.shape)} of {given.dtype}")
    if task.loss == "softmax_cross_entropy" and not 0 <= int(batch.targets.min()) <= int(batch.targets.max()) < (
        task.output_size
    ):
        raise LawError(f"classes must be in [0, {task.output_size})")


def sequences_end_at_their_lengths(case: TaskCase) -> None:
    """Inputs are zero beyond the end of a sequence, and all outputs lie within it."""
    task, batch = case.task, case.batch()
    if not 1 <= int(batch.lengths.min()) <= int(batch.lengths.max()) <= task.num_steps:
        raise LawError(f"lengths must be in [1, {task.num_steps}]")
    steps = torch.arange(task.num_steps).view(-1, 1, 1)
    if bool((batch.inputs[(steps >= batch.lengths).expand(batch.inputs.shape[:3])] != 0).any()):
        raise LawError("inputs beyond the end of a sequence are not zero")
    if batch.output_steps is not None and not bool(
        ((batch.output_steps >= 0) & (batch.output_steps < batch.lengths)).all()
    ):
        raise LawError("an output lies beyond the end of its sequence")


def a_draw_can_be_repeated(case: TaskCase) -> None:
    """The same request gives the same batch, whatever was drawn before, and whatever torch's own state is."""
    before = case.batch()
    case.batch(update=5)
    state, default = torch.get_rng_state(), torch.get_default_dtype()
    try:
        torch.manual_seed(int(state.sum()) + 1)
        torch.set_default_dtype(torch.float64)
        again = case.batch()
    finally:
        torch.set_default_dtype(default)
        torch.set_rng_state(state)
    assert_same_batch(again, before, "drawn again")


def a_row_is_the_same_in_any_batch(case: TaskCase) -> None:
    """Row k of a stream does not depend on the batch that it is drawn in."""
    task, count = case.task, case.size.sequences + 1
    whole = task.replica_batch(case.seeds, Stream.CURVATURE, 3, count, first_row=10)
    for start, stop in {(0, count - 1), (count - 1, count), (count // 2, count)}:
        if start < stop:
            part = task.replica_batch(case.seeds, Stream.CURVATURE, 3, stop - start, first_row=10 + start)
            rows = f"rows {10 + start} to {10 + stop - 1} drawn alone and among {count}"
            assert_same_batch(part, whole.rows(start, stop), rows)


def a_replica_is_that_of_its_seed_alone(case: TaskCase) -> None:
    """A replica's sequences do not depend on the other replicas."""
    together = case.batch()
    for replica, seed in enumerate(case.seeds):
        alone = case.task.replica_batch([seed], Stream.GRADIENT, 2, case.size.sequences)
        assert_same_batch(
            alone, together.replicas(slice(replica, replica + 1)), f"replica {replica} alone and beside others"
        )


def updates_drawn_together_are_those_drawn_alone(case: TaskCase) -> None:
    """Batches of several updates can be drawn in one call, as replicas; short batches are."""
    seeds, size = case.seeds, case.size.sequences
    together = case.task.replica_batch(
        seeds * 2, Stream.GRADIENT, [update for update in (4, 5) for _ in seeds], size, dtype=torch.float32
    )
    for place, update in enumerate((4, 5)):
        rows = slice(place * len(seeds), (place + 1) * len(seeds))
        assert_same_batch(together.replicas(rows), case.batch(update), f"update {update} drawn with another")


def data_do_not_repeat(case: TaskCase) -> None:
    """Batches differ with seed, update and row."""
    first = case.task.replica_batch([1], Stream.GRADIENT, 0, 32)
    other = case.task.replica_batch([2], Stream.GRADIENT, 1, 32, first_row=32)
    if torch.equal(first.inputs, other.inputs):
        raise LawError("another seed, update and row give the same inputs")


def float32_is_float64_rounded(case: TaskCase) -> None:
    """The data of the two types are the same, up to rounding."""
    single, double = case.batch(), case.batch(dtype=torch.float64)
    if double.inputs.dtype != torch.float64:
        raise LawError(f"inputs must have the requested type torch.float64, got {double.inputs.dtype}")
    assert_close(single.inputs.double(), double.inputs, "inputs in float32", 1e-5)
    assert_close(single.targets.double(), double.targets.double(), "targets in float32", 1e-5)
    if not torch.equal(single.lengths, double.lengths):
        raise LawError("lengths differ between float32 and float64")


def the_loss_has_its_derivatives(case: TaskCase) -> None:
    """Gradient and Hessian product of the loss are those of its values by autograd."""
    task, loss = case.task, loss_of(case.task.loss)
    targets, generator = case.batch(dtype=torch.float64).targets, torch.Generator().manual_seed(0)
    size = (task.num_outputs, case.size.replicas, case.size.sequences, task.output_size)
    outputs = torch.randn(size, generator=generator, dtype=torch.float64).requires_grad_()
    vector = torch.randn(size, generator=generator, dtype=torch.float64)
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(loss.values(outputs, targets).sum(), outputs, create_graph=True)
        product = None
        if gradient.requires_grad:
            (product,) = torch.autograd.grad(gradient, outputs, vector, allow_unused=True)
    plain = outputs.detach()
    assert_close(loss.gradient(plain, targets), gradient.detach(), "the gradient of the loss", 1e-10)
    if type(loss).hessian_product is not Loss.hessian_product:
        expected = torch.zeros_like(vector) if product is None else product
        assert_close(loss.hessian_product(plain, vector), expected, "the Hessian product of the loss", 1e-10)


def a_nan_is_a_miss(case: TaskCase) -> None:
    """A sequence with an output that is not a number is wrong."""
    task, batch = case.task, case.batch()
    size = (task.num_outputs, case.size.replicas, case.size.sequences, task.output_size)
    misses = task.misses(torch.full(size, math.nan), batch)
    if misses.shape != batch.lengths.shape or misses.dtype != torch.bool:
        raise LawError(f"misses must be {tuple(batch.lengths.shape)} of torch.bool, got {tuple(misses.shape)}")
    if not bool(misses.all()):
        raise LawError("outputs of NaN count as right")


def exact_answers_are_hits(case: TaskCase) -> None:
    """Outputs that equal the targets are right."""
    task, batch = case.task, case.batch()
    if not isinstance(task.loss, str):
        raise NotApplicableError("the loss is the task's own")
    exact = batch.targets
    if task.loss == "softmax_cross_entropy":
        exact = 10.0 * torch.nn.functional.one_hot(batch.targets, task.output_size)
    elif task.loss == "sigmoid_cross_entropy":
        exact = 20 * (batch.targets - 0.5)
    if bool(task.misses(exact, batch).any()):
        raise LawError("outputs that equal the targets count as wrong")


def the_constant_predictor_scores_as_claimed(case: TaskCase) -> None:
    """`baseline_loss` and `baseline_error_rate` are those of the best constant, measured on many sequences."""
    check_constant_predictor(case.task)


TaskLaw = Law[TaskCase]
CONFIGURED = SIZES[-1:]

TASK_LAWS: tuple[TaskLaw, ...] = (
    Law("a batch has the declared shapes and types", "No net can be trained on it.", shapes_are_declared),
    Law(
        "inputs and outputs end with the sequence",
        "Steps after the end of a sequence would count.",
        sequences_end_at_their_lengths,
    ),
    Law(
        "a batch can be drawn again",
        "A run could not be repeated or resumed; draw random numbers by draw.words only.",
        a_draw_can_be_repeated,
    ),
    Law(
        "a row is the same in any batch",
        "Another batch size would give other data; draw each row from its own random words.",
        a_row_is_the_same_in_any_batch,
    ),
    Law(
        "a replica draws as if alone",
        "A replica of a sweep would differ from the same run alone.",
        a_replica_is_that_of_its_seed_alone,
    ),
    Law(
        "updates can be drawn together",
        "Short batches are drawn for several updates at once, and would differ from the right ones.",
        updates_drawn_together_are_those_drawn_alone,
    ),
    Law("seed, update and row change the data", "Every update would see the same sequences.", data_do_not_repeat),
    Law("float32 data are the float64 data", "dtype would change the task.", float32_is_float64_rounded),
    Law(
        "the loss has its derivatives",
        "The net would descend another function than the loss.",
        the_loss_has_its_derivatives,
    ),
    Law("NaN is a miss", "A diverged net could count as solved; write ~(error <= tolerance).", a_nan_is_a_miss),
    Law("exact answers are hits", "The task could never be solved.", exact_answers_are_hits),
    Law(
        "the constant predictor scores as claimed",
        "Reports compare every run with this score.",
        the_constant_predictor_scores_as_claimed,
        CONFIGURED,
    ),
)
