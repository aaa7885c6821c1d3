import pytest
from recorded_runs import config

from rnnbench.reports.errors import UnknownFieldError
from rnnbench.reports.fields import (
    all_fields,
    flatten,
    format_value,
    format_values,
    grouping_fields,
    label,
    resolve,
    varying_fields,
)


def fields(*changes):
    return [flatten(config(**change)) for change in changes]


def test_flat_configuration():
    flat = flatten({"task": {"name": "a", "_target_": "x"}, "optim": {"betas": [0.9, 1], "cadence": {"updates": 3}}})
    assert flat == {"task.name": "a", "optim.betas": "[0.9, 1]"}


def test_what_varies_without_seed():
    runs = fields({"seed": 0}, {"seed": 1, "model__hidden_size": 20}, {"seed": 1, "optim__lr": 0.1})
    assert varying_fields(runs) == ["optim.lr", "model.hidden_size"]
    assert grouping_fields(runs) == ["optim.lr", "model.hidden_size"]
    assert grouping_fields(runs[:1]) == []


def test_fields_that_follow_from_others_make_no_groups():
    runs = fields(
        {"optim": {"name": "hf", "damping": 0.1}, "name": "adding_hf", "budget__updates": 9},
        {"optim": {"name": "nag", "lr": 0.1}, "name": "adding_nag"},
        {"optim": {"name": "nag", "lr": 0.2}, "name": "adding_nag"},
    )
    assert grouping_fields(runs) == ["optim.name", "optim.lr"]
    assert "optim.damping" in varying_fields(runs)


def test_a_number_is_the_same_whole_or_not():
    assert varying_fields(fields({"optim__clip_norm": 1}, {"optim__clip_norm": 1.0})) == []


def test_a_group_stands_for_its_name():
    runs = fields({})
    assert resolve("optim", runs) == "optim.name"
    assert resolve("optim.lr", runs) == "optim.lr"
    with pytest.raises(UnknownFieldError, match=r"optim\.lrr") as error:
        resolve("optim.lrr", runs)
    assert error.value.fields == tuple(all_fields(runs))


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "null"), (True, "true"), (1e-5, "1e-05"), (0.1234567891, "0.1234567891"), (3, "3"), ("a", "a")],
)
def test_values_are_said_as_they_are_typed(value, words):
    assert format_value(value) == words


def test_many_values_are_cut_short():
    assert format_values([3, 1, 2, 1]) == "1, 2, 3"
    assert format_values(list(range(20))) == "0, 1, 2, .., 19 (20 values)"
    assert format_values(["b", None, 2, "a"]) == "2, a, b, null"


def test_labels():
    assert label([], []) == "all runs"
    assert label(["optim.name", "optim.lr"], ["hf", "-"]) == "hf"
    assert label(["optim.name", "optim.lr"], ["nag", 0.1]) == "nag, lr=0.1"
    assert label(["task.size", "model.size"], [1, None]) == "task.size=1, model.size=null"
