"""What `rnnbench tune` searches: ranges, the settings drawn from them, and the sweep that they make."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnbench.config.errors import ConfigError
from rnnbench.config.listing import Choices
from rnnbench.config.plan import make_plan
from rnnbench.config.ranges import Range, draw_settings, make_range, stated_ranges
from rnnbench.config.request import parse_request
from rnnbench.config.search import plan_search
from rnnbench.paths import conf_dir

OPTIMIZERS = sorted(path.stem for path in (conf_dir() / "optim").glob("*.yaml"))
RATE, MOMENTUM, SIZE = Range(1e-4, 1.0), Range(0.5, 0.99, is_below_one=True), Range(5, 80, is_whole=True)


def searched(*words, trials=3):
    """The configurations of a search, and how it is made."""
    sweep, tuning = plan_search(parse_request(words), trials)
    return make_plan(sweep).configs, tuning


@given(st.floats(0, 1), st.floats(0, 1))
def test_values_lie_in_the_range_and_grow_with_the_share(first, second):
    for own in (RATE, MOMENTUM, SIZE):
        values = [own.value(share) for share in sorted((first, second))]
        assert own.low <= values[0] <= values[1] <= own.high
        assert (own.value(0), own.value(1)) == (own.low, own.high)
        assert own is not SIZE or all(type(value) is int for value in values)


@given(st.floats(0, 1))
def test_a_value_is_uniform_on_a_logarithmic_scale_to_three_digits(share):
    rounding = 5.1e-3  # of three significant digits
    assert math.isclose(RATE.value(share), 1e-4 * (1 / 1e-4) ** share, rel_tol=rounding)
    assert math.isclose(1 - MOMENTUM.value(share), 0.5 * (0.01 / 0.5) ** share, rel_tol=rounding)
    for number in (RATE.value(share), 1 - MOMENTUM.value(share)):
        assert math.isclose(number, float(f"{number:.3g}"), rel_tol=1e-9)


@given(st.integers(0, 2**62), st.integers(1, 20), st.integers(0, 20))
def test_the_same_settings_again_and_the_first_ones_of_more(seed, number, more):
    ranges = {"optim.lr": RATE, "optim.momentum": MOMENTUM}
    settings = draw_settings(ranges, seed, number + more)
    assert draw_settings(ranges, seed, number) == settings[:number]
    assert len({tuple(setting.values()) for setting in settings}) == number + more
    alone = draw_settings({"optim.lr": RATE}, seed, 1)  # the other key changes nothing
    assert alone == [{"optim.lr": settings[0]["optim.lr"]}]


def test_few_whole_numbers_do_not_repeat():
    assert sorted(each["n"] for each in draw_settings({"n": Range(1, 4, is_whole=True)}, 0, 4)) == [1, 2, 3, 4]
    with pytest.raises(ConfigError, match="hold only 2 settings; 3 are needed"):
        draw_settings({"n": Range(1, 2, is_whole=True)}, 0, 3)


@pytest.mark.parametrize("bounds", [1, "ab", [1], [1, 2, 3], [2, 1], [0, 1], [1, "2"], [1, float("inf")]])
def test_bounds_that_are_refused(bounds):
    with pytest.raises(ConfigError, match=r"^optim\.lr: a range is"):
        make_range("optim.lr", bounds, is_below_one=False, is_whole=False)
    with pytest.raises(ConfigError, match="LOW < HIGH < 1"):
        make_range("optim.momentum", [0.5, 1], is_below_one=True, is_whole=False)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_states_ranges_within_its_limits(name):
    stated = stated_ranges(Choices([conf_dir()]).files("optim"), name)
    assert 1 <= len(stated) <= 3
    for share in (0.0, 1.0):
        ends = {
            key: make_range(key, pair, is_below_one=False, is_whole=False).value(share) for key, pair in stated.items()
        }
        words = [f"optim.{key}={value}" for key, value in ends.items()]
        assert make_plan(parse_request([f"optim={name}", *words])).configs  # that have been checked


def test_the_search_is_a_sweep_of_settings_with_the_same_seeds():
    configs, tuning = searched("optim=nag", "task=xor", "seed=5", "optim.clip_norm=2")
    assert [config.seed for config in configs] == [5, 6, 7] * 3
    assert {config.optim.clip_norm for config in configs} == {2}
    settings = [(config.optim.lr, config.optim.momentum) for config in configs]
    assert settings[::3] == settings[1::3] == settings[2::3]
    assert len(set(settings)) == 3
    assert tuning.fresh_seeds == list(range(8, 24))
    assert tuning.words == ["optim=nag", "task=xor", "optim.clip_norm=2"]
    assert searched("optim=nag", "task=xor", "seed=5", "optim.clip_norm=2") == (configs, tuning)


def test_an_interval_is_searched_whatever_its_group():
    configs, tuning = searched("optim=adam", "optim.lr=interval(1e-3,2e-3)", "model.hidden_size=interval(5,90)")
    assert all(1e-3 <= config.optim.lr <= 2e-3 for config in configs)
    assert all(type(config.model.hidden_size) is int for config in configs)
    assert set(tuning.searched) == {"optim.lr", "optim.clip_norm", "model.hidden_size"}


def test_a_choice_of_ones_own_states_its_ranges_or_has_those_of_what_it_builds_on(tmp_path):
    (tmp_path / "optim").mkdir()
    head = "# Mine.\ndefaults: [nag, _self_]\nname: {}\n"
    (tmp_path / "optim/built.yaml").write_text(head.format("built"))
    (tmp_path / "optim/own.yaml").write_text(head.format("own") + "tune: {momentum: [0.9, 0.99]}\n")
    (tmp_path / "optim/none.yaml").write_text("# Mine.\nname: none\nlr: 0.1\n_target_: rnnbench.optim.sgd.Sgd\n")
    (tmp_path / "optim/wrong.yaml").write_text(head.format("wrong") + "tune: {rate: [0.9, 0.99]}\n")
    keys = {name: set(searched(f"optim={name}", f"--config-dir={tmp_path}")[1].searched) for name in ("built", "own")}
    assert keys == {"built": {"optim.lr", "optim.momentum", "optim.clip_norm"}, "own": {"optim.momentum"}}
    for name, message in {"none": "states no ranges", "wrong": r"for optim\.rate, but there is no such key"}.items():
        with pytest.raises(ConfigError, match=message):
            searched(f"optim={name}", f"--config-dir={tmp_path}")


def test_a_key_without_a_default_may_be_searched():
    configs, _ = searched("optim=sgd", "schedule=step", "schedule.step_size=interval(2,20)")
    sizes = [config.schedule.step_size for config in configs]
    assert all(type(size) is int and 2 <= size <= 20 for size in sizes)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["optim=nag,adam"], "has several values; rnnbench tune searches ranges"),
        (["optim=nag", "optim.nothing=interval(1,2)"], "there is no key optim.nothing"),
        (["optim=nag", "nothing=1"], "there is no key nothing"),
        (
            ["optim=nag", "seed=interval(1,2)"],
            r"^seed=interval\(1,2\): only numbers of optim, schedule, init and model",
        ),
        (["optim=nag", "budget.updates=interval(10,20)"], "^budget.updates=.*: only numbers of optim"),
        (["optim=nag", "task.sequence_length=interval(10,20)"], "settings with different tasks"),
        (["optim=nag", "optim.form=interval(1,2)"], r"^optim\.form is no number: only numbers"),
        (["optim=adam", "optim.betas=interval(0.1,0.2)"], r"^optim\.betas is no number: only numbers"),
        (["optim=nag", "seed=-1"], "^seed must be >= 0"),
        (["optim=nag", "hydra.run.dir=x"], r"^hydra\.run\.dir is the folder of a single run; that of a sweep is"),
        (["optim=sgd", "optim.lr=1", "optim.momentum=0.5", "optim.clip_norm=1"], "nothing is left to search"),
        (["hydra/sweeper=optuna"], "omit hydra/sweeper"),
        (["hydra.sweeper.params.task='xor,adding'"], "hydra.sweeper has task"),
    ],
)
def test_searches_that_are_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        searched(*words)
