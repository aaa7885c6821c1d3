"""The native kernels equal the torch reference, and their bits depend on neither threads nor other replicas."""

import pytest
import torch
from cases import F64, assert_close
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.gpu_check.precision import SweepCase
from rnnbench.losses import LOSSES
from rnnbench.models import native_sweeps
from rnnbench.models.base import BlockShape, Sweeps
from rnnbench.models.gru import Gru
from rnnbench.models.lstm import Lstm
from rnnbench.models.native_sweeps import NativeSweeps
from rnnbench.models.nonlinearity import NONLINEARITIES
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.native.library import unavailable_reason
from rnnbench.objective import engine
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.tasks.adding import Adding
from rnnbench.tasks.base import Batch, Stream

CPU = torch.device("cpu")

NETS = {"srn": SimpleRnn, "lstm": Lstm, "gru": Gru}

pytestmark = pytest.mark.skipif(
    unavailable_reason("srn") is not None, reason=f"no native kernels: {unavailable_reason('srn')}"
)


@settings(max_examples=60)
@given(
    st.builds(
        SweepCase,
        num_replicas=st.integers(1, 3),
        num_sequences=st.integers(1, 40),
        num_steps=st.integers(1, 20),
        hidden_size=st.integers(1, 70),
        input_size=st.sampled_from((1, 2, 20)),
        net=st.sampled_from(("rnn", "lstm", "gru")),
        nonlinearity=st.sampled_from(tuple(NONLINEARITIES)),
        num_outputs=st.sampled_from((None, 1, 2, 5)),
        is_damped=st.booleans(),
        seed=st.integers(0, 99),
    )
)
@example(SweepCase(num_replicas=1, num_sequences=20, num_steps=100, hidden_size=100))
@example(SweepCase(num_replicas=1, num_sequences=210, num_steps=3, hidden_size=130, num_outputs=None))
@example(SweepCase(num_replicas=40, num_sequences=1, num_steps=2, nonlinearity="linear"))
@example(SweepCase(num_sequences=13, num_steps=40, hidden_size=50, num_outputs=30))
@example(SweepCase(num_sequences=25, num_steps=40, hidden_size=50, net="lstm"))
@example(SweepCase(num_replicas=1, num_sequences=210, num_steps=3, hidden_size=33, net="lstm", num_outputs=None))
@example(SweepCase(num_sequences=25, num_steps=40, hidden_size=50, net="gru"))
@example(SweepCase(num_replicas=40, num_sequences=1, num_steps=2, input_size=20, net="gru", num_outputs=None))
def test_sweeps_equal_the_reference(case):
    found = case.compare(CPU, "native")
    assert found["ok"], found
    exact, native = case.run("torch", F64, CPU), case.run("native", F64, CPU)
    for name, expected in exact.items():
        assert_close(native[name], expected)


