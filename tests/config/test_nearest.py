import string

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rnnbench.config.compose import GROUPS, Composer
from rnnbench.config.explain import keys_of, unknown_key
from rnnbench.config.nearest import nearest_keys, not_a_choice, one_edit_apart
from rnnbench.config.request import Request

OPTIMIZERS = ("hf", "sgd", "nag", "adam")


@pytest.fixture(scope="module")
def trees():
    with Composer(Request()) as composer:
        return {optim: composer.compose([f"optim={optim}"]).tree for optim in OPTIMIZERS}


@st.composite
def edits(draw, word):
    """A word with one letter left out, put in, replaced, or two neighbours swapped."""
    at = draw(st.integers(0, len(word) - 1))
    letter = draw(st.sampled_from(string.ascii_lowercase + "_"))
    return draw(
        st.sampled_from(
            [
                word[:at] + word[at + 1 :],
                word[:at] + letter + word[at:],
                word[:at] + letter + word[at + 1 :],
                word[:at] + word[at : at + 2][::-1] + word[at + 2 :],
            ]
        )
    )


@given(data=st.data())
@settings(max_examples=120)
def test_one_misspelling_suggests_the_key(trees, data):
    tree = trees[data.draw(st.sampled_from(OPTIMIZERS))]
    keys = keys_of(tree)
    key = data.draw(st.sampled_from(keys))
    misspelled = data.draw(edits(key))
    assume(misspelled not in keys)
    assert key in str(unknown_key(misspelled, tree, GROUPS)).partition("did you mean")[2]


@given(data=st.data())
@settings(max_examples=200)
def test_one_edit_is_one_edit(data):
    word = data.draw(st.text(alphabet="abc", min_size=1, max_size=6))
    edited = data.draw(edits(word))
    assert one_edit_apart(word, edited) == (word != edited)
    assert not one_edit_apart(word, f"xy{word}")


@pytest.mark.parametrize(
    ("given_key", "found"),
    [
        ("hidden_size", "model.hidden_size"),
        ("spectral_radius", "init.spectral_radius"),
        ("model.spectral_radius", "init.spectral_radius"),
        ("task.seq_length", "task.sequence_length"),
    ],
)
def test_names_are_found_in_their_group(trees, given_key, found):
    assert nearest_keys(given_key, keys_of(trees["hf"]))[0] == found


def test_a_key_of_another_choice_names_that_choice(trees):
    assert "optim=adam or nag or sgd" in str(unknown_key("optim.lr", trees["hf"]))
    assert "optim.momentum of optim=nag or sgd" in str(unknown_key("optim.momentumm", trees["hf"]))


def test_keys_of_the_group_are_shown_where_nothing_is_near(trees):
    assert str(unknown_key("task.zzz", trees["hf"])).endswith("task has name, sequence_length, variant")


def test_all_choices_are_shown():
    message = not_a_choice("optim", "hff", ["adam", "hf"])
    assert message == "optim has no choice 'hff'; did you mean hf? (choices: adam, hf)"
    assert not_a_choice("optim", "zzz", []) == "optim has no choice 'zzz' (choices: none)"
