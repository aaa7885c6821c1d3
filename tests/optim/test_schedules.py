"""Schedules of the learning rate: those of torch.optim.lr_scheduler, for each replica and every first-order method."""

import dataclasses
import math

import pytest
import pytorch_optimizer
import torch
from first_order_cases import OPTIMIZERS, column, draw, start
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    SequentialLR,
    StepLR,
)

from rnnbench.config.build import build
from rnnbench.config.errors import ConfigError
from rnnbench.config.objects import to_dict
from rnnbench.config.plan import make_plan
from rnnbench.config.request import parse_request
from rnnbench.config.stored import config_from, schema_names
from rnnbench.optim import torch_optimizer
from rnnbench.optim.first_order import LEARNING_RATE
from rnnbench.optim.schedules.base import Schedule
from rnnbench.optim.schedules.constant import Constant
from rnnbench.optim.schedules.cosine import Cosine
from rnnbench.optim.schedules.inverse_sqrt import InverseSqrt
from rnnbench.optim.schedules.step import StepDecay
from rnnbench.optim.torch_optimizer import TorchOptimizer

NUM_UPDATES = 12


def factors_of_torch(make, warmup, count):
    """The factors of a scheduler of torch after its own linear warm-up."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler: LRScheduler = make(optimizer)
    if warmup > 0:
        first = LinearLR(optimizer, 1 / warmup, total_iters=warmup - 1) if warmup > 1 else ConstantLR(optimizer, 1.0)
        scheduler = SequentialLR(optimizer, [first, scheduler], [warmup])
    factors = []
    for _ in range(count):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return torch.tensor(factors, dtype=torch.float64)


def factors(schedule, count):
    """(count, R)."""
    return torch.cat([schedule.factor(update) for update in range(count)], 1).T


@given(warmup=st.integers(0, 8), more=st.integers(1, 20), final=st.floats(0, 1))
def test_cosine_is_that_of_torch_up_to_its_end_and_stays_there(warmup, more, final):
    length = warmup + more
    cosine = Cosine(warmup=column(warmup), length=column(length), final=column(final))
    torchs = factors_of_torch(lambda optimizer: CosineAnnealingLR(optimizer, more, final), warmup, length + 1)
    torch.testing.assert_close(factors(cosine, length + 1)[:, 0], torchs, rtol=1e-9, atol=1e-9)
    assert cosine.factor(length + 7).item() == pytest.approx(final)


@given(warmup=st.integers(0, 8), step_size=st.integers(1, 6), gamma=st.floats(0.1, 1))
def test_step_is_that_of_torch(warmup, step_size, gamma):
    step = StepDecay(warmup=column(warmup), step_size=column(step_size), gamma=column(gamma))
    torchs = factors_of_torch(lambda optimizer: StepLR(optimizer, step_size, gamma), warmup, 20)
    torch.testing.assert_close(factors(step, 20)[:, 0], torchs, rtol=1e-9, atol=1e-12)


@given(warmup=st.integers(0, 8))
def test_constant_is_the_warm_up_of_torch(warmup):
    torchs = factors_of_torch(lambda optimizer: LambdaLR(optimizer, lambda _: 1.0), warmup, 12)
    torch.testing.assert_close(factors(Constant(warmup=column(warmup)), 12)[:, 0], torchs, rtol=1e-12, atol=0)


@given(warmup=st.integers(1, 8))
def test_inverse_sqrt_falls_as_the_root_of_the_number_of_updates(warmup):
    found = factors(InverseSqrt(warmup=column(warmup)), 40)[:, 0].tolist()
    # Vaswani et al. (2017), equation 3: d^-0.5 min(k^-0.5, k warmup^-1.5), here divided by its largest value.
    assert found == pytest.approx([min(k**-0.5, k * warmup**-1.5) * math.sqrt(warmup) for k in range(1, 41)])


SCHEDULES: dict[str, Schedule] = {
    "constant": Constant(warmup=column(0, 3, 5)),
    "cosine": Cosine(warmup=column(0, 2, 4), length=column(10, 12, 9), final=column(0, 0.1, 0.5)),
    "step": StepDecay(warmup=column(0, 2, 1), step_size=column(2, 3, 4), gamma=column(0.5, 0.1, 0.9)),
    "inverse_sqrt": InverseSqrt(warmup=column(1, 3, 5)),
}
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


@every_schedule
def test_a_replica_has_the_factors_that_it_has_alone_and_on_a_device_too(schedule):
    for row in range(3):
        alone = factors(schedule.replicas(torch.tensor([row])), NUM_UPDATES)
        assert torch.equal(alone, factors(schedule, NUM_UPDATES)[:, row : row + 1])
    for update in range(NUM_UPDATES):
        assert torch.equal(schedule.factor(torch.tensor(update)), schedule.factor(update))


@pytest.mark.parametrize("name", OPTIMIZERS)
@every_schedule
def test_an_update_is_that_of_the_method_with_the_learning_rate_of_the_update(name, schedule):
    plain = OPTIMIZERS[name]
    optimizer = dataclasses.replace(plain, schedule=schedule)
    for dtype in (torch.float64, torch.float32):
        theta = start(dtype)
        state = optimizer.initial_state(theta)
        for update in range(NUM_UPDATES):
            lr = plain.lr * schedule.factor(update)
            expected = dataclasses.replace(plain, lr=lr).update(theta, state, update, draw)
            found = optimizer.update(theta, state, update, draw)
            assert torch.equal(found.theta, expected.theta)
            assert all(torch.equal(found.state[key], expected.state[key]) for key in state)
            assert torch.equal(found.metrics[LEARNING_RATE.tag], lr[:, 0])
            theta, state = found.theta, found.state


LAYOUT = {"weight_hh": (3, 2), "bias": (1,)}  # the parameters of `first_order_cases`


def adapted(cls, lrs, keys, schedule=None):
    endless, none = column(*[math.inf] * len(lrs)), column(*[0.0] * len(lrs))
    common = {
        "batch_size": 5,
        "weight_decay": none,
        "clip_norm": endless,
        "clip_value": endless,
        "information_flow": none,
    }
    return TorchOptimizer.of_class(cls, LAYOUT, keys, dtype=torch.float32, lr=column(*lrs), schedule=schedule, **common)


ADAPTED = [
    (torch.optim.RMSprop, {"momentum": 0.5}),
    (torch.optim.Adafactor, {}),
    (pytorch_optimizer.Shampoo, {"preconditioning_compute_steps": 2}),
]


@pytest.mark.parametrize(("cls", "keys"), ADAPTED, ids=lambda each: getattr(each, "__name__", ""))
@every_schedule
def test_a_class_of_torch_makes_the_steps_that_it_makes_with_a_scheduler_of_torch(cls, keys, schedule, monkeypatch):
    monkeypatch.setattr(torch_optimizer, "SMALLEST_MAPPED", 2)
    lrs = (0.02, 0.1, 0.02)
    optimizer = adapted(cls, lrs, keys, schedule)
    theta = start(torch.float32)
    state = optimizer.initial_state(theta)
    gradients = [draw_of(update).gradient for update in range(NUM_UPDATES)]
    for row, lr in enumerate(lrs):
        named = [theta[row, :6].clone().view(3, 2), theta[row, 6:].clone()]
        torchs = cls(named, lr=lr, **keys)
        scheduler = LambdaLR(torchs, lambda update, row=row: schedule.factor(update)[row].item())
        for gradient in gradients:
            named[0].grad, named[1].grad = gradient[row, :6].view(3, 2).clone(), gradient[row, 6:].clone()
            with torch.no_grad():
                torchs.step()
            scheduler.step()
        if row == 0:
            after, states = theta, state
            for update, gradient in enumerate(gradients):
                if update == NUM_UPDATES // 2:  # as after a resume
                    optimizer = adapted(cls, lrs, keys, schedule)
                    states = {key: tensor.clone() for key, tensor in states.items()}
                after, states = optimizer.advance(gradient, after, states, update, None)
        assert torch.equal(after[row], torch.cat([each.flatten() for each in named]))


@dataclasses.dataclass(frozen=True)
class Drawn:
    gradient: torch.Tensor


def draw_of(update):
    return Drawn(torch.randn(3, 7, generator=torch.Generator().manual_seed(update)))


SMALL = ["task.sequence_length=6", "model.hidden_size=3", "optim.batch_size=4"]


def configs(*words):
    return make_plan(parse_request([*words, *SMALL])).configs


def test_the_keys_of_a_schedule_are_per_replica():
    jobs = configs("-m", "optim=sgd", "schedule=cosine", "schedule.warmup=0,5", "schedule.final=0,0.1")
    schedule = build(jobs).optimizer.schedule
    assert schedule.warmup.tolist() == [[0], [0], [5], [5]]
    assert schedule.final.tolist() == [[0], [0.1], [0], [0.1]]


@pytest.mark.parametrize(
    ("words", "length"),
    [
        (["budget.updates=300"], 300),
        (["budget.updates=300", "budget.minutes=1"], 300),
        (["budget.sequences=401"], 101),
        (["budget.sequences=401", "budget.minutes=1"], 101),
        (["budget.minutes=1", "schedule.length=70"], 70),
        ([], 50_000),
    ],
)
def test_a_cosine_ends_with_the_budget_unless_its_own_key_says_otherwise(words, length):
    (config,) = configs("optim=adam", "schedule=cosine", *words)
    assert config.schedule.length == length


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["budget.minutes=1"], r"schedule\.length: budget\.minutes does not say"),
        (["budget.updates=9", "schedule.warmup=9"], r"schedule\.warmup must be < schedule\.length \(9\), got 9"),
    ],
)
def test_a_cosine_without_an_end_is_refused(words, problem):
    with pytest.raises(ConfigError, match=problem):
        configs("optim=adam", "schedule=cosine", *words)


@pytest.mark.parametrize("words", [["schedule=cosine"], ["schedule.warmup=3"]])
def test_hf_has_no_schedule(words):
    jobs = make_plan(parse_request(["optim=hf", *SMALL[:2], *words])).configs
    with pytest.raises(ConfigError, match="optim=hf has no learning rate; use schedule=constant without warmup"):
        build(jobs)


def test_records_mention_a_schedule_only_if_it_does_something():
    """So records from before there were schedules are the same, and can be read."""
    (plain,), (warm,) = configs("optim=sgd"), configs("optim=sgd", "schedule.warmup=3")
    assert "schedule" not in to_dict(plain)
    assert "schedule" not in schema_names(plain)
    for config in (plain, warm):
        assert config_from(to_dict(config), schema_names(config)) == config
    assert build([plain]).optimizer.schedule is None
    assert build([plain, warm]).optimizer.schedule.warmup.tolist() == [[0], [3]]
