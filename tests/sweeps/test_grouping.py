import functools
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planned import compose_jobs

from rnnbench.config.build import shared_values
from rnnbench.sweeps import grouping

SHARED = {"optim": ["sgd", "nag"], "optim.batch_size": [10, 20], "dtype": ["float32", "float64"]}
FREE = {"seed": [0, 1], "optim.lr": [0.1, 0.2], "name": ["a", "b"], "objective": ["loss", "error_rate"]}


@functools.cache
def pool():
    """Jobs with every combination of some values, each with the values that replicas of one run share."""
    menu = SHARED | FREE
    configs = compose_jobs(*(f"{key}={','.join(map(str, values))}" for key, values in menu.items()))
    return list(zip(itertools.product(*menu.values()), configs, strict=True))


@given(st.lists(st.integers(0, 127), min_size=1, max_size=20))
def test_jobs_of_a_group_share_what_replicas_share(numbers):
    jobs = [pool()[number] for number in numbers]
    expected = {}
    for index, (values, _) in enumerate(jobs):
        expected.setdefault(values[: len(SHARED)], []).append(index)
    assert grouping.group_jobs([config for _, config in jobs]) == list(expected.values())


@given(st.lists(st.integers(0, 15), min_size=1, max_size=20))
def test_replica_values_are_those_that_differ(numbers):
    jobs = [pool()[number] for number in numbers]  # of sgd, 10 and float32 alone
    columns = list(zip(*(values[len(SHARED) :] for values, _ in jobs), strict=True))
    differing = [key for key, column in zip(FREE, columns, strict=True) if len(set(column)) > 1]
    found = grouping.replica_values([config for _, config in jobs])
    for (values, _), own in zip(jobs, found, strict=True):
        table = dict(zip(FREE, values[len(SHARED) :], strict=True))
        assert own == {key: table[key] for key in differing}


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "seed": st.integers(0, 3),
                "name": st.sampled_from("ab"),
                "optim.lr": st.floats(0, 1),
                "optim.clip_norm": st.none() | st.sampled_from([1.0, 1.0000000001]),
                "optim.betas": st.sampled_from([[0.9, 0.999], [0.9, 0.9999999]]),
            }
        ),
        min_size=1,
        max_size=12,
    )
)
def test_jobs_of_a_cell_differ_in_nothing_but_the_seed(values):
    found = grouping.cells(values)
    assert sorted(itertools.chain.from_iterable(found.values())) == list(range(len(values)))

    def rest(index):
        return [value for key, value in values[index].items() if key.startswith("optim.")]

    assert len(found) == len({repr(rest(index)) for index in range(len(values))})
    for members in found.values():
        assert all(rest(index) == rest(members[0]) for index in members)


def test_names_of_cells():
    values = [{"seed": seed, "name": f"a{lr}", "optim.lr": lr} for lr in (0.1, 0.01) for seed in (1, 2)]
    assert grouping.cells(values) == {"optim.lr=0.1": [0, 1], "optim.lr=0.01": [2, 3]}
    assert grouping.cells(values[:3]) == {"optim.lr=0.1": [0, 1], "optim.lr=0.01": [2]}
    assert grouping.cells(values[1:3]) == {"optim.lr=0.1": [0], "optim.lr=0.01": [1]}
    assert grouping.cells([{"optim.lr": 0.1}, {"optim.lr": 0.01}]) == {"": [0, 1]}
    assert grouping.cells([{"optim.lr": 0.1}] * 2 + [{"optim.lr": 1.0}]) == {"optim.lr=0.1": [0, 1], "optim.lr=1": [2]}
    assert grouping.cells(values[:1]) == {"optim.lr=0.1": [0]}
    assert grouping.cells([{}]) == {"": [0]}


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(1, 60))
def test_split(sizes, most):
    jobs = iter(range(sum(sizes)))
    cells = [list(itertools.islice(jobs, size)) for size in sizes]
    num_parts = math.ceil(sum(sizes) / most)
    found = grouping.split(cells, num_parts, most)
    assert list(itertools.chain.from_iterable(found)) == list(range(sum(sizes)))
    assert len(found) == num_parts
    assert all(0 < len(part) <= most for part in found)
    share = sum(sizes) / num_parts
    assert max(map(len, found)) <= max(math.ceil(share), grouping.UNEVEN * share)


