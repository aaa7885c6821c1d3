"""Loss, gradient, Gauss-Newton product and traces of the simple recurrent net against independent references."""

import pytest
import torch
from cases import INPUT_SIZE, RELATIVE, assert_close, assert_replica_law, make_case, mean_loss, output_size
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_rnn import dense_gauss_newton, run

from rnnbench.losses import LOSSES
from rnnbench.models.nonlinearity import NONLINEARITIES
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.objective import engine
from rnnbench.objective.engine import (
    ROWS_PER_BLOCK,
    SEQUENCE_GRAIN,
    SEQUENCES_WORTH_A_BLOCK,
    Engine,
    split,
    split_by_size,
)
from rnnbench.objective.objective import Objective


def case(nonlinearity, loss, every_step, num_replicas, num_sequences, *, hidden_size=4, recurrence="auto", **options):
    model = SimpleRnn(INPUT_SIZE, output_size(loss), hidden_size, nonlinearity, recurrence)
    sizes = {"num_replicas": num_replicas, "num_sequences": num_sequences}
    return make_case(model, loss, every_step=every_step, **sizes, **options)


@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_loss_and_gradient_equal_autograd_on_a_plain_loop(nonlinearity, loss, every_step):
    model, theta, batch, objective, _ = case(nonlinearity, loss, every_step, 2, 3)
    theta.requires_grad_()
    outputs, _, _ = run(model, nonlinearity, theta, batch)
    expected = mean_loss(loss, outputs, batch.targets)
    (gradient,) = torch.autograd.grad(expected.sum(), theta)
    result = objective.loss_and_gradient(theta.detach())
    assert_close(result.loss, expected.detach())
    assert_close(objective.loss(theta.detach()), expected.detach())
    assert_close(objective.outputs(theta.detach()), outputs.detach())
    assert_close(result.gradient, gradient)


@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_trace_holds_states_and_state_gradients(nonlinearity, every_step):
    model, theta, batch, objective, _ = case(nonlinearity, "squared_error", every_step, 2, 3)
    result = objective.loss_and_gradient(theta)
    _, _, states = run(model, nonlinearity, theta, batch)
    assert_close(result.trace.states(3)[1:], states)
    assert_close(result.trace.states(2)[0], model.parameters(theta)["initial_state"].unsqueeze(1).expand(-1, 2, -1))
    # dL/dh_t by adding a perturbation to the state of every step.
    p = model.parameters(theta)
    perturbation = torch.zeros_like(states, requires_grad=True)
    h = p["initial_state"].unsqueeze(1).expand(2, 3, -1)
    perturbed = []
    for t in range(batch.inputs.shape[0]):
        pre = h @ p["weight_hh"].mT + batch.inputs[t] @ p["weight_ih"].mT + p["bias"].unsqueeze(1)
        h = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu, "linear": torch.Tensor.clone}[
            nonlinearity
        ](pre) + perturbation[t]
        perturbed.append(h @ p["weight_out"].mT + p["bias_out"].unsqueeze(1))
    outputs = torch.stack(perturbed)
    if batch.output_steps is not None:
        outputs = outputs.gather(0, batch.output_steps.unsqueeze(-1).expand(-1, -1, -1, outputs.shape[-1]))
    (expected,) = torch.autograd.grad(mean_loss("squared_error", outputs, batch.targets).sum(), perturbation)
    assert_close(result.trace.state_gradients(3), expected)
    assert_close(result.trace.state_gradients(1), expected[:, :, :1])


@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_product_equals_a_dense_gauss_newton_matrix(nonlinearity, loss, every_step):
    model, theta, batch, objective, generator = case(nonlinearity, loss, every_step, 2, 2, num_steps=4, hidden_size=3)
    weight = torch.tensor([[0.0], [0.7]], dtype=torch.float64)
    matrix = dense_gauss_newton(model, nonlinearity, theta, batch, loss, weight)
    operator = objective.linearize(theta, weight)
    for _ in range(2):  # the second product must not see anything of the first
        vector = torch.randn(theta.shape, generator=generator, dtype=torch.float64)
        assert_close(operator.product(vector), torch.einsum("rij,rj->ri", matrix, vector))
    assert_close(operator.loss, objective.loss(theta))
    without = dense_gauss_newton(model, nonlinearity, theta, batch, loss, torch.zeros(2, 1))
    assert_close(objective.linearize(theta).product(vector), torch.einsum("rij,rj->ri", without, vector))


