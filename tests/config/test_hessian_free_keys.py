"""Hessian-free: the presets have the papers' rules; removed keys in records are accepted at the value they now have."""

import pytest
import torch

from rnnbench.config.build import build
from rnnbench.config.choices.hessian_free import REMOVED
from rnnbench.config.compose import Composer
from rnnbench.config.errors import ConfigError
from rnnbench.config.objects import to_dict, values_of
from rnnbench.config.request import Request
from rnnbench.config.stored import config_from, schema_names

IN_BOTH = {"max_cg_factor": 1, "rejected_damping": "increase", "warm_start_decay": 0.95}
PAPERS = {
    "hf_martens2010": {
        "gradient_batch_size": 2000,
        "curvature_batch_size": 500,
        "structural_damping": 0.0,
        "max_cg_iterations": 250,
        "preconditioner": "diagonal",
        "backtracking": "walk_back",
        "backtracking_batch": "curvature",
        "line_search_batch": "curvature",
        "line_search_sufficient_decrease": 1e-2,
        "reduction_ratio": "undamped",
        "weight_decay": 0.0,
    },
    "hf_martens_sutskever2011": {
        "gradient_batch_size": 10_000,
        "curvature_batch_size": 1000,
        "weight_decay": 2e-5,
        "damping": 0.01,
        "structural_damping": 0.03 / 4,  # of a distance a quarter as large as ours
        "structural_normalization": "loss",
        "max_cg_iterations": 300,
        "preconditioner": "none",
        "backtracking": "best",
        "backtracking_batch": "fresh",
        "line_search_batch": "fresh",
        "line_search_sufficient_decrease": 0.0,
        "reduction_ratio": "damped",
    },
}


@pytest.fixture(scope="module")
def composer():
    with Composer(Request()) as made:
        yield made


@pytest.mark.parametrize("name", PAPERS)
def test_a_preset_has_the_rules_of_its_paper(composer, name):
    config = composer.compose([f"optim={name}"]).config
    rules = IN_BOTH | PAPERS[name]
    assert {key: values_of(config.optim)[key] for key in rules} == rules
    kept = build([config]).optimizer._cg_rules(torch.ones(1, 1)).kept_iterations()
    tenths = set(range(10, 301, 10))
    assert kept == tenths if name == "hf_martens_sutskever2011" else len(kept) < 25


def stored(composer, **changes):
    """The configuration of a run that was recorded when the removed keys existed."""
    config = composer.compose([]).config
    tree = to_dict(config)
    tree["optim"] |= {**REMOVED, "keep_iterates_every": None, **changes}
    return config, lambda: config_from(tree, schema_names(config))


def test_removed_keys_at_their_defaults_are_accepted(composer):
    config, read = stored(composer)
    assert read() == config
    _, read = stored(composer, backtracking="best", keep_iterates_every=10)
    assert read().optim.backtracking == "best"
    _, read = stored(composer, backtracking_batch_size=125, line_search_batch_size=125)
    assert read() == config
    unused = {"backtracking_batch": "curvature", "line_search_batch": "gradient"}
    _, read = stored(composer, backtracking_batch_size=1, line_search_batch_size=2, **unused)
    assert read().optim.line_search_batch == "gradient"


def test_a_record_without_an_added_key_keeps_its_rule(composer):
    config = composer.compose([]).config
    tree = to_dict(config)
    del tree["optim"]["max_cg_factor"]
    assert config.optim.max_cg_factor == 3
    assert config_from(tree, schema_names(config)).optim.max_cg_factor == 1


def test_a_removed_key_at_another_value_is_no_obstacle_to_reading(composer):
    config, _ = stored(composer)
    tree = to_dict(config)
    tree["optim"] |= {"batch_doubling_every": 100, "max_batch_factor": 4}
    assert config_from(tree, schema_names(config), is_continued=False) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_doubling_every": 100}, r"optim.batch_doubling_every=100: .* with 0 can go on"),
        ({"cg_dtype": "float32"}, r"optim.cg_dtype=float32: this key has been removed.* with float64 can go on"),
        ({"reset_warm_start": False}, r"optim.reset_warm_start=false: .* with true can go on"),
        ({"keep_iterates_every": 3}, r"optim.keep_iterates_every=3: .* with null can go on"),
        ({"line_search_batch_size": 60}, r"optim.line_search_batch_size=60: .* with 125 can go on"),
        ({"backtracking": "best"}, r"optim.keep_iterates_every=null: .* with 10 can go on"),
    ],
)
def test_a_removed_key_at_another_value_is_refused(composer, changes, message):
    _, read = stored(composer, **changes)
    with pytest.raises(ConfigError, match=message):
        read()