def activated(nonlinearity, pre_activations):
    """f(a) as the kernels compute it: one step of one unit from inputs of weight 1."""
    model = SimpleRnn(1, 1, 1, nonlinearity, "native")
    shape = BlockShape(1, 1, len(pre_activations), pre_activations.dtype, CPU)
    sweeps = model.sweeps(shape)
    sweeps.load(Batch(pre_activations.view(1, 1, -1, 1), torch.ones(1, shape.sequences), None, torch.zeros(1)))
    sweeps.forward(
        model.flatten(
            {
                name: torch.full(parameter.shape, float(name == "weight_ih"), dtype=shape.dtype)
                for name, parameter in model.layout.items()
            }
        )[None]
    )
    return sweeps.states(shape.sequences)[1, 0, :, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("nonlinearity", ["tanh", "sigmoid"])
def test_nonlinearity_is_exact_to_three_units_in_the_last_place(nonlinearity, dtype):
    """Near zero too, where small signals live."""
    sizes = torch.cat([torch.logspace(-30, 1.5, 2000), torch.linspace(0.1, 0.7, 1000), torch.linspace(0.7, 10, 1000)])
    points = torch.cat([sizes, -sizes, torch.zeros(1)]).to(dtype)
    found = activated(nonlinearity, points)
    exact = getattr(torch, nonlinearity)(points.double())
    unit = torch.finfo(dtype).eps * exact.abs().clamp(min=torch.finfo(dtype).tiny)
    assert ((found.double() - exact).abs() / unit).max() <= 3


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_what_diverges_stays_visible(nonlinearity):
    points = torch.tensor([torch.nan, torch.inf, -torch.inf, 1.0])
    found = activated(nonlinearity, points)
    assert torch.allclose(found, NONLINEARITIES[nonlinearity].of(points), equal_nan=True, rtol=1e-6)


@settings(max_examples=40)
@given(
    net=st.sampled_from(tuple(NETS)),
    name=st.sampled_from(tuple(LOSSES)),
    outputs=st.sampled_from((1, 2, 3, 20)),
    num_outputs=st.sampled_from((None, 1, 2)),
    sequences=st.integers(1, 30),
    dtype=st.sampled_from((torch.float32, F64)),
    is_damped=st.booleans(),
    seed=st.integers(0, 99),
)
def test_losses_between_the_sweeps_equal_those_of_torch(
    net, name, outputs, num_outputs, sequences, dtype, is_damped, seed
):
    torch.manual_seed(seed)
    steps, replicas, loss = 7, 2, LOSSES[name]
    model = NETS[net](2, outputs, 9, recurrence="native")
    size = (steps if num_outputs is None else num_outputs, replicas, sequences)
    targets = torch.randint(outputs, size) if name == "softmax_cross_entropy" else torch.rand(*size, outputs)
    lengths = torch.randint(1, steps + 1, size[1:])
    ends = None if num_outputs is None else (lengths - 1).expand(size)
    sweeps = model.sweeps(BlockShape(replicas, steps, sequences, dtype, CPU))
    sweeps.load(Batch(torch.randn(steps, *size[1:], 2), lengths, ends, targets))
    targets = targets if name == "softmax_cross_entropy" else targets.to(dtype)
    theta, vector = torch.randn(2, replicas, model.num_parameters, dtype=dtype)
    damping = torch.full((replicas, 1, 1), 0.1, dtype=dtype) if is_damped else None

    def compute(of):
        gradient = of.loss_and_gradient(sweeps, theta, loss, targets, 5)
        traced = sweeps.state_gradients(sequences)
        predictions = sweeps.forward(theta)
        return (*gradient, traced, of.curvature_product(sweeps, vector, loss, predictions, 5, damping))

    tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype is torch.float32 else {"rtol": 1e-11, "atol": 1e-12}
    for found, expected in zip(compute(NativeSweeps), compute(Sweeps), strict=True):
        torch.testing.assert_close(found, expected, **tolerance)


@pytest.mark.parametrize("net", NETS)
def test_states_that_a_gradient_has_not_kept_are_computed_when_they_are_asked_for(net):
    torch.manual_seed(0)
    steps, replicas, sequences = 6, 2, 29
    model = NETS[net](2, 1, 9, recurrence="native")
    lengths = torch.randint(1, steps + 1, (replicas, sequences))
    batch = Batch(
        torch.randn(steps, replicas, sequences, 2),
        lengths,
        (lengths - 1)[None],
        torch.randn(1, replicas, sequences, 1),
    )
    theta, vector = torch.randn(2, replicas, model.num_parameters)
    sweeps, kept = (model.sweeps(BlockShape(replicas, steps, sequences, torch.float32, CPU)) for _ in range(2))
    squared_error = LOSSES["squared_error"]
    for each in (sweeps, kept):
        each.load(batch)
    predictions = kept.forward(theta)
    assert torch.equal(sweeps.outputs(theta), predictions)
    sweeps.loss_and_gradient(theta, squared_error, batch.targets, 5)
    for count in (2, sequences, 1):
        assert torch.equal(sweeps.states(count), kept.states(count))
    sweeps.loss_and_gradient(theta, squared_error, batch.targets, 5)
    products = [each.curvature_product(vector, squared_error, predictions, 5) for each in (sweeps, kept)]
    assert torch.equal(*products)


def test_classes_outside_the_outputs_are_refused():
    model = SimpleRnn(1, 2, 3, recurrence="native")
    sweeps = model.sweeps(BlockShape(1, 1, 1, F64, CPU))
    targets = torch.tensor([[[2]]])
    sweeps.load(Batch(torch.zeros(1, 1, 1, 1), torch.ones(1, 1), None, targets))
    with pytest.raises(ValueError, match="targets must be classes 0 to 1, got 2 to 2"):
        sweeps.loss_and_gradient(
            torch.zeros(1, model.num_parameters, dtype=F64), LOSSES["softmax_cross_entropy"], targets, 1
        )


def derivatives(net, threads, rows=slice(None)):
    """Loss, gradient and product of some of three replicas."""
    task = Adding(12)
    model = NETS[net](task.input_size, task.output_size, 17)
    theta, vector = 0.3 * torch.randn(2, 3, model.num_parameters, generator=torch.Generator().manual_seed(0))
    batch = task.replica_batch([0, 1, 2], Stream.GRADIENT, 0, 45).replicas(rows)
    lent = Engine(model, threads)
    objective = Objective(lent, LOSSES[task.loss], batch)
    found = objective.loss_and_gradient(theta[rows])
    curvature = objective.linearize(theta[rows], torch.full((3, 1), 0.1)[rows])
    result = found.loss, found.gradient, curvature.loss, curvature.product(vector[rows])
    lent.close()
    return result


@pytest.mark.parametrize("net", NETS)
def test_bits_depend_on_neither_threads_nor_other_replicas(net, monkeypatch):
    monkeypatch.setattr(native_sweeps, "FLOPS_WORTH_A_WORKER", 1.0)
    for most_bytes in (2**24, 40_000):  # one block; several blocks of a replica
        monkeypatch.setattr(engine, "BYTES_PER_SHARED_BLOCK", most_bytes)
        one = derivatives(net, 1)
        for threads in (2, 3):
            assert all(map(torch.equal, one, derivatives(net, threads)))
        for r in range(3):
            alone = derivatives(net, 2, slice(r, r + 1))
            assert all(torch.equal(whole[r : r + 1], own) for whole, own in zip(one, alone, strict=True))
