"""A task as data: sequences in torch's layout, its loss and its error rate there, and a dataset of them."""

import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import rnnbench.tasks
from rnnbench.config.packaged_tasks import packaged_tasks
from rnnbench.losses import LOSSES
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.objective.engine import Engine
from rnnbench.tasks import Adding, Memorization, Sequences, Task, TemporalOrder
from rnnbench.tasks.base import Stream
from rnnbench.training.problem import NUM_CONFIRMATION_SEQUENCES, NUM_EVALUATION_SEQUENCES, Problem

F64 = torch.float64
CRITERIA = {  # of torch, averaged over all numbers of the outputs
    "squared_error": nn.MSELoss(),
    "softmax_cross_entropy": nn.CrossEntropyLoss(),
    "sigmoid_cross_entropy": nn.BCEWithLogitsLoss(),
}


def assert_equal(left, right):
    assert len(left) == len(right) == 4
    for ours, theirs in zip(left, right, strict=True):
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, theirs)


# ---------------------------------------------------------------- the same sequences, loss and error rate as runs have


def test_sequences_are_those_of_a_run(task):
    problem = Problem(task, Engine(SimpleRnn(task.input_size, task.output_size, 3)), [3, 8])
    for update in (0, 5):
        batch = problem.draw(update)(Stream.GRADIENT, 6).batch
        data = task.batch(8, update, 6)
        assert torch.equal(data.inputs, batch.inputs[:, 1].transpose(0, 1))
        assert torch.equal(data.lengths, batch.lengths[1])
        per_sequence = data.targets.unflatten(0, (6, task.num_outputs))
        assert torch.equal(per_sequence, batch.targets[:, 1].transpose(0, 1))
        steps = torch.arange(task.num_steps).expand(6, -1) if batch.output_steps is None else batch.output_steps[:, 1].T
        assert torch.equal(data.output_steps, steps)
        assert all(tensor.is_contiguous() for tensor in data)


def test_losses_and_error_rates_are_those_of_runs(task):
    batch, data = task.replica_batch([4], Stream.GRADIENT, 2, 7, dtype=F64), task.batch(4, 2, 7, dtype=F64)
    outputs = torch.randn(7, task.num_steps, task.output_size, dtype=F64, generator=torch.Generator().manual_seed(0))
    rows = data.at_targets(outputs)
    at_steps = data.output_steps.T  # (S, B)
    theirs = outputs[torch.arange(7), at_steps].unsqueeze(1)  # (S, 1, B, o)
    loss = LOSSES[task.loss].values(theirs, batch.targets).mean()
    assert task.mean_loss(rows, data).item() == pytest.approx(loss.item(), rel=1e-14)
    num_summed = task.output_size if task.loss == "squared_error" else 1
    assert CRITERIA[task.loss](rows, data.targets).item() * num_summed == pytest.approx(loss.item(), rel=1e-12)
    assert task.error_rate(rows, data) == task.misses(theirs, batch).double().mean().item()


def test_held_out_sequences_are_those_that_runs_are_evaluated_on():
    """The outputs are zero, so that loss and error rate depend on the targets alone."""
    task = Adding(10)
    model = SimpleRnn(task.input_size, task.output_size, 2)
    problem, theta = Problem(task, Engine(model, dtype=F64), [5]), torch.zeros(1, model.num_parameters, dtype=F64)
    data = task.batch(0, 0, NUM_EVALUATION_SEQUENCES, stream="validation", dtype=F64)
    found, outputs = problem.evaluate(theta), torch.zeros_like(data.targets)
    assert task.mean_loss(outputs, data).item() == pytest.approx(found["loss/eval"].item(), rel=1e-12)
    assert task.error_rate(outputs, data) == pytest.approx(found["error_rate/eval"].item())
    data = task.batch(0, 0, NUM_CONFIRMATION_SEQUENCES, stream="test", dtype=F64)
    outputs = torch.zeros_like(data.targets)
    assert task.error_rate(outputs, data) == pytest.approx(problem.confirm(theta).item())


def test_a_net_of_torch_gets_the_gradient_of_the_loss():
    task = TemporalOrder(10)
    data = task.batch(0, 0, 5)
    net, readout = nn.LSTM(task.input_size, 4, batch_first=True), nn.Linear(4, task.output_size)
    states, _ = net(data.inputs)
    late = readout(data.at_targets(states))
    assert torch.allclose(late, data.at_targets(readout(states)))
    task.mean_loss(late, data).backward()
    ours = readout.weight.grad.clone()
    readout.zero_grad()
    nn.CrossEntropyLoss()(readout(data.at_targets(states.detach())), data.targets).backward()
    assert torch.allclose(ours, readout.weight.grad)


def test_solved_is_below_the_limit():
    task = Adding(50)
    assert task.is_solved(0.0099)
    assert not task.is_solved(0.01)
    assert not task.is_solved(task.baseline_error_rate)