def test_seeds_are_parted_only_where_the_parts_would_be_uneven():
    cells = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert grouping.split(cells[1:], 2, 4) == cells[1:]
    assert grouping.split(cells[1:], 2, 100) == cells[1:]
    assert grouping.split(cells, 3, 4) == cells
    assert grouping.split(cells, 2, 100) == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]


@given(st.floats(allow_nan=False) | st.none(), st.floats(allow_nan=False))
def test_different_numbers_are_shown_differently(one, other):
    assert (grouping.show(one) == grouping.show(other)) == (repr(one) == repr(other))
    assert repr(float(grouping.show(other))) == repr(other)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.001, "0.001"), (1e-5, "1e-05"), (1 / 3, repr(1 / 3)), (None, "null"), ([0.9, 0.99], "[0.9,0.99]"), (50, "50")],
)
def test_shown_values(value, shown):
    assert grouping.show(value) == shown


@pytest.mark.parametrize(
    ("words", "keys", "labels"),
    [
        (["seed=1"], [], {""}),
        (["seed=1,2", "optim=nag", "optim.lr=0.1,0.2"], [], {""}),
        (["optim=sgd,nag"], ["optim"], {"optim=sgd", "optim=nag"}),
        (["optim=hf,adam"], ["optim"], {"optim=hf", "optim=adam"}),
        (["optim=hf,adam", "budget.updates=7"], ["optim"], {"optim=hf", "optim=adam"}),
        (["optim=nag", "budget.updates=300,600"], ["budget.updates"], {"budget.updates=300", "budget.updates=600"}),
        (
            ["optim=nag", "record.evaluate_every=3,5"],
            ["record.evaluate_every"],
            {"record.evaluate_every=3", "record.evaluate_every=5"},
        ),
        (["task=adding,temporal_order"], ["task"], {"task=adding", "task=temporal_order"}),
        (["init=sparse,orthogonal"], ["init"], {"init=sparse", "init=orthogonal"}),
        (
            ["task.sequence_length=50,100"],
            ["task.sequence_length"],
            {"task.sequence_length=50", "task.sequence_length=100"},
        ),
        (
            ["model=rnn,gru", "model.hidden_size=8,9"],
            ["model", "model.hidden_size"],
            {
                "model=rnn,model.hidden_size=8",
                "model=rnn,model.hidden_size=9",
                "model=gru,model.hidden_size=8",
                "model=gru,model.hidden_size=9",
            },
        ),
        (
            ["optim=hf,nag", "budget.updates=7,8"],
            ["optim", "budget.updates"],
            {
                "optim=hf,budget.updates=7",
                "optim=hf,budget.updates=8",
                "optim=nag,budget.updates=7",
                "optim=nag,budget.updates=8",
            },
        ),
        (
            ["probe=none,default"],
            ["probe"],
            {"probe=none", "probe=gradient_norm+state_gradient+state_jacobian+recurrent_weight"},
        ),
        (
            ["probe.gradient_norm.every=1,0"],
            ["probe.gradient_norm.every"],
            {"probe.gradient_norm.every=1", "probe.gradient_norm.every=0"},
        ),
    ],
)
def test_differences_are_what_a_person_swept(words, keys, labels):
    configs = compose_jobs(*words)
    tables = [shared_values(configs[jobs[0]]) for jobs in grouping.group_jobs(configs)]
    assert grouping.differences(tables) == keys
    assert {grouping.label(table, keys) for table in tables} == labels
    assert len(tables) == len(labels)


def test_a_key_that_only_one_choice_has_is_left_out_of_the_labels_of_the_others():
    tables = [
        shared_values(config)
        for words in (["optim=hf"], ["optim=nag", "optim.batch_size=3,4"])
        for config in compose_jobs(*words)
    ]
    keys = grouping.differences(tables)
    assert [grouping.label(table, keys) for table in tables] == [
        "optim=hf",
        "optim=nag,optim.batch_size=3",
        "optim=nag,optim.batch_size=4",
    ]


@given(st.lists(st.integers(0, 127), min_size=1, max_size=20))
def test_labels_tell_groups_apart(numbers):
    configs = [pool()[number][1] for number in numbers]
    tables = [shared_values(configs[jobs[0]]) for jobs in grouping.group_jobs(configs)]
    labels = [grouping.label(table, grouping.differences(tables)) for table in tables]
    assert len(set(labels)) == len(labels)