@pytest.mark.parametrize(
    ("normalization", "every_step", "divisor"),
    [("batch", True, 1), ("batch_time", False, 4), ("loss", False, 1), ("loss", True, 4)],
)
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_structural_damping_has_normalizations(nonlinearity, normalization, every_step, divisor):
    model, theta, batch, objective, generator = case(
        nonlinearity, "squared_error", every_step, 2, 2, num_steps=4, hidden_size=3
    )
    weight = torch.tensor([[0.2], [0.7]], dtype=torch.float64)
    matrix = dense_gauss_newton(model, nonlinearity, theta, batch, "squared_error", weight / divisor)
    operator = objective.linearize(theta, weight, normalization)
    for _ in range(2):
        vector = torch.randn(theta.shape, generator=generator, dtype=torch.float64)
        assert_close(operator.product(vector), torch.einsum("rij,rj->ri", matrix, vector))
    bare = dense_gauss_newton(model, nonlinearity, theta, batch, "squared_error", torch.zeros(2, 1))
    assert_close(operator.quadratic_form(vector), torch.einsum("ri,rij,rj->r", vector, bare, vector))


@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_mean_squared_gradient_is_that_of_single_sequences(loss, every_step, monkeypatch):
    monkeypatch.setattr("rnnbench.objective.objective.NUMBERS_AT_ONCE", 250)  # so that it takes several rounds
    _, theta, batch, objective, _ = case("tanh", loss, every_step, 2, 7)
    squares = torch.zeros_like(theta)
    for k in range(7):
        leaf = theta.clone().requires_grad_()
        alone = batch.rows(k, k + 1)
        value = mean_loss(loss, run(objective.engine.model, "tanh", leaf, alone)[0], alone.targets)
        squares += torch.autograd.grad(value.sum(), leaf)[0].square() / 7
    assert_close(objective.mean_squared_gradient(theta), squares)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # inside torch.func.jvp
@settings(max_examples=25)
@given(
    num_replicas=st.integers(1, 3),
    num_sequences=st.integers(1, 6),
    num_steps=st.integers(1, 9),
    hidden_size=st.integers(1, 20),
    every_step=st.booleans(),
    nonlinearity=st.sampled_from(list(NONLINEARITIES)),
    seed=st.integers(0, 1000),
)
def test_sweeps_equal_a_plain_loop_at_any_shape(
    num_replicas, num_sequences, num_steps, hidden_size, every_step, nonlinearity, seed
):
    """Gradient by autograd, and product by forward and reverse mode, through the plain loop."""
    sizes = {"num_steps": num_steps, "hidden_size": hidden_size, "seed": seed}
    model, theta, batch, objective, generator = case(
        nonlinearity, "squared_error", every_step, num_replicas, num_sequences, **sizes
    )

    def outputs(x):
        return run(model, nonlinearity, x, batch)[0]

    leaf = theta.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(mean_loss("squared_error", outputs(leaf), batch.targets).sum(), leaf)
    assert_close(objective.loss_and_gradient(theta).gradient, gradient)
    vector = torch.randn(theta.shape, generator=generator, dtype=torch.float64)
    values, tangents = torch.func.jvp(outputs, (theta,), (vector,))
    _, pull_back = torch.func.vjp(outputs, theta)
    (expected,) = pull_back(2 * tangents / (values.shape[0] * values.shape[2]))
    assert_close(objective.linearize(theta).product(vector), expected)


shapes = {
    "num_replicas": st.integers(1, 5),
    "num_sequences": st.sampled_from([1, 2, 7, 40]),
    "num_steps": st.integers(1, 12),
    "hidden_size": st.integers(1, 9),
    "every_step": st.booleans(),
    "loss": st.sampled_from(list(LOSSES)),
    "nonlinearity": st.sampled_from(list(NONLINEARITIES)),
    "seed": st.integers(0, 1000),
}


@settings(max_examples=40)
@given(**shapes, threads=st.sampled_from([1, 2]))
def test_replica_law(num_replicas, threads, **shape):
    made = case(num_replicas=num_replicas, threads=threads, **shape)
    assert_replica_law(made, torch.rand(num_replicas, 1, generator=made.generator, dtype=torch.float64))


@settings(max_examples=40)
@given(**shapes)
def test_products_are_linear_symmetric_and_positive(num_replicas, **shape):
    _, theta, _, objective, generator = case(num_replicas=num_replicas, **shape)
    operator = objective.linearize(theta, torch.full((num_replicas, 1), 0.3, dtype=torch.float64))
    u, v = torch.randn(2, *theta.shape, generator=generator, dtype=torch.float64)
    image_u, image_v = operator.product(u), operator.product(v)
    scale = (image_u.norm(dim=1) * v.norm(dim=1)).clamp(min=1e-300)
    assert (((u * image_v).sum(1) - (v * image_u).sum(1)).abs() / scale).max() < RELATIVE
    assert ((u * image_u).sum(1) >= -RELATIVE * scale).all()
    assert_close(operator.product(2 * u - 3 * v), 2 * image_u - 3 * image_v, 1e-11)