def test_sequences_move_to_a_device_and_first_rows_stay():
    data = Adding(20).batch(1, 2, 8)
    assert all(tensor.device.type == "meta" for tensor in data.to("meta"))
    late = Adding(20).batch(1, 2, 3, first_row=5)
    assert torch.equal(late.inputs, data.inputs[5:])


# ---------------------------------------------------------------- datasets


def test_a_dataset_gives_the_batches_of_the_updates_in_order():
    task = Adding(12)
    loader = DataLoader(task.dataset(3, 4, first_update=2, num_updates=3), batch_size=None)
    found = list(loader)
    assert len(loader) == 3
    assert [type(data) for data in found] == [Sequences] * 3
    for _ in range(2):  # every iteration begins again
        for data, update in zip(loader, (2, 3, 4), strict=True):
            assert_equal(data, task.batch(3, update, 4))


def test_a_loader_must_not_stack_batches():
    with pytest.raises(ValueError, match=r"an item of the dataset is a whole batch: use DataLoader\(dataset, batch_"):
        next(iter(DataLoader(Adding(12).dataset(3, 4))))


def test_workers_repeat_nothing_and_keep_the_order():
    """Workers that are spawned get the task pickled, as on macOS."""
    task = Adding(12, "hs97")
    loader = DataLoader(
        task.dataset(3, 4, num_updates=5), batch_size=None, num_workers=2, multiprocessing_context="spawn"
    )
    for update, data in enumerate(loader):
        assert_equal(data, task.batch(3, update, 4))
    assert update == 4


def test_every_task_can_be_pickled(task):
    copy = pickle.loads(pickle.dumps(task))
    assert_equal(copy.batch(1, 0, 3), task.batch(1, 0, 3))


def test_a_dataset_without_end():
    dataset = Adding(12).dataset(3, 4)
    with pytest.raises(TypeError, match="no end"):
        len(dataset)
    first = iter(dataset)
    assert not torch.equal(next(first).inputs, next(first).inputs)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Adding(50, "hf12"), "task.variant: Adding has no variant 'hf12'; it has hf11, thesis, pascanu13, "),
        (lambda: Adding(5), "task.sequence_length must be at least 6 for variant hf11 of Adding, got 5"),
        (lambda: Adding(50.5), "task.sequence_length must be a whole number, got 50.5"),
        (lambda: Adding(50).batch(-1, 0, 4), "seed must be in [0, 9223372036854775808), got -1"),
        (lambda: Adding(50).batch(0.5, 0, 4), "seed must be a whole number, got 0.5"),
        (lambda: Adding(50).batch([1], 0, 4), "seed must be a whole number, got [1]"),
        (lambda: Adding(50).batch(0, -1, 4), "update must be in [0, 4294967296), got -1"),
        (lambda: Adding(50).batch(0, 0, 0), "batch_size must be in [1, 4294967297), got 0"),
        (
            lambda: Adding(50).batch(0, 0, 4, stream="val"),
            "stream must be one of train, validation, test, got 'val'",
        ),
        (lambda: Adding(50).dataset(-1, 4), "seed must be in [0, 9223372036854775808), got -1"),
        (lambda: Adding(50).dataset(0, 4, num_updates=0), "num_updates must be in [1, 4294967297), got 0"),
        (lambda: Adding(50).dataset(0, 4, num_updates=1.5), "num_updates must be a whole number, got 1.5"),
        (
            lambda: Adding(50).batch(0, 0, 4).at_targets(torch.zeros(55, 4, 3)),
            "values must have the shape (B, T, k) with B = 4 and T = 55, got (55, 4, 3)",
        ),
        (
            lambda: Adding(50).mean_loss(torch.zeros(4), Adding(50).batch(0, 0, 4)),
            "outputs must have the shape (4, 1), one row per target, got (4,)",
        ),
        (
            lambda: Memorization(50).error_rate(torch.zeros(4, 50, 3), Memorization(50).batch(0, 0, 4)),
            "outputs must have the shape (200, 3), one row per target, got (4, 50, 3)",
        ),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(ValueError, match=rf"^{re.escape(message)}") as caught:
        call()
    assert "\n" not in str(caught.value)


def test_whole_numbers_of_numpy():
    assert_equal(Adding(np.int64(12)).batch(np.int64(3), np.int32(1), np.int64(4)), Adding(12).batch(3, 1, 4))


# ---------------------------------------------------------------- names


def test_every_packaged_task_can_be_imported_by_name():
    for build in packaged_tasks().values():
        assert getattr(rnnbench.tasks, build.func.__name__) is build.func
        assert build.func.__name__ in dir(rnnbench.tasks)
    assert (rnnbench.tasks.Task, rnnbench.tasks.Sequences) == (Task, Sequences)
    for name in ("Copying", "copying", "Answers"):
        with pytest.raises(AttributeError, match=f"has no attribute '{name}'"):
            getattr(rnnbench.tasks, name)


def test_the_package_alone_imports_no_torch():
    code = "import sys, rnnbench; rnnbench.tasks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
