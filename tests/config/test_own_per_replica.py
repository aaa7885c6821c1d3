"""Keys of a choice of one's own that the replicas of one batched run may have each for itself."""

import json
import re
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from rnnbench.config.build import build
from rnnbench.config.compose import Composer
from rnnbench.config.errors import ConfigError
from rnnbench.config.listing import keys_of_choice
from rnnbench.config.objects import to_dict
from rnnbench.config.request import Request
from rnnbench.config.stored import config_from, schema_names
from rnnbench.config.validate import per_replica_fields, validate
from rnnbench.init.base import Init
from rnnbench.optim.base import Optimizer
from rnnbench.optim.sgd import Sgd
from rnnbench.sweeps.grouping import group_jobs

FILE = """\
# Gradient descent with a further number.
name: mine
_target_: {module}.Mine
lr: 0.01
momentum: 0.0
beta: 0.9
form: plain
"""


TEXT = FILE.format(module=__name__)


@dataclass(frozen=True, eq=False, kw_only=True)
class Mine(Sgd):
    beta: Tensor
    form: str


@pytest.fixture
def compose(tmp_path):
    """Compose a configuration whose optimizer is that of a file in a folder of one's own."""

    def call(*overrides, group="optim", text=TEXT):
        (tmp_path / group).mkdir(exist_ok=True)
        (tmp_path / f"{group}/mine.yaml").write_text(text)
        with Composer(Request(config_dir=tmp_path)) as composer:
            return composer.compose([f"{group}=mine", *overrides]).config

    return call


def test_jobs_that_differ_in_a_marked_key_are_trained_together(compose):
    configs = [compose(f"optim.beta={beta}", f"seed={seed}") for beta in (0.1, 0.2) for seed in (0, 1)]
    for config in configs:
        validate(config)
    assert group_jobs(configs) == [[0, 1, 2, 3]]
    built = build([compose(f"optim.beta={beta}") for beta in (0.1, 0.2)])
    assert built.optimizer.beta.tolist() == [[0.1], [0.2]]
    assert group_jobs([configs[0], compose("optim.form=other", "optim.beta=0.1")]) == [[0], [1]]


def test_a_record_keeps_the_mark(compose):
    config = compose()
    build([config])
    again = config_from(json.loads(json.dumps(to_dict(config))), schema_names(config))
    assert per_replica_fields(again) == per_replica_fields(config)
    assert {"optim.beta", "optim.momentum"} <= {*per_replica_fields(again)}
    assert "optim.form" not in per_replica_fields(again)


def test_the_list_of_keys_shows_the_mark(compose, tmp_path):
    compose()
    marks = {row.name: row.per_replica for row in keys_of_choice(Request(config_dir=tmp_path), "optim", "mine")}
    assert marks["optim.beta"]
    assert not marks["optim.form"]
    assert "optim.per_replica" not in marks


@pytest.mark.parametrize(("old", "new"), [("beta: 0.9", "beta: null"), ("beta: 0.9", "beta: fast")])
def test_a_tensor_is_made_of_numbers(compose, old, new):
    with pytest.raises(
        ConfigError, match=r"^optim.beta must be a number or a list of numbers, since .*\.Mine declares it"
    ):
        build([compose(text=TEXT.replace(old, new))])


def test_a_null_that_is_no_tensor_is_passed_on(compose):
    assert build([compose(text=TEXT.replace("form: plain", "form: null"))]).optimizer.form is None
    assert build([compose("optim.form=3", text=TEXT.replace("form: plain", "form: null"))]).optimizer.form == 3


def test_a_list_of_keys_is_no_longer_needed(compose):
    with pytest.raises(
        ConfigError, match=r"^optim\.per_replica: remove this key; a field that the class declares as a T"
    ):
        compose(text=f"{TEXT}per_replica: [beta]\n")


@dataclass(frozen=True, kw_only=True)
class Scaled(Init):
    factor: float

    def recurrent_block(self, generator, hidden_size):
        return self.factor * torch.eye(hidden_size, dtype=torch.float64)


def test_every_key_that_an_init_adds_is_per_replica(compose):
    text = f"name: mine\n_target_: {__name__}.Scaled\nfactor: 0.5\n"
    configs = [compose(f"init.factor={factor}", group="init", text=text) for factor in (0.5, 2)]
    assert [init.factor for init in build(configs).inits] == [0.5, 2]
    assert "init.factor" in per_replica_fields(configs[0])


@dataclass(frozen=True, eq=False, kw_only=True)
class Whole(Optimizer):
    size: int

    def initial_state(self, theta):
        return {}

    def update(self, theta, state, update, draw):
        raise AssertionError

    @property
    def num_drawn_sequences(self):
        return self.size


def test_an_optimizer_that_is_no_first_order_method_says_so_in_its_file(compose):
    line, keys = (
        "defaults: [/schema/optim/optimizer@_here_, _self_]",
        f"name: mine\n_target_: {__name__}.Whole\nsize: 3\n",
    )
    assert build([compose(text=f"{line}\n{keys}")]).optimizer.size == 3
    with pytest.raises(ConfigError, match=f"^optim.lr: a value is needed.*{re.escape(line)}"):
        compose(text=keys)
    with pytest.raises(ConfigError, match=f"it is no FirstOrder, so its file needs the line {re.escape(line)}"):
        build([compose("optim.lr=1", text=keys)])


def test_lists_of_different_lengths_cannot_be_stacked(compose):
    text = TEXT.replace("beta: 0.9", "beta: [0.9, 0.5]")
    configs = [compose(f"optim.beta={beta}", text=text) for beta in ("[0.1,0.2]", "[0.1]")]
    with pytest.raises(ConfigError, match=r"^optim\.beta must have as many entries in one replica as in the others"):
        build(configs)
