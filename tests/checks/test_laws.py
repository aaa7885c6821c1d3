"""Every law finds the class that breaks it, and every class of the package satisfies every law."""

import pytest
import torch
from broken_classes import INITS, MODELS, OPTIMIZERS, PROBES, TASKS, Good, Plain, Sized

from rnnbench.checks.cases import make_case
from rnnbench.checks.init_laws import INIT_LAWS, InitCase
from rnnbench.checks.law import SIZES, NotApplicableError, Size
from rnnbench.checks.model_laws import MODEL_LAWS
from rnnbench.checks.optim_laws import OPTIMIZER_LAWS, OptimizerCase
from rnnbench.checks.probe_laws import PROBE_LAWS, ProbeCase
from rnnbench.checks.task_laws import TASK_LAWS, TaskCase
from rnnbench.init.identity import IdentityInit
from rnnbench.models.gru import Gru
from rnnbench.models.latch import Latch
from rnnbench.models.lru import Lru
from rnnbench.models.lstm import Lstm
from rnnbench.models.orthogonal_rnn import OrthogonalRnn
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.models.stack import Stack
from rnnbench.objective.engine import Engine
from rnnbench.optim.sgd import Sgd
from rnnbench.training.problem import Problem, draw_parameters

SCALES = {"input_scale": 0.5, "output_scale": 0.5, "bias_scale": 0.1, "initial_state_scale": 0.1}


def broken(laws, cases):
    """The statements of the laws that a class breaks, at the sizes of some cases."""
    found = []
    for law in laws:
        for case in cases:
            try:
                law.check(case)
            except NotApplicableError:
                pass
            except Exception:  # as in `rnnbench check`
                found.append(law.statement)
                break
    return found


def task_cases(task):
    return [TaskCase(task, size) for size in SIZES[:-1]]


def model_cases(model):
    return [
        make_case(model, loss, every_step=every_step, num_replicas=size.replicas, num_steps=size.steps)
        for size in SIZES[2:5]
        for loss in ("squared_error", "sigmoid_cross_entropy")
        for every_step in (False, True)
    ]


def column(value):
    return torch.full((3, 1), value, dtype=torch.float64)


def optimizer_case(optimizer=Sgd):
    model, seeds = SimpleRnn(1, 1, 3), [0, 1, 2]
    problem = Problem(Good(4), Engine(model, dtype=torch.float64), seeds)
    theta = draw_parameters(model, [IdentityInit(**SCALES)] * 3, seeds, problem.engine)
    never = column(torch.inf)
    rates = {"lr": column(0.1), "momentum": column(0.5), "weight_decay": column(0.0), "information_flow": column(0.0)}
    return OptimizerCase(optimizer(batch_size=4, clip_norm=never, clip_value=never, **rates), problem, theta)


@pytest.mark.parametrize(("task", "law"), TASKS.items())
def test_a_task_that_breaks_a_law(task, law):
    assert law in broken(TASK_LAWS, task_cases(task()))


def test_a_task_that_breaks_none():
    assert broken(TASK_LAWS, task_cases(Good())) == []


@pytest.mark.parametrize(("model", "law"), MODELS.items())
def test_a_model_that_breaks_a_law(model, law):
    assert law in broken(MODEL_LAWS, model_cases(model(2, 1, 3)))


def two_layers(d, o, n):
    return Stack([Lstm(d, o, n), Lstm(n, o, n)])


@pytest.mark.parametrize("model", [Plain, SimpleRnn, Lstm, Gru, Latch, two_layers, Lru, OrthogonalRnn])
def test_a_model_that_breaks_none(model):
    assert broken(MODEL_LAWS, model_cases(model(4, 2, 2 if model is Lru else 3))) == []


@pytest.mark.parametrize(("init", "law"), INITS.items())
def test_an_init_that_breaks_a_law(init, law):
    assert law in broken(INIT_LAWS, [InitCase(init(**SCALES), SimpleRnn(2, 1, 3))])


@pytest.mark.parametrize(("optimizer", "law"), OPTIMIZERS.items())
def test_an_optimizer_that_breaks_a_law(optimizer, law):
    assert law in broken(OPTIMIZER_LAWS, [optimizer_case(optimizer)])


def test_an_optimizer_that_breaks_none():
    assert broken(OPTIMIZER_LAWS, [optimizer_case()]) == []


@pytest.mark.parametrize(("probe", "law"), PROBES.items())
def test_a_probe_that_breaks_a_law(probe, law):
    assert law in broken(PROBE_LAWS, [ProbeCase(probe(), optimizer_case())])


def test_a_probe_that_breaks_none():
    assert broken(PROBE_LAWS, [ProbeCase(Sized(), optimizer_case())]) == []


def test_sizes_grow():
    volumes = [size.replicas * size.sequences * size.steps * size.units for size in SIZES[:-1]]
    assert volumes == sorted(volumes)
    assert str(Size(1, 2, None, 3)) == "R=1, B=2, T as configured, n=3"
