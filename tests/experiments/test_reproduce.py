"""`rnnbench reproduce` from the words to the verdict: once in small, and everything that can be wrong before."""

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from rnnbench import cli
from rnnbench.config.errors import ConfigError
from rnnbench.config.rule import load_rule, rule_names
from rnnbench.experiments.result import read_result
from rnnbench.experiments.running import make_experiment, result_lines, run
from rnnbench.experiments.study import Study, StudyError
from rnnbench.records.errors import RecordError
from rnnbench.records.lock import LockedError

SMALL = {
    "jacobian_products": {
        "sequence_length": 20,
        "hidden_size": 5,
        "first_seed": 0,
        "end_seed": 2,
        "updates": 2,
        "num_sequences": 1,
        "num_aligning": 5,
        "lags": [2, 15],
    },
    "latch_noise": {
        "first_seed": 200,
        "end_seed": 202,
        "ten_units_end_seed": 202,
        "num_control_seeds": 2,
        "updates": 2,
        "num_settling": 10,
        "num_holding": 10,
        "num_sequences": 4,
        "noises": [0.1, 1.0],
        "gradient_length": 12,
        "lags": [2, 8],
    },
    "eigenvector_growth": {
        "sequence_length": 20,
        "hidden_size": 5,
        "first_seed": 200,
        "end_seed": 202,
        "updates": 2,
        "starts": [5],
        "num_vectors": 1,
        "num_steps": 3,
    },
    "derivatives_together": {
        "sequence_length": 6,
        "hidden_size": 2,
        "first_seed": 100,
        "end_seed": 102,
        "updates": 1,
        "num_sequences": 4,
        "first_distance": 2,
        "last_distance": 8,
        "spacing": 3,
    },
    "clipping": {
        "sequence_length": 4,
        "hidden_size": 2,
        "first_seed": 200,
        "end_seed": 201,
        "updates": 1,
        "starts": 2,
        "descent_steps": 2,
    },
    "newton_rescaling": {
        "sequence_length": 6,
        "hidden_size": 2,
        "first_seed": 200,
        "end_seed": 202,
        "updates": 1,
        "num_sequences": 4,
        "least_lag": 3,
    },
    "init_and_momentum": {
        "sequence_length": 10,
        "hidden_size": 2,
        "first_seed": 300,
        "end_seed": 301,
        "adding_sequences": 20,
        "order_sequences": 20,
    },
    "batch_or_stochastic": {"sequence_length": 10, "hidden_size": 2, "end_seed": 301, "sequences": 50},
    "bengio_1994": {
        "latch_lengths": "5,6",
        "two_sequence_lengths": "8,9",
        "parity_lengths": "2,3",
        "hidden_size": 2,
        "first_seed": 0,
        "end_seed": 2,
        "latch_updates": 1,
        "two_sequence_updates": 1,
        "parity_updates": 1,
    },
    "hochreiter_1997": {"sequence_length": 11, "hidden_size": 2, "end_seed": 101, "sequences": 20, "budget": 40},
    "le_2015": {"sequence_length": 11, "control_length": 10, "hidden_size": 2, "end_seed": 101, "sequences": 40},
    "small_batch_second_order": {"lengths": "4,5", "hidden_size": 2, "end_seed": 101, "batch_size": 2, "sequences": 20},
    "curse_of_memory": {"memories": [2, 4], "num_memories": 2, "end_seed": 7, "num_sequences": 4},
    "engelken_2023": {
        "sequence_length": 8,
        "copy_delays": "1,2",
        "xor_delays": "1,2",
        "hidden_size": 2,
        "end_seed": 201,
        "updates": 1,
        "exponents": 1,
        "flossing_updates": 1,
    },
    "chain_init": {"sequence_length": 12, "control_length": 10, "hidden_size": 2, "end_seed": 201, "updates": 1},
    "sutskever_2013": {
        "adding_length": 10,
        "multiplication_length": 10,
        "memorization_5_length": 11,
        "memorization_20_length": 21,
        "hidden_size": 2,
        "hf_batch_size": 2,
        "end_seed": 601,
        "sequences": 20,
        "memorization_sequences": 20,
        "control_sequences": 20,
    },
    "martens_sutskever_2011": {},
    "pascanu_2013": {
        "lengths": "10,11",
        "sigmoid_lengths": "10",
        "sequence_length": 11,
        "longer": [12],
        "num_sequences": 4,
        "hidden_size": 2,
        "updates": 1,
        "end_seed": 601,
    },
    "information_flow": {
        "sequence_length": 12,
        "lag": 8,
        "brief_updates": 1,
        "num_sequences": 2,
        "long_length": 11,
        "long_updates": 1,
        "hidden_size": 2,
        "brief_end_seed": 702,
        "end_seed": 618,
    },
    "optimizers_2026": {
        "hidden_size": 2,
        "sequences": 200,
        "optimizers": ["sgd", "adam"],
        "lengths": {"parity": [2, 3]},
        "rnn": ["parity"],
    },
    "lightbench": {
        "hidden_size": 2,
        "sequences": 200,
        "optimizers": ["sgd", "adam"],
        "lengths": [2, 3],
        "their_solving": [27, 8],
    },
    "optimizers_against_length": {
        "tasks": ["temporal_order"],
        "lengths": [10, 11],
        "claim_length": 11,
        "optimizers": ["nag", "sgd", "hf"],
        "hidden_size": 2,
        "sequences": 200,
        "pilot_end_seed": 1,
        "end_seed": 801,
        "searched": {"nag": "optim.lr=0.1", "sgd": "optim.lr=0.1", "hf": "optim.gradient_batch_size=64"},
    },
}

