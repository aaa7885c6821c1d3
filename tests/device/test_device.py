"""What a device comes to beside the CPU: batches bit for bit, losses, gradients and products in float64."""

import pytest
import torch
from built import CPU, built_from, choices, problem_on, start_of

from rnnbench.config.packaged_tasks import shortest, variants
from rnnbench.tasks.base import Stream
from rnnbench.training.stepping import CapturedUpdates

NETS = ["rnn", *(f"rnn model.nonlinearity={f}" for f in ("relu", "sigmoid", "linear"))]
NETS += [f"{net} model.recurrence=torch" for net in ("gru", "lstm")]


def assert_same(found, expected):
    if expected is None:
        assert found is None
    else:
        assert torch.equal(found.cpu(), expected)


@pytest.mark.parametrize("task", choices("task"))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batch_has_the_same_bits(task, dtype, device):
    length = max(30, *(shortest(task, variant) for variant in variants(task)))
    built = built_from([f"task={task}", f"task.sequence_length={length}", "model.hidden_size=3"])
    expected, found = (
        built.task.replica_batch([3, 5], Stream.GRADIENT, 7, 9, dtype=dtype, device=place) for place in (CPU, device)
    )
    for name in ("inputs", "lengths", "output_steps", "targets"):
        assert_same(getattr(found, name), getattr(expected, name))


def gradients_and_products(place, built):
    problem = problem_on(place, built)
    theta, _ = start_of(problem, built)
    objective = problem.draw(0)(Stream.GRADIENT, 6)
    found = objective.loss_and_gradient(theta)
    curvature = objective.linearize(theta, torch.tensor([[0.1], [0.2]], dtype=torch.float64, device=place))
    return found.loss, found.gradient, found.trace.state_gradients(3), curvature.product(found.gradient)


def assert_equal_to_the_cpu(task, net, device):
    words = [f"task={task}", *f"model={net}".split(), "task.sequence_length=15", "model.hidden_size=7"]
    built = built_from(words)
    results = gradients_and_products(CPU, built), gradients_and_products(device, built)
    for expected, found in zip(*results, strict=True):
        assert torch.allclose(found.cpu(), expected, rtol=1e-10, atol=1e-12 * expected.abs().max())


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("task", ["adding", "memorization_5"])
def test_gradient_and_product_equal_the_cpu(task, net, device):
    assert_equal_to_the_cpu(task, net, device)


@pytest.mark.gpu
@pytest.mark.parametrize("net", ["gru", "lstm"])
@pytest.mark.parametrize("task", ["adding", "memorization_5"])
def test_gradient_by_cudnn_equals_the_cpu(task, net, gpu):
    assert_equal_to_the_cpu(task, f"{net} model.recurrence=fused", gpu)


@pytest.mark.parametrize("optim", ["sgd", "nag", "nag optim.form=torch", "adam", "hf"])
def test_updates_equal_the_cpu(optim, device):
    """Three of them, in float64."""
    words = [*f"optim={optim}".split(), "task.sequence_length=12", "model.hidden_size=6"]
    # Few iterations: twenty of them, three times, make 1e-4 of a difference of 1e-15.
    few = ["optim.gradient_batch_size=30", "optim.curvature_batch_size=10", "optim.max_cg_iterations=4"]
    built = built_from([*words, *(few if optim == "hf" else ["optim.batch_size=8"])])
    ends = []
    for place in (CPU, device):
        problem = problem_on(place, built)
        theta, state = start_of(problem, built)
        for number in range(3):
            update = built.optimizer.update(theta, state, number, problem.draw(number))
            theta, state = update.theta, update.state
        ends.append((theta, problem.evaluate(theta)["error_rate/eval"]))
    (expected, rate), (found, found_rate) = ends
    assert torch.allclose(found.cpu(), expected, rtol=1e-8, atol=1e-8)
    assert torch.allclose(found_rate.cpu(), rate, atol=2e-3)  # a sequence or two at the threshold


@pytest.mark.gpu
@pytest.mark.parametrize("words", ["optim=nag", "optim=adam model=gru", "optim=sgd task=memorization_5"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_updates_by_a_graph_equal_those_without(words, dtype, gpu):
    """Ten of them; in float32 the net runs by kernels."""
    sizes = ["task.sequence_length=12", "model.hidden_size=6", "optim.batch_size=8"]
    built = built_from([*words.split(), *sizes, "optim.lr=0.01"])
    problem = problem_on(gpu, built, dtype)
    captured = CapturedUpdates(problem, built.optimizer)
    start, state = start_of(problem, built)
    theta, other, other_state = start, start, state
    since = torch.zeros(2, dtype=torch.int64, device=gpu)
    for number in range(10):
        step = captured.make(theta, state, since, number)
        theta, state, since = step.theta, step.state, step.since
        update = built.optimizer.update(other, other_state, number, problem.draw(number))
        other, other_state = update.theta, update.state
    tolerance = 1e-4 if dtype == torch.float32 else 1e-10
    assert not torch.equal(theta, start)
    assert torch.allclose(theta, other, rtol=tolerance, atol=tolerance)
    assert since.tolist() == [0, 0]
