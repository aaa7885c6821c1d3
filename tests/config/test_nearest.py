import re
import string

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rnnbench.cli import COMMANDS
from rnnbench.config import schema, usual_words
from rnnbench.config.compose import GROUPS, Composer
from rnnbench.config.declaration import DECLARED
from rnnbench.config.explain import FOLDER_KEYS, keys_of, unknown_key
from rnnbench.config.listing import Choices
from rnnbench.config.nearest import nearest_choices, nearest_keys, not_a_choice, one_edit_apart
from rnnbench.config.request import Request
from rnnbench.config.validate import fields_of
from rnnbench.paths import conf_dir

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
    assert re.search(r"optim=adam or muon or nag \(and \d+ more\)", str(unknown_key("optim.lr", trees["hf"])))
    message = str(unknown_key("optim.momentumm", trees["hf"]))
    assert re.search(r"optim\.momentum of optim=muon or nag or \w+ \(and \d+ more\)", message)


def test_the_keys_of_a_part_are_named_where_they_are_few(trees):
    keys = "name, sequence_length, variant, first_length, input_weight_scale, centered"
    assert str(unknown_key("task.zzz", trees["hf"])).endswith(f"task has {keys}")
    assert str(unknown_key("optim.zzz", trees["hf"], GROUPS)).endswith("; rnnbench list optim hf shows its keys")
    assert str(unknown_key("probe.zzz", trees["hf"], GROUPS)).endswith("; rnnbench list probe shows its keys")


USUAL = {
    "epochs": "budget.updates",
    "steps": "budget.updates",
    "max_steps": "budget.updates",
    "iterations": "budget.updates",
    "num_updates": "budget.updates",
    "numUpdates": "budget.updates",
    "train.epochs": "budget.updates",
    "T": "task.sequence_length",
    "task.T": "task.sequence_length",
    "seq_len": "task.sequence_length",
    "length": "task.sequence_length",
    "hidden": "model.hidden_size",
    "hidden_dim": "model.hidden_size",
    "hidden-size": "model.hidden_size",
    "units": "model.hidden_size",
    "n_layers": "model.num_layers",
    "activation": "model.nonlinearity",
    "optimizer": "optim",
    "learning_rate": "optim.lr",
    "optim.learning_rate": "optim.lr",
    "clip": "optim.clip_norm",
    "grad_clip": "optim.clip_norm",
    "wd": "optim.weight_decay",
    "dropout": "optim.weight_decay",
    "seeds": "seed",
    "gpu": "device",
    "cuda": "device",
    "num_workers": "threads",
    "eval_interval": "record.evaluate_every",
    "out": "hydra.run.dir",
}


@pytest.mark.parametrize("optim", OPTIMIZERS)
@pytest.mark.parametrize("word", USUAL)
def test_words_of_other_programs_lead_to_our_keys(trees, word, optim):
    message = str(unknown_key(word, trees[optim], GROUPS))
    assert re.search(rf"; did you mean {re.escape(USUAL[word])}\b(?!\.)", message), message


@pytest.mark.parametrize("word", ["batch", "bs", "optim.minibatch_size"])
def test_a_batch_is_that_of_the_optimizer(trees, word):
    assert str(unknown_key(word, trees["hf"])).endswith("; did you mean optim.gradient_batch_size?")
    assert str(unknown_key(word, trees["adam"])).endswith("; did you mean optim.batch_size?")


def test_a_key_of_another_choice_comes_with_its_like_here(trees):
    message = str(unknown_key("optim.batch_size", trees["hf"]))
    choices = r"optim=adam or muon or nag \(and \d+ more\)"
    assert re.search(rf"belongs to {choices}; did you mean optim\.gradient_batch_size\?$", message)


def test_hydras_keys_are_found_among_hydras():
    assert nearest_keys("hydra.run.folder", ["name", "hydra.sweep.dir", "hydra.run.dir"]) == ["hydra.run.dir"]
    assert nearest_keys("hydra.zzz", ["hydra.mode", "hydra.help.footer", "hydra.run.dir"]) == []


def test_what_does_not_exist_here_is_said(trees):
    assert "key epochs: every update draws new sequences, so there are no epochs; did" in str(
        unknown_key("epochs", trees["hf"])
    )


def test_only_keys_and_choices_that_exist_are_suggested(trees):
    parts = [fields_of(schema.Config()), *(fields_of(declared.node(), f"{group}.") for group, declared in _choices())]
    keys = {key for part in parts for key, _, _ in part}
    assert usual_words.KEYS_OF.keys() >= usual_words.REMARKS.keys()
    for word, names in usual_words.KEYS_OF.items():
        assert set(names) <= {*keys, *GROUPS, *FOLDER_KEYS}, word
        own = {key for key in keys if key.rpartition(".")[2] == word}
        assert not own or own & set(names), f"{word} is the name of another key"
    choices = {group: Choices([conf_dir()]).files(group) for group in GROUPS} | {"rnnbench": COMMANDS}
    for group, words in usual_words.CHOICES_OF.items():
        for word, names in words.items():
            assert set(names) <= set(choices[group]), f"{group}: {word}"
            assert word not in choices[group], f"{group} has the choice {word} itself"


def _choices():
    return [(group, declared) for group, schemas in DECLARED.items() for declared in schemas.values()]


@pytest.mark.parametrize(
    ("what", "given", "meant"),
    [
        ("task", "copy", "copy_memory"),
        ("task", "mnist", "digits"),
        ("model", "vanilla", "rnn"),
        ("model", "Elman", "rnn"),
        ("model", "LSTM", "lstm"),
        ("init", "glorot", "xavier"),
        ("optim", "AdamW", "adamw"),
        ("optim", "hessian_free", "hf"),
        ("optim", "nesterov", "nag"),
    ],
)
def test_words_of_other_programs_lead_to_our_choices(what, given, meant):
    assert nearest_choices(what, given, Choices([conf_dir()]).files(what)) == [meant]


def test_all_choices_are_shown():
    message = not_a_choice("optim", "hff", ["adam", "hf"])
    assert message == "optim has no choice 'hff'; did you mean hf? (choices: adam, hf)"
    assert not_a_choice("optim", "zzz", []) == "optim has no choice 'zzz' (choices: none)"
