"""init=edge_of_chaos: an orthogonal matrix times 1.05, and input weights whose scale is that of the task."""

import pytest
import torch

from rnnbench.config.build import build
from rnnbench.config.objects import to_dict
from rnnbench.config.plan import make_plan
from rnnbench.config.request import Request
from rnnbench.config.stored import config_from, schema_names
from rnnbench.records.identity import run_identity

OWN_TASK = """# A task of one's own, without the keys of all tasks.
name: own
_target_: own_task.Own
sequence_length: 20
"""

OWN_CLASS = """from rnnbench.tasks.adding import Adding


class Own(Adding):
    def __init__(self, sequence_length):
        super().__init__(sequence_length, "hf11")
"""


def configs_of(*words, config_dir=None):
    return make_plan(Request(overrides=words, config_dir=config_dir)).configs


@pytest.mark.parametrize(
    ("words", "scale"),
    [
        (["task=adding"], 0.2),
        (["task=multiplication", "task.sequence_length=200"], 0.1),
        (["task=adding", "task.sequence_length=100"], 0.1414),
        (["task=xor"], 0.1),
        (["task=temporal_order_3"], 0.03),
        (["task=memorization_20"], 0.03),
        (["task=copy_memory"], 0.03),
        (["task=random_permutation"], 0.03),
        (["task=random_permutation", "task.input_weight_scale=0.2"], 0.2),
        (["task=random_permutation", "init.input_scale=0.3"], 0.3),
        (["task=random_permutation", "init=orthogonal"], 0.1),
    ],
)
def test_the_scale_of_input_weights_is_that_of_the_task(words, scale):
    (config,) = configs_of(*words)
    assert config.init.input_scale == scale


@pytest.mark.parametrize(("line", "scale"), [("", 0.1), ("input_weight_scale: 0.03\n", 0.03)])
def test_a_task_of_ones_own_may_have_the_key(tmp_path, monkeypatch, line, scale):
    (tmp_path / "task").mkdir()
    (tmp_path / "task/own.yaml").write_text(OWN_TASK + line)
    (tmp_path / "own_task.py").write_text(OWN_CLASS)
    monkeypatch.syspath_prepend(tmp_path)
    (config,) = configs_of("task=own", config_dir=tmp_path)
    assert config.init.input_scale == scale
    assert build([config]).task.num_steps == build(configs_of("task=adding", "task.sequence_length=20")).task.num_steps


def test_the_weights():
    (config,) = configs_of("task=memorization_20", "model.hidden_size=60")
    built = build([config])
    weights = built.inits[0](torch.Generator().manual_seed(0), built.model.layout)
    recurrent = weights["weight_hh"] / 1.05
    assert torch.allclose(recurrent @ recurrent.T, torch.eye(60, dtype=torch.float64), atol=1e-12)
    assert abs(float(weights["weight_ih"].std()) - 0.03) < 0.003


def test_the_default_of_the_task_does_not_tell_runs_apart():
    first, second = (
        configs_of("task=adding", "init=sparse", *words)[0] for words in ([], ["task.input_weight_scale=1"])
    )
    assert run_identity(first) == run_identity(second)


@pytest.mark.parametrize("task", ["adding", "temporal_order"])
def test_a_record_without_the_key_is_read(task):
    (config,) = configs_of(f"task={task}", "init=sparse")
    tree = to_dict(config)
    del tree["task"]["input_weight_scale"]
    assert run_identity(config_from(tree, schema_names(config))) == run_identity(config)