@pytest.mark.parametrize("recurrence", ["auto", "torch"])
def test_many_sequences_are_cut_into_blocks_that_add_up(recurrence, monkeypatch):
    monkeypatch.setattr(engine, "BYTES_PER_SHARED_BLOCK", 300_000)
    sequences = 2 * ROWS_PER_BLOCK
    options = {"threads": 2, "recurrence": recurrence}
    _, theta, _, objective, generator = case("tanh", "squared_error", False, 2, sequences, **options)
    assert len(objective.blocks) >= 4
    vector = torch.randn(theta.shape, generator=generator, dtype=torch.float64)
    whole, product = objective.loss_and_gradient(theta), objective.linearize(theta).product(vector)
    part_size = sequences // 5
    parts = [objective.rows(start, start + part_size) for start in range(0, sequences, part_size)]
    assert_close(torch.stack([part.loss_and_gradient(theta).gradient for part in parts]).mean(0), whole.gradient)
    assert_close(torch.stack([part.linearize(theta).product(vector) for part in parts]).mean(0), product)
    first = whole.trace.state_gradients(5) * sequences
    assert_close(parts[0].loss_and_gradient(theta).trace.state_gradients(5) * part_size, first)
    objective.engine.close()


def test_buffers_are_lent_again_and_never_shared():
    _, theta, _, objective, generator = case("tanh", "squared_error", False, 1, 9)
    vector = torch.randn(theta.shape, generator=generator, dtype=torch.float64)
    kept = objective.loss_and_gradient(theta)
    operator = objective.linearize(theta)
    states, product = kept.trace.states(9), operator.product(vector)
    for _ in range(3):
        objective.loss_and_gradient(theta + 1)
        objective.linearize(theta + 1).product(vector)
    assert torch.equal(kept.trace.states(9), states)
    assert torch.equal(operator.product(vector), product)
    shapes_made = sum(len(free) for free in objective.engine._free.values())
    assert shapes_made <= 3


def test_inactive_replicas_cost_nothing_and_read_nothing(monkeypatch):
    monkeypatch.setattr(engine, "BYTES_PER_SHARED_BLOCK", 300_000)
    _, theta, _, objective, generator = case("tanh", "squared_error", False, 3, ROWS_PER_BLOCK)
    vector = torch.randn(theta.shape, generator=generator, dtype=torch.float64)
    operator = objective.linearize(theta)
    whole = operator.product(vector)
    vector[1] = torch.nan
    part = operator.product(vector, [True, False, True])
    assert torch.equal(part[[0, 2]], whole[[0, 2]])
    assert torch.equal(part[1], torch.zeros_like(part[1]))


def test_wrong_shape_is_refused():
    _, theta, _, objective, _ = case("tanh", "squared_error", False, 2, 3)
    with pytest.raises(ValueError, match=r"expected a vector of theta's shape \(2, \d+\), got \(1, \d+\)"):
        objective.linearize(theta).product(theta[:1])


@given(st.integers(1, 40), st.integers(1, 3000), st.integers(1, 2000), st.integers(1, 4))
def test_shared_blocks_tile_the_batch_alike_whatever_the_number_of_replicas(
    num_replicas, num_sequences, most_rows, times
):
    seen = torch.zeros(num_replicas, num_sequences, dtype=torch.int64)
    blocks = split_by_size(num_replicas, num_sequences, most_rows, times * most_rows)
    for block in blocks:
        rows = seen[block.replicas, block.sequences]
        rows += 1
        assert rows.numel() <= (times * most_rows if rows.shape[1] == num_sequences else most_rows) + SEQUENCE_GRAIN
    assert (seen == 1).all()
    alone = split_by_size(1, num_sequences, most_rows, most_rows)
    assert {(b.sequences.start, b.sequences.stop) for b in blocks} == {
        (b.sequences.start, b.sequences.stop) for b in alone
    }


@given(st.integers(1, 40), st.integers(1, 3000), st.integers(1, 8))
def test_blocks_tile_the_batch(num_replicas, num_sequences, num_workers):
    seen = torch.zeros(num_replicas, num_sequences, dtype=torch.int64)
    blocks = split(num_replicas, num_sequences, num_workers)
    for block in blocks:
        seen[block.replicas, block.sequences] += 1
    assert (seen == 1).all()
    num_total = num_replicas * num_sequences
    assert len(blocks) >= min(num_workers, num_total // SEQUENCES_WORTH_A_BLOCK)
    sizes = [(b.replicas.stop - b.replicas.start) * (b.sequences.stop - b.sequences.start) for b in blocks]
    assert max(sizes) <= 2 * ROWS_PER_BLOCK
    assert len(blocks) == 1 or sum(sizes) / len(sizes) >= SEQUENCES_WORTH_A_BLOCK / 2


def test_float32_is_near_float64():
    _, theta, batch, objective, _ = case("tanh", "squared_error", False, 2, 50, num_steps=30, hidden_size=20)
    single = Objective(
        Engine(objective.engine.model),
        objective.loss_function,
        type(batch)(batch.inputs.float(), batch.lengths, batch.output_steps, batch.targets.float()),
    )
    theta = 0.4 * theta  # a spectral radius near 1: rounding is not amplified from step to step
    # A few dozen steps of products of length 20: about a hundred roundings of 6e-8.
    assert_close(
        single.loss_and_gradient(theta.float()).gradient.double(), objective.loss_and_gradient(theta).gradient, 1e-5
    )