COMPARED = {
    "init_and_momentum": ("task", "init.spectral_radius"),
    "bengio_1994": ("task.sequence_length",),
    "le_2015": ("task.sequence_length",),
    "small_batch_second_order": ("task.sequence_length",),
    "engelken_2023": ("task.delay",),
    "chain_init": ("task.sequence_length",),
    "sutskever_2013": ("init.spectral_radius",),
    "pascanu_2013": ("task.sequence_length",),
    "information_flow": ("optim.information_flow",),
}
"""Further keys whose values an experiment compares, so that it needs them all."""


def narrow(word, compared):
    """The first of several values, but for those that an experiment compares."""
    key, _, values = word.partition("=")
    kept = key in ("seed", "init", "optim.clip_norm", *compared)
    return word if kept else f"{key}={values.partition(',')[0]}"


def call(capsys, *words):
    status = cli.main(["reproduce", *words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


# Composing a sweep takes a second, so that one of them has to do where the others are not asked for.
FIRST, *OTHERS = SMALL


@pytest.mark.usefixtures("trains_in_process")
@pytest.mark.parametrize("name", [FIRST, *(pytest.param(name, marks=pytest.mark.reproduction) for name in OTHERS)])
def test_a_small_experiment_from_end_to_end(name, tmp_path, monkeypatch, capsys):
    rule = load_rule(name, quick=True, changes=SMALL[name])
    compared = COMPARED.get(name, ())
    sweeps = {sweep: [narrow(word, compared) for word in words] for sweep, words in rule.sweeps.items()}
    rule = replace(rule, sweeps=sweeps)
    folder = tmp_path / "study"
    experiment = make_experiment(rule)
    study = Study(rule, folder, parts=experiment.parts)
    study.begin()
    result = run(experiment, study, f"rnnbench reproduce {name}")
    study.end()
    told = re.findall(r"^rnnbench: part (\d+) of (\d+), (\w+)", capsys.readouterr().err, re.MULTILINE)
    count = len(experiment.parts)
    assert list(dict.fromkeys(told)) == [(f"{n}", f"{count}", part) for n, part in enumerate(experiment.parts, 1)]
    assert result.verdict in ("holds", "does not hold", "not decided")
    lines = result_lines(result, folder)
    assert lines[-1].startswith(f"verdict: {result.verdict} (quick run, too small to test the claim;")
    usual = replace(result, rule=replace(rule, quick=False))
    assert result_lines(usual, folder)[-1] == f"verdict: {result.verdict}"
    assert lines[-2].startswith("decided by: ")
    ElementTree.fromstring((folder / "figure.svg").read_text())
    assert (folder / "figure.png").read_bytes().startswith(b"\x89PNG")
    contents = json.loads((folder / "result.json").read_text(), parse_constant=pytest.fail)
    assert {"verdict", "findings", "measured", "versions", "git", "command", "seconds", "rule"} <= set(contents)
    kept = read_result(folder)
    assert [one.answer for one in kept.findings] == [one.answer for one in experiment.judge(kept.measured)]

    def refuse(*_):
        raise AssertionError("it is on disk already")

    again = Study(rule, folder, quiet=True)
    again.begin()
    monkeypatch.setattr(again, "keep", lambda name, measure: Study.keep(again, name, refuse))
    assert run(make_experiment(rule), again, "").measured == result.measured


def test_a_figure_that_cannot_be_written_leaves_the_numbers(tmp_path):
    experiment = make_experiment(load_rule("martens_sutskever_2011"))
    study = Study(experiment.rule, tmp_path / "one", parts=experiment.parts)
    study.begin()
    (tmp_path / "one/figure.svg").mkdir()
    with pytest.raises(RecordError, match=r"figure\.svg"):
        run(experiment, study, "rnnbench reproduce martens_sutskever_2011")
    assert read_result(tmp_path / "one").verdict == "holds"


def test_a_damaged_rule_is_told_with_a_remedy_that_works(tmp_path):
    rule = load_rule("jacobian_products")
    Study(rule, tmp_path / "one").begin()
    (tmp_path / "one/rule.json").write_text("{bad")
    with pytest.raises(ConfigError, match=r"rule.json is damaged: .*; choose another folder by --out"):
        Study(rule, tmp_path / "one").begin()


def test_an_interrupted_sweep_says_that_the_same_command_continues(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("rnnbench.experiments.study.call_rnnbench", lambda words: 130)
    study = Study(load_rule("pascanu_2013", quick=True), tmp_path / "one")
    study.begin()
    name, *_ = study.rule.sweeps
    with pytest.raises(SystemExit) as ended:
        study.train(name)
    assert ended.value.code == 130
    command, end = capsys.readouterr().err.splitlines()[-2:]
    assert "'record.log_every=${optim.cadence.log_every}'" in command  # as a shell needs it
    assert end == f"rnnbench: interrupted in {name}; the same command of rnnbench reproduce continues there"


def test_what_was_begun_under_another_rule_is_refused(tmp_path):
    rule = load_rule("jacobian_products")
    Study(rule, tmp_path / "one").begin()
    Study(rule, tmp_path / "one").begin()
    for other in (replace(rule, quick=True), replace(rule, thresholds={})):
        with pytest.raises(Exception, match="begun with another rule"):
            Study(other, tmp_path / "one").begin()


def test_what_was_begun_under_other_words_goes_on(tmp_path):
    rule = load_rule("jacobian_products")
    Study(replace(rule, claim="the same in other words", control="too"), tmp_path / "one").begin()
    Study(rule, tmp_path / "one").begin()


def test_one_command_at_a_time_works_on_an_experiment(tmp_path):
    rule = load_rule("jacobian_products")
    with Study(rule, tmp_path / "one").locked():
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(LockedError), Study(rule, tmp_path / "one").locked():
            pytest.fail("it is held")
        assert sorted(tmp_path.rglob("*")) == before
    with Study(rule, tmp_path / "one").locked():
        pass


def test_the_running_part_is_told_of_how_many(tmp_path, monkeypatch, capsys):
    rule = replace(load_rule("jacobian_products"), sweeps={"nets": ["seed=0"], "nets_10": ["seed=1"]})
    monkeypatch.setattr("rnnbench.experiments.study.call_rnnbench", lambda words: 0)
    study = Study(rule, tmp_path / "one", parts=["cliff", "nets", "nets_10"])
    study.begin()
    study.keep("cliff", dict)
    study.keep("nets", lambda: study.train("nets") and {})
    study.keep("nets_1", dict)
    study.train("nets_10")
    study.keep("nets_10", dict)
    study.keep("nets_10", dict)  # which is on disk by now
    told = [line.removeprefix("rnnbench: ") for line in capsys.readouterr().err.splitlines()]
    assert told.pop(2).startswith("part 2 of 3, nets: rnnbench train -m ")
    assert told.pop(3).startswith("part 3 of 3, nets_10: rnnbench train -m ")
    parts = ["part 1 of 3, cliff: measuring", "part 2 of 3, nets", "part 2 of 3, nets: measuring nets_1"]
    assert told == [*parts, "part 3 of 3, nets_10: measuring"]


def test_a_part_is_measured_once(tmp_path):
    study = Study(load_rule("jacobian_products"), tmp_path / "one", quiet=True)
    study.begin()
    values = iter([{"x": 1}, {"x": 2}])
    assert study.keep("part", lambda: next(values)) == study.keep("part", lambda: next(values)) == {"x": 1}


def test_a_sweep_that_fails_is_named(tmp_path):
    rule = replace(load_rule("jacobian_products"), sweeps={"nets": ["optim.lr=-1"]})
    study = Study(rule, tmp_path / "one", quiet=True)
    study.begin()
    with pytest.raises(StudyError, match=r"sweep nets ended with status 2.*optim\.lr=-1"):
        study.train("nets")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "needs the name of one experiment"),
        (["jacobian_products", "latch"], "needs the name of one experiment, got jacobian_products latch"),
        (["jacobian_product"], "jacobian_products"),
        (["jacobian_products", "--fast"], "--fast"),
        (["le_2015", "--quick", "--full"], "takes --quick or --full, not both"),
        (["jacobian_products", "--full"], "jacobian_products has no settings of a full run"),
        (["--list", "jacobian_products"], "takes no other argument"),
        (["jacobian_products", "--out", "full"], "holds files that are not of this experiment"),
        (["jacobian_products", "--out", "full/file"], "holds files that are not of this experiment"),
    ],
)
def test_bad_input_is_one_line(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("")
    status, out, err = call(capsys, *words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "full"]


def test_a_rule_is_no_choice_of_train(capsys):
    assert cli.main(["train", "+experiment=jacobian_products"]) == 2
    assert "rnnbench reproduce jacobian_products" in capsys.readouterr().err


def test_every_experiment_is_listed(capsys):
    status, out, _ = call(capsys, "--list")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == rule_names()
    assert max(map(len, out.splitlines())) <= 140


def test_the_help_of_an_experiment_shows_its_claim(capsys):
    status, out, _ = call(capsys, "le_2015", "--help")
    assert status == 0
    assert load_rule("le_2015").claim.split(".")[0] in " ".join(out.split())
    assert "--quick" in out
