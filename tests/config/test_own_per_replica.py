"""Keys of a choice of one's own that the replicas of one batched run may have each for itself."""

import json
from dataclasses import dataclass

import pytest
from torch import Tensor

from rnnbench.config.build import build
from rnnbench.config.compose import Composer
from rnnbench.config.errors import ConfigError
from rnnbench.config.listing import keys_of_choice
from rnnbench.config.objects import to_dict
from rnnbench.config.request import Request
from rnnbench.config.stored import config_from, schema_names
from rnnbench.config.validate import per_replica_fields, validate
from rnnbench.optim.sgd import Sgd
from rnnbench.sweep.grouping import group_jobs

FILE = """\
# Gradient descent with a further number.
defaults:
  - /schema/optim/first_order@_here_
  - _self_

name: mine
_target_: {module}.Mine
lr: 0.01
momentum: 0.0
beta: 0.9
form: plain
per_replica: [beta, momentum]
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
    again = config_from(json.loads(json.dumps(to_dict(config))), schema_names(config))
    assert per_replica_fields(again) == per_replica_fields(config)
    assert "optim.beta" in per_replica_fields(again)


def test_the_list_of_keys_shows_the_mark(compose, tmp_path):
    compose()
    marks = {row.name: row.per_replica for row in keys_of_choice(Request(config_dir=tmp_path), "optim", "mine")}
    assert marks["optim.beta"]
    assert not marks["optim.form"]
    assert "optim.per_replica" not in marks


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"[beta, momentum]": "beta"}, "optim.per_replica must be a list of keys, as in [beta], got 'beta'"),
        (
            {"[beta, momentum]": "[bta]"},
            "optim.per_replica: bta is no key of this file's own; those are momentum, beta, form",
        ),
        ({"[beta, momentum]": "[batch_size]"}, "batch_size is no key of this file's own"),
        (
            {"[beta, momentum]": "[form]"},
            "optim.form is marked in optim.per_replica, so it must be a number or a list of numbers",
        ),
        ({"beta: 0.9": "beta: null"}, "optim.beta is marked in optim.per_replica, so it must be a number"),
    ],
)
def test_a_wrong_mark_is_bad_input(compose, changes, message):
    text = TEXT
    for old, new in changes.items():
        text = text.replace(old, new)
    with pytest.raises(ConfigError) as caught:
        validate(compose(text=text))
    assert message in str(caught.value)


def test_what_all_replicas_share_cannot_be_marked(compose):
    text = "# A task.\nname: mine\n_target_: a.B\nsequence_length: 5\nper_replica: [sequence_length]\n"
    with pytest.raises(
        ConfigError, match=r"^task\.per_replica: the task is the same for all replicas of a run; only keys"
    ):
        validate(compose(group="task", text=text))


def test_lists_of_different_lengths_cannot_be_stacked(compose):
    text = TEXT.replace("beta: 0.9", "beta: [0.9, 0.5]")
    configs = [compose(f"optim.beta={beta}", text=text) for beta in ("[0.1,0.2]", "[0.1]")]
    with pytest.raises(ConfigError, match=r"^optim\.beta must have as many entries in one replica as in the others"):
        build(configs)
