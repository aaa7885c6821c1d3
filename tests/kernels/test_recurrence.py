"""Which recurrence a net gets, and that the objective comes to the same through either."""

import pytest
import torch

from rnnbench.config.errors import ConfigError
from rnnbench.config.plan import make_plan
from rnnbench.config.request import parse_request
from rnnbench.kernels import availability
from rnnbench.kernels.availability import unavailable_reason
from rnnbench.losses import LOSSES
from rnnbench.models.base import BlockShape
from rnnbench.models.kernel_sweeps import KernelSweeps
from rnnbench.models.native_sweeps import NativeSweeps
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.models.step_sweeps import StepSweeps
from rnnbench.native import library
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.run.setup import set_up
from rnnbench.tasks.adding import Adding
from rnnbench.tasks.base import Stream

CPU = torch.device("cpu")


def sweeps_of(model, dtype=torch.float32):
    return type(model.sweeps(BlockShape(1, 2, 3, dtype, CPU)))


@pytest.mark.skipif(library.unavailable_reason("srn") is not None, reason="no native kernels")
def test_a_cpu_gets_native_kernels_unless_asked_otherwise():
    assert sweeps_of(SimpleRnn(2, 1, 4)) is NativeSweeps
    assert sweeps_of(SimpleRnn(2, 1, 4, recurrence="native"), torch.float64) is NativeSweeps
    assert sweeps_of(SimpleRnn(2, 1, 4, recurrence="torch")) is StepSweeps
    assert sweeps_of(SimpleRnn(2, 1, 4, recurrence="triton")) is KernelSweeps
    assert SimpleRnn(2, 1, 4).backend_name(CPU, torch.float32) == "native kernels"
    assert SimpleRnn(2, 1, 4, recurrence="torch").backend_name(CPU, torch.float32) == "torch"
    assert SimpleRnn(2, 1, 4, recurrence="triton").backend_name(CPU, torch.float32) == "Triton kernels"


@pytest.mark.parametrize(
    ("hidden_size", "dtype", "said"),
    [(257, torch.float32, "up to 256 hidden units, not 257"), (4, torch.float64, "float32")],
)
def test_out_of_range_falls_back_or_is_refused(hidden_size, dtype, said):
    assert said in unavailable_reason(hidden_size, CPU, dtype)
    assert sweeps_of(SimpleRnn(2, 1, hidden_size, recurrence="triton"), dtype) is StepSweeps
    with pytest.raises(ValueError, match=rf"model\.recurrence=triton: .*{said}"):
        SimpleRnn(2, 1, hidden_size, recurrence="triton").backend_name(CPU, dtype)
    on_gpu = SimpleRnn(2, 1, hidden_size).backend_name(torch.device("cuda"), dtype)
    assert on_gpu.startswith("torch, since ")
    assert said in on_gpu


def test_a_machine_without_triton_falls_back(monkeypatch):
    monkeypatch.setattr(availability, "find_spec", lambda name: None)
    assert sweeps_of(SimpleRnn(2, 1, 4, recurrence="triton")) is StepSweeps
    on_gpu = SimpleRnn(2, 1, 4).backend_name(torch.device("cuda"), torch.float32)
    assert on_gpu == "torch, since Triton is not installed"


def test_a_run_that_cannot_have_it_is_refused_before_any_work():
    words = ["model.recurrence=triton", "model.hidden_size=300", "device=cpu"]
    with pytest.raises(ConfigError, match=r"model\.recurrence=triton: .* 256 .* 300; use model\.recurrence=auto"):
        set_up(make_plan(parse_request(words)).configs)


def test_unknown_recurrence_is_refused():
    with pytest.raises(ValueError, match=r"model\.recurrence must be one of auto, torch, native, triton, got cudnn"):
        SimpleRnn(2, 1, 3, recurrence="cudnn")


def test_objective_comes_to_the_same():
    """Loss, gradient and Gauss-Newton product of a real batch, whose sequences differ in length."""
    task, found = Adding(20), {}
    for recurrence, dtype in (("torch", torch.float64), ("triton", torch.float32)):
        model = SimpleRnn(task.input_size, task.output_size, 7, recurrence=recurrence)
        generator = torch.Generator().manual_seed(0)
        theta, vector = 0.3 * torch.randn(2, 2, model.num_parameters, generator=generator, dtype=torch.float64).to(
            dtype
        )
        batch = task.replica_batch([0, 1], Stream.GRADIENT, 0, 5, dtype=dtype)
        objective = Objective(Engine(model, dtype=dtype), LOSSES[task.loss], batch)
        damping = torch.tensor([[0.1], [0.2]], dtype=dtype)
        result, curvature = objective.loss_and_gradient(theta), objective.linearize(theta, damping)
        found[recurrence] = result.loss, result.gradient, curvature.product(vector), curvature.loss
    for exact, rounded in zip(found["torch"], found["triton"], strict=True):
        assert torch.allclose(exact, rounded.double(), rtol=1e-5, atol=1e-6 * exact.abs().max())
