import math
import re
import sys

import pytest
import torch

from rnnbench.config.build import build, build_task, check_agreement
from rnnbench.config.classes import check_targets
from rnnbench.config.compose import Composer
from rnnbench.config.errors import ConfigError
from rnnbench.config.request import Request


@pytest.fixture(scope="module")
def composer():
    with Composer(Request()) as composer:
        yield composer


@pytest.fixture
def configs(composer):
    return lambda *jobs: [composer.compose(job.split()).config for job in jobs]


def rows(tensor):
    assert tensor.dtype == torch.float64
    return tensor.tolist()


def test_first_order_hyperparameters_are_stacked(configs):
    built = build(
        configs(
            "optim=sgd optim.lr=0.1 optim.clip_norm=2 seed=1",
            "optim=sgd optim.lr=0.2 optim.clip_norm=null seed=2 optim.momentum=0.5",
            "optim=sgd optim.lr=1 name=third",
        )
    )
    assert rows(built.optimizer.lr) == [[0.1], [0.2], [1.0]]
    assert rows(built.optimizer.clip_norm) == [[2.0], [math.inf], [1.0]]
    assert rows(built.optimizer.clip_value) == [[math.inf]] * 3
    assert rows(built.optimizer.momentum) == [[0.0], [0.5], [0.0]]
    assert built.optimizer.batch_size == 100


def test_lists_become_columns(configs):
    built = build(configs("optim=adam", "optim=adam optim.betas=[0.5,0.9]"))
    assert rows(built.optimizer.betas) == [[0.9, 0.999], [0.5, 0.9]]


def test_plain_arguments_stay_plain(configs):
    built = build(configs("optim=nag optim.form=torch", "optim=nag optim.form=torch"))
    assert (built.optimizer.form, built.optimizer.initial_momentum_updates) == ("torch", 1000)


def test_hessian_free(configs):
    built = build(configs("optim.damping=1", "optim.damping=2"))
    assert rows(built.optimizer.damping) == [[1.0], [2.0]]


def test_model_gets_the_tasks_sizes(configs):
    built = build(configs("task=temporal_order_3 task.sequence_length=30 model.hidden_size=7 model.nonlinearity=relu"))
    assert (built.model.input_size, built.model.output_size) == (built.task.input_size, built.task.output_size)
    assert built.task.output_size == 8
    assert built.model.hidden_size == 7


def test_one_init_per_replica(configs):
    built = build(configs("init.input_scale=0.5", "init.spectral_radius=2"))
    assert [(init.input_scale, init.spectral_radius) for init in built.inits] == [(0.5, 1.05), (0.2, 2.0)]


def test_probes_that_are_on(configs):
    assert list(build(configs("")).probes) == ["gradient_norm", "state_gradient", "state_jacobian", "recurrent_weight"]
    built = build(configs("probe.gradient_norm.every=0 probe.state_jacobian.num_steps=3"))
    assert "gradient_norm" not in built.probes
    assert built.probes["state_jacobian"].num_steps == 3


@pytest.mark.parametrize(
    ("first", "second", "key"),
    [
        ("", "model.hidden_size=7", "model.hidden_size"),
        ("", "task.sequence_length=60", "task.sequence_length"),
        ("optim=sgd", "optim=adam", "optim.name"),
        ("", "probe=none", "probe."),
        ("probe=none", "", "probe."),
        ("", "optim.gradient_batch_size=5000", "optim.gradient_batch_size"),
        ("", "dtype=float64", "dtype"),
    ],
)
def test_replicas_have_to_agree(configs, first, second, key):
    with pytest.raises(ConfigError, match=r"replica 0.* in 1") as caught:
        build(configs(first, second))
    assert key in str(caught.value)


def test_names_of_runs_may_differ(configs):
    check_agreement(configs("name=a seed=1", "name=b seed=2 objective=loss"))


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("nowhere_at_all.Pulses", "cannot import nowhere_at_all.Pulses"),
        ("rnnbench.tasks.adding.Addin", "cannot import rnnbench.tasks.adding.Addin"),
        ("rnnbench.tasks.one_hot.one_hot", "is not a class"),
        ("rnnbench.tasks.base.Batch", "rnnbench.tasks.base.Batch must be a subclass of rnnbench.tasks."),
        (
            "rnnbench.tasks.base.Task",
            "rnnbench.tasks.base.Task does not implement draw, misses, which every task needs",
        ),
        ("rnnbench.optim.sgd.Sgd", "rnnbench.optim.sgd.Sgd must be a subclass of rnnbench.tasks.base.T"),
    ],
)
def test_what_is_no_class_of_its_group(configs, target, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        check_targets(configs(f"task._target_={target}"))


CALLED = """
class Called:
    def __new__(cls, *arguments, **keys):
        raise AssertionError("called")

def function(*arguments, **keys):
    raise AssertionError("called")
"""


@pytest.mark.parametrize("name", ["Called", "function"])
@pytest.mark.parametrize("key", ["task", "model", "init", "optim", "probe.gradient_norm"])
def test_what_is_not_of_the_groups_kind_is_not_called(configs, tmp_path, monkeypatch, key, name):
    (tmp_path / "not_of_the_kind.py").write_text(CALLED)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    with pytest.raises(
        ConfigError, match=rf"{key}\._target_: not_of_the_kind\.{name} (must be a subclass of|is not a class)"
    ):
        build(configs(f"{key}._target_=not_of_the_kind.{name}"))


def test_a_module_that_cannot_be_imported(configs, tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("1 / 0\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    with pytest.raises(ConfigError, match=r"cannot import broken_module\.A: ZeroDivisionError: division by zero"):
        check_targets(configs("task._target_=broken_module.A"))


def test_keys_that_a_class_does_not_take(configs):
    with pytest.raises(ConfigError, match=r"model: rnnbench.models.lstm.Lstm does not take its keys as arguments"):
        build(configs("model._target_=rnnbench.models.lstm.Lstm"))


def test_values_that_a_class_refuses(configs, tmp_path, monkeypatch):
    (tmp_path / "refusing_task.py").write_text(
        "from rnnbench.tasks.base import Task\n"
        "class Refusing(Task):\n"
        "    draw = misses = None\n"
        "    def __init__(self, sequence_length, variant, centered):\n"
        "        raise ValueError('never that long')\n"
    )
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    with pytest.raises(ConfigError, match="task: never that long"):
        build(configs("task._target_=refusing_task.Refusing"))


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (
            "task.variant=urnn16 task.sequence_length=1",
            "task.sequence_length must be at least 2 for variant urnn16 of Adding, got 1",
        ),
        (
            "task=xor task.variant=pascanu13",
            "task.variant: Xor has no variant 'pascanu13'; it has hf11, thesis, psgd22",
        ),
        (
            "task=memorization_5 task.num_positions=30",
            "task.sequence_length must be at least 61 for variant hf11 of Memorization with task.num_positions=30, "
            "got 50",
        ),
    ],
)
def test_variants_and_lengths_that_a_task_refuses(configs, job, message):
    with pytest.raises(ConfigError) as caught:
        build_task(*configs(job))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ("task.first_length=60", "task.first_length must be at most task.sequence_length=50, got 60"),
        ("task=xor task.first_length=11", "task.first_length must be at least 12 for variant hf11 of Xor, got 11"),
    ],
)
def test_first_lengths_that_are_refused(configs, job, message):
    with pytest.raises(ConfigError) as caught:
        build(configs(job))
    assert str(caught.value) == message
