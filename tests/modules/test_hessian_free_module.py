"""Hessian-free on torch modules: the same steps as optim=hf, and resuming."""

import io

import pytest
import torch
from cases import F64, assert_close
from hessian_free_cases import column, hessian_free
from plain_cell import PlainCell
from small_modules import LastStep, Nested, Tied, mlp, nested_loss, normal, parameters_of, problem, same

from rnnbench.config.choices.hessian_free import HfConfig
from rnnbench.losses import LOSSES
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.modules.hessian_free import HessianFree
from rnnbench.modules.hessian_free_keys import FIXED, KEYS, OTHER_DEFAULTS, build_hessian_free
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.tasks.adding import Adding
from rnnbench.tasks.base import Stream

LOSS = torch.nn.MSELoss()


class AddingNet(LastStep):
    """rnnbench's simple net as torch modules: one bias, a learned initial state, the output at each sequence's end."""

    def __init__(self, hidden_size):
        super().__init__(torch.nn.RNN, 2, hidden_size, 1)
        self.initial_state = torch.nn.Parameter(torch.zeros(hidden_size))
        self.rnn.bias_hh_l0.requires_grad_(False).zero_()

    def forward(self, batch):
        inputs, steps = batch
        states, _ = self.rnn(inputs, self.initial_state.expand(1, inputs.shape[1], -1).contiguous())
        return self.readout(states[steps, torch.arange(inputs.shape[1])]), states

    def in_order(self):
        """The trained parameters in the order of rnnbench's theta."""
        rnn, readout = self.rnn, self.readout
        recurrent = rnn.weight_hh_l0, rnn.weight_ih_l0, rnn.bias_ih_l0
        return (*recurrent, self.initial_state, readout.weight, readout.bias)


@pytest.mark.parametrize("structural_damping", [0.0, 0.4])
def test_steps_are_those_of_the_optimizer_of_runs(structural_damping):
    """On the same net and batches; conjugate gradients amplify the rounding in which both differ.

    Structural damping acts on the states of a cell and of a module alike; SimpleRnn weights them.
    """
    task, size = Adding(sequence_length=8, variant="hf11"), 20
    model = PlainCell(2, 1, 5, "tanh") if structural_damping else SimpleRnn(2, 1, 5)
    both = {"max_cg_iterations": 6}
    ours = hessian_free(
        gradient_batch_size=2 * size,
        structural_damping=column(structural_damping),
        structural_normalization="batch_time",
        weight_decay=column(1e-3),
        **both,
    )
    net = AddingNet(5).double()
    torch.manual_seed(0)
    for parameter in net.in_order():
        torch.nn.init.normal_(parameter, std=0.4)
    optimizer = HessianFree(
        net,
        LOSS,
        returns_states=True,
        structural_damping=structural_damping,
        backtracking_batch="fresh",
        line_search_batch="fresh",
        weight_decay=1e-3,
        **both,
    )
    theta = torch.cat([each.detach().reshape(-1) for each in net.in_order()]).unsqueeze(0)
    start, state, engine = theta, ours.initial_state(theta), Engine(model, dtype=F64)
    for k in range(4):

        def draw(stream, batch_size, k=k):
            return Objective(engine, LOSSES["squared_error"], task.replica_batch([3], stream, k, batch_size, dtype=F64))

        def pair(stream, batch_size, k=k):
            batch = draw(stream, batch_size, k).batch
            return (batch.inputs[:, 0], batch.output_steps[0, 0]), batch.targets[0, 0]

        update = ours.update(theta, state, k, draw)
        gradient = pair(Stream.GRADIENT, 2 * size)
        (inputs, steps), targets = gradient
        result = optimizer.step(
            gradient,
            ((inputs[:, :size], steps[:size]), targets[:size]),
            backtracking_batch=pair(Stream.BACKTRACKING, size),
            line_search_batch=pair(Stream.LINE_SEARCH, size),
        )
        theta, state = update.theta, update.state
        assert_close(torch.cat([each.detach().reshape(-1) for each in net.in_order()]), theta[0], 1e-8)
        assert result.products == update.products
        assert result.metrics["hf/damping"] == update.metrics["hf/damping"]
        assert abs(result.metrics["hf/reduction_ratio"] - update.metrics["hf/reduction_ratio"]) < 1e-6
    assert (theta != start).all()


