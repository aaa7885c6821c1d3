"""The gated nets step by step, and with them the sweeps of any cell, against torch's own modules."""

import pytest
import torch
from cases import INPUT_SIZE, assert_close, assert_replica_law, make_case, mean_loss, output_size, random_batch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_cells import MODELS, dense_gauss_newton, run, torch_step

from rnnbench.losses import LOSSES
from rnnbench.models.base import BlockShape
from rnnbench.models.cell import FRAGMENTATION
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective


def case(name, loss, every_step, num_replicas, num_sequences, *, hidden_size=4, **options):
    model = MODELS[name](INPUT_SIZE, output_size(loss), hidden_size, "torch")
    sizes = {"num_replicas": num_replicas, "num_sequences": num_sequences}
    return make_case(model, loss, every_step=every_step, **sizes, **options)


@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", MODELS)
def test_loss_and_gradient_equal_torch_nn_by_weight_transfer(name, loss, every_step):
    model, theta, batch, objective, _ = case(name, loss, every_step, 2, 3)
    theta.requires_grad_()
    outputs, hidden = run(model, theta, batch)
    expected = mean_loss(loss, outputs, batch.targets)
    (gradient,) = torch.autograd.grad(expected.sum(), theta)
    result = objective.loss_and_gradient(theta.detach())
    assert_close(objective.outputs(theta.detach()), outputs.detach())
    assert_close(result.loss, expected.detach())
    assert_close(result.gradient, gradient)
    assert_close(result.trace.states(3)[1:, ..., : model.hidden_size], hidden.detach())


@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", MODELS)
def test_product_equals_a_dense_gauss_newton_matrix(name, loss, every_step):
    model, theta, batch, objective, generator = case(name, loss, every_step, 2, 2, num_steps=4, hidden_size=3)
    weight = torch.tensor([[0.0], [0.7]], dtype=torch.float64)
    matrix = dense_gauss_newton(model, theta, batch, loss, weight)
    operator = objective.linearize(theta, weight)
    for _ in range(2):  # the second product must not see anything of the first
        vector = torch.randn(theta.shape, generator=generator, dtype=torch.float64)
        assert_close(operator.product(vector), torch.einsum("rij,rj->ri", matrix, vector))
    assert_close(operator.loss, objective.loss(theta))
    without = dense_gauss_newton(model, theta, batch, loss, torch.zeros(2, 1))
    assert_close(objective.linearize(theta).product(vector), torch.einsum("rij,rj->ri", without, vector))


@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_structural_damping_is_that_of_the_hidden_states(name, every_step):
    model, theta, batch, objective, generator = case(
        name, "squared_error", every_step, 2, 2, num_steps=4, hidden_size=3
    )
    weight = torch.tensor([[0.4], [0.7]], dtype=torch.float64)
    matrix = dense_gauss_newton(model, theta, batch, "squared_error", weight / 4)
    operator = objective.linearize(theta, weight, "batch_time")
    bare = dense_gauss_newton(model, theta, batch, "squared_error", torch.zeros(2, 1))
    vector = torch.randn(theta.shape, generator=generator, dtype=torch.float64)
    assert_close(operator.product(vector), torch.einsum("rij,rj->ri", matrix, vector))
    assert_close(operator.quadratic_form(vector), torch.einsum("ri,rij,rj->r", vector, bare, vector))


@pytest.mark.parametrize("name", MODELS)
def test_mean_squared_gradient_is_that_of_single_sequences(name):
    _, theta, batch, objective, _ = case(name, "squared_error", True, 2, 5)
    squares = torch.zeros_like(theta)
    for k in range(5):
        leaf, alone = theta.clone().requires_grad_(), batch.rows(k, k + 1)
        value = mean_loss("squared_error", run(objective.engine.model, leaf, alone)[0], alone.targets)
        squares += torch.autograd.grad(value.sum(), leaf)[0].square() / 5
    assert_close(objective.mean_squared_gradient(theta), squares)


@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_trace_holds_whole_states_and_their_gradients(name, every_step):
    model, theta, batch, objective, _ = case(name, "squared_error", every_step, 1, 3)
    trace = objective.loss_and_gradient(theta).trace
    p = {parameter: view[0] for parameter, view in model.parameters(theta).items()}
    for k in range(3):
        states = [p["initial_state"].clone().requires_grad_()]
        for inputs in batch.inputs[:, 0, k]:
            states.append(torch_step(model, theta, states[-1], inputs))
        steps = range(len(states) - 1) if every_step else batch.output_steps[:, 0, k].tolist()
        outputs = torch.stack([p["weight_out"] @ states[t + 1][: model.hidden_size] + p["bias_out"] for t in steps])
        loss = (outputs - batch.targets[:, 0, k]).square().sum() / batch.targets[..., 0].numel()
        expected = torch.autograd.grad(loss, states[1:], materialize_grads=True)
        assert_close(trace.states(3)[:, 0, k], torch.stack(states).detach())
        assert_close(trace.state_gradients(3)[:, 0, k], torch.stack(expected))
    assert torch.equal(trace.state_gradients(1), trace.state_gradients(3)[:, :, :1])


