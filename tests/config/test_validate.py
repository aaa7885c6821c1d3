import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnbench.config.compose import Composer
from rnnbench.config.errors import ConfigError
from rnnbench.config.limits import describe_bounds, limit_problem
from rnnbench.config.objects import to_dict
from rnnbench.config.request import Request
from rnnbench.config.validate import per_replica_fields, validate


@pytest.fixture(scope="module")
def composer():
    with Composer(Request()) as composer:
        yield composer


def complaint(composer, *overrides):
    with pytest.raises(ConfigError) as caught:
        validate(composer.compose(overrides).config)
    return str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["optim.curvature_batch_size=4001"], ["optim.curvature_batch_size", "optim.gradient_batch_size", "4001"]),
        (["optim.damping=1e9"], ["optim.damping", "<= 1e+08"]),
        (["optim.backtracking=off"], ["optim.backtracking", "off", "walk_back"]),
        (["optim=sgd", "optim.clip_value=2"], ["optim.clip_norm", "optim.clip_value", "null"]),
        (["optim=adam", "optim.betas=[0.9]"], ["optim.betas", "2 entries"]),
        (["optim=adam", "optim.betas=[0.9,1.0]"], ["optim.betas[1]", "< 1"]),
        (["task=memorization_5", "task.num_symbols=1"], ["task.num_symbols", ">= 2"]),
        (["objective=los"], ["objective", "did you mean loss", "updates_to_solve", "error_rate"]),
        (["threads=2.5"], ["threads", "whole number"]),
        (["threads=100000"], ["threads", "100000"]),
        (["device=mps"], ["mps", "cpu"]),
        (["device=cuda:"], ["device", "cuda:N"]),
        (["cuda_graphs=sometimes"], ["cuda_graphs", "auto, never, always"]),
        (["name=a:b"], ["name", "':'"]),
        (["name=.."], ["name"]),
        ([f"name={'x' * 151}"], ["name", "150"]),
        (["model._target_=subprocess.Popen"], ["model._target_", "subprocess"]),
        (["model._target_=os"], ["model._target_", "dotted path"]),
        (["probe.state_gradient.every=-1"], ["probe.state_gradient.every", ">= 0"]),
        (["optim.cadence.log_every=0"], ["log_every", ">= 1"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_refused(composer, overrides, words):
    message = complaint(composer, *overrides)
    assert all(word in message for word in words), message
    assert "\n" not in message


@pytest.mark.parametrize(
    "overrides",
    [
        ["optim.curvature_batch_size=1000"],
        ["optim=sgd", "optim.clip_value=2", "optim.clip_norm=null"],
        ["optim=sgd", "optim.lr=0"],
        ["init=identity", "model.nonlinearity=relu"],
        ["init=sparse", "init.num_connections=1000"],
        ["threads=1"],
        ["device=cuda:3"],
        ["seed=4611686018427387904"],
        ["name=my run_1.5"],
        ["budget.minutes=0.5", "budget.sequences=1"],
        ["probe.state_gradient.every=0"],
    ],
    ids=" ".join,
)
def test_accepted(composer, overrides):
    validate(composer.compose(overrides).config)


BOUNDS = st.fixed_dictionaries({}, optional={name: st.integers(-5, 5) for name in ("low", "high", "above", "below")})


@given(value=st.floats(allow_nan=True) | st.integers(-10, 10), bounds=BOUNDS)
@settings(max_examples=200)
def test_limits_are_what_their_words_say(value, bounds):
    message = limit_problem("key", value, bounds)
    # the words themselves are evaluated
    words = describe_bounds(bounds)
    inside = math.isfinite(value) and all(eval(f"{value!r} {part}") for part in words.split(" and ") if part)
    assert (message is None) == inside
    if message is not None:
        assert message.startswith("key must be")
        assert words in message


def test_entries_of_lists_are_checked():
    assert limit_problem("key", [0.5, 2.0], {"below": 1}) == "key[1] must be < 1, got 2.0"
    assert limit_problem("key", [0.5, None], {"below": 1}) is None


def test_fields_per_replica(composer):
    fields = per_replica_fields(composer.compose(["optim=sgd"]).config)
    assert {"seed", "optim.lr", "optim.momentum", "optim.clip_norm", "init.spectral_radius"} <= set(fields)
    assert not {"task.sequence_length", "optim.batch_size", "name", "init.num_connections"} & set(fields)


def test_as_plain_values(composer):
    plain = to_dict(composer.compose(["optim=adam", "seed=3"]).config)
    assert plain["seed"] == 3
    assert plain["optim"]["betas"] == [0.9, 0.999]
    assert plain["optim"]["name"] == "adam"
    assert plain["probe"]["state_jacobian"]["num_steps"] == 4
    assert plain["budget"] == {"updates": 50000, "sequences": None, "minutes": None}