def test_it_solves_a_linear_problem_in_one_step():
    torch.manual_seed(0)
    module, inputs = torch.nn.Linear(3, 2).double(), normal(20, 3)
    with torch.no_grad():
        targets = torch.nn.Linear(3, 2).double()(inputs)
    result = HessianFree(module, LOSS, damping=1e-8, max_cg_iterations=50).step((inputs, targets))
    assert LOSS(module(inputs), targets) < 1e-10
    assert (result.accepted, result.step_size, result.damping) == (True, 1.0, 1e-8)
    assert result.products == result.cg_iterations + 1
    assert set(result.metrics) >= {"hf/cg_termination", "hf/outcome", "hf/failures"}


def test_the_loss_never_rises_on_one_batch():
    module, batch = problem()
    optimizer, losses = HessianFree(module, LOSS), []
    for _ in range(15):
        result = optimizer.step(batch)
        losses.append(result.loss)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    "keys", [{"preconditioner": "diagonal"}, {"backtracking": "best", "reduction_ratio": "undamped"}]
)
def test_every_part_of_the_method_works_with_modules(keys):
    module, batch = problem()
    optimizer = HessianFree(module, LOSS, **keys)
    first = optimizer.step(batch)
    assert first.accepted
    assert optimizer.step(batch).loss < first.loss


def test_a_resumed_optimizer_continues_bit_for_bit():
    keys = {"line_search_batch": "fresh", "line_search_sufficient_decrease": 0.9}

    def train(module, optimizer, updates):
        for k in updates:
            optimizer.step(problem(k)[1], line_search_batch=problem(100 + k)[1])
        return parameters_of(module)

    module = problem()[0]
    expected = train(module, HessianFree(module, LOSS, **keys), range(8))
    module = problem()[0]
    optimizer = HessianFree(module, LOSS, **keys)
    train(module, optimizer, range(5))
    file = io.BytesIO()
    torch.save((module.state_dict(), optimizer.state_dict()), file)
    file.seek(0)
    weights, state = torch.load(file, weights_only=True)
    module = problem(7)[0]
    module.load_state_dict(weights)
    optimizer = HessianFree(module, LOSS, **keys)
    optimizer.load_state_dict(state)
    assert same(train(module, optimizer, range(5, 8)), expected)


@pytest.mark.parametrize(
    ("module", "loss", "batch"),
    [
        (Tied(), LOSS, (normal(5, 3), normal(5, 3))),
        (Nested(), nested_loss, ({"x": [normal(5, 2), normal(5, 2)]}, normal(5, 3))),
        (LastStep(torch.nn.LSTM, 2, 3, 1), LOSS, (normal(4, 5, 2), normal(5, 1))),
        (torch.nn.Sequential(mlp(3, 4, 3), torch.nn.BatchNorm1d(3).eval()), LOSS, (normal(5, 3), normal(5, 3))),
    ],
    ids=["tied", "nested", "lstm", "batch normalization"],
)
def test_only_trainable_parameters_change(module, loss, batch):
    module.double()
    trained, frozen = ([each for each in module.parameters() if each.requires_grad is flag] for flag in (True, False))
    before, fixed = [each.detach().clone() for each in trained], [*frozen, *module.buffers()]
    copies, random = [each.clone() for each in fixed], torch.get_rng_state()
    optimizer = HessianFree(module, loss)
    assert optimizer.step(batch).accepted
    assert not any(map(torch.equal, before, trained))
    assert same(fixed, copies)
    assert all(each.grad is None for each in trained)
    assert torch.equal(random, torch.get_rng_state())


def test_float32():
    module, (inputs, targets) = problem()
    optimizer = HessianFree(module.float(), LOSS)
    first = optimizer.step((inputs.float(), targets.float())).loss
    assert optimizer.step((inputs.float(), targets.float())).loss < first


def test_defaults_are_those_of_runs_but_for_what_needs_more_than_a_module():
    built, defaults = build_hessian_free({}), HfConfig(name="hf", _target_="")
    for name in KEYS:
        expected = OTHER_DEFAULTS.get(name, getattr(defaults, name))
        value = getattr(built, name)
        assert (value.item() if isinstance(value, torch.Tensor) else value) == expected
    assert set(OTHER_DEFAULTS) <= set(KEYS)
    assert not set(FIXED) & set(KEYS)