@pytest.mark.parametrize("name", MODELS)
def test_state_jacobians_equal_autograd_on_torchs_cell(name):
    model, theta, _, _, generator = case(name, "squared_error", False, 3, 1)
    states = torch.randn(4, 3, 2, model.state_size, generator=generator, dtype=torch.float64)
    inputs = torch.randn(4, 3, 2, 2, generator=generator, dtype=torch.float64)
    jacobians, after = model.state_jacobians(theta, states, inputs), model.next_states(theta, states, inputs)
    by_inputs = model.input_jacobians(theta, states, inputs)
    assert after.shape == states.shape
    assert jacobians.shape == (4, 3, 2, model.state_size, model.state_size)
    for t, r, k in ((0, 0, 0), (3, 2, 1), (1, 2, 0), (2, 0, 1)):
        by_state, by_input = torch.autograd.functional.jacobian(
            lambda *given, r=r: torch_step(model, theta[r : r + 1], *given), (states[t, r, k], inputs[t, r, k])
        )
        assert_close(jacobians[t, r, k], by_state)
        assert_close(by_inputs[t, r, k], by_input)
        assert_close(after[t, r, k], torch_step(model, theta[r : r + 1], states[t, r, k], inputs[t, r, k]))
    assert_close(model.state_jacobians(theta, states[0], inputs[0]), jacobians[0])
    assert_close(model.next_states(theta, states[0], inputs[0]), after[0])


@settings(max_examples=30)
@given(
    name=st.sampled_from(list(MODELS)),
    num_replicas=st.integers(1, 5),
    num_sequences=st.sampled_from([1, 2, 7, 40]),
    num_steps=st.integers(1, 10),
    hidden_size=st.integers(1, 7),
    every_step=st.booleans(),
    loss=st.sampled_from(list(LOSSES)),
    seed=st.integers(0, 1000),
    threads=st.sampled_from([1, 2]),
)
def test_replica_law(num_replicas, threads, **shape):
    made = case(num_replicas=num_replicas, threads=threads, **shape)
    assert_replica_law(made, torch.rand(num_replicas, 1, generator=made.generator, dtype=torch.float64))


@pytest.mark.parametrize("num_replicas", [1, 4])
@pytest.mark.parametrize("name", MODELS)
def test_two_threads_equal_one(name, num_replicas):
    _, theta, batch, two, generator = case(name, "squared_error", False, num_replicas, 160, num_steps=12, threads=2)
    one = Objective(Engine(two.engine.model, dtype=torch.float64), two.loss_function, batch)
    assert len(two.blocks) > 1
    assert_close(two.loss_and_gradient(theta).gradient, one.loss_and_gradient(theta).gradient)
    weight = torch.full((num_replicas, 1), 0.3, dtype=torch.float64)
    operators = two.linearize(theta, weight), one.linearize(theta, weight)
    for _ in range(10):  # both threads run on dual numbers at the same time
        vector = torch.randn(theta.shape, generator=generator, dtype=torch.float64)
        assert_close(operators[0].product(vector), operators[1].product(vector))
    two.engine.close()


@pytest.mark.parametrize("name", MODELS)
def test_buffers_are_lent_again_and_never_shared(name):
    _, theta, _, objective, generator = case(name, "squared_error", False, 1, 9)
    vector = torch.randn(theta.shape, generator=generator, dtype=torch.float64)
    kept, operator = objective.loss_and_gradient(theta), objective.linearize(theta)
    gradients, product = kept.trace.state_gradients(9), operator.product(vector)
    for _ in range(3):
        objective.loss_and_gradient(theta + 1)
        objective.linearize(theta + 1).product(vector)
    assert torch.equal(kept.trace.state_gradients(9), gradients)
    assert torch.equal(operator.product(vector), product)


@pytest.mark.parametrize("name", MODELS)
def test_recurrent_weight_is_the_candidates(name):
    model = MODELS[name](2, 1, 3)
    theta = torch.arange(2 * model.num_parameters, dtype=torch.float64).view(2, -1)
    expected = model.parameters(theta)["weight_hh"][:, 6:9]  # i, f, g, o of torch.nn.LSTM; r, z, n of torch.nn.GRU
    assert torch.equal(model.recurrent_weight(theta), expected)


@pytest.mark.parametrize("name", MODELS)
def test_block_bytes_are_what_a_block_keeps(name):
    model, shape = MODELS[name](2, 1, 20, "torch"), BlockShape(3, 10, 7, torch.float32, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    batch = random_batch(10, 3, 7, 1, "squared_error", every_step=True, generator=generator)
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    sweeps = model.sweeps(shape)
    sweeps.load(type(batch)(batch.inputs.float(), batch.lengths, None, batch.targets.float()))
    theta = torch.zeros(3, model.num_parameters)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        sweeps.forward(model.weights(theta))
    kept.pop(theta.untyped_storage().data_ptr())
    taken = sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) + 2 * sweeps.tangents.nbytes
    assert FRAGMENTATION * taken == pytest.approx(model.block_bytes(shape), rel=0.1)
