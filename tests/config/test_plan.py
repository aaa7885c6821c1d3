import os
import re
from pathlib import Path

import pytest

from rnnbench.config.errors import ConfigError
from rnnbench.config.hints import hints
from rnnbench.config.overrides import quoted
from rnnbench.config.plan import make_plan
from rnnbench.config.request import parse_request

ZIP = "hydra.sweeper.zip"


@pytest.fixture(autouse=True)
def current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(*words):
    return make_plan(parse_request(words))


def test_one_run():
    made = plan("seed=3")
    assert not made.sweep
    assert made.folder.parts[0] == "runs"
    assert made.folder.name.endswith("_adding_hf")
    assert [config.seed for config in made.configs] == [3]
    assert os.listdir() == []


def test_a_sweep_in_hydras_order():
    made = plan("-m", "seed=1,2", "optim=sgd,nag", "task.sequence_length=60")
    assert [(config.seed, config.optim.name) for config in made.configs] == [
        (1, "sgd"),
        (1, "nag"),
        (2, "sgd"),
        (2, "nag"),
    ]
    assert {config.task.sequence_length for config in made.configs} == {60}


@pytest.mark.parametrize("sweeper", ["zip: [task, optim.lr]", "zip: [[task, optim.lr], [seed, model.hidden_size]]"])
def test_zipped_values_are_taken_together(sweeper, current_folder):
    params = "{task: 'adding,xor', optim.lr: '0.1,0.2', seed: '1,2', model.hidden_size: '5,6'}"
    text = f"# @package _global_\ndefaults: [override /optim: nag]\nhydra: {{sweeper: {{params: {params}, {sweeper}}}}}"
    (current_folder / "my/experiment").mkdir(parents=True)
    (current_folder / "my/experiment/table.yaml").write_text(text)
    configs = plan("-m", "experiment=table", "--config-dir", "my").configs
    settings = [(config.task.name, config.optim.lr, config.seed, config.model.hidden_size) for config in configs]
    rows = [("adding", 0.1), ("xor", 0.2)]
    pairs = [(1, 5), (2, 6)] if "[[" in sweeper else [(1, 5), (1, 6), (2, 5), (2, 6)]
    assert settings == [(*row, *pair) for row in rows for pair in pairs]


def test_ranges_and_globs():
    assert [config.seed for config in plan("-m", "seed=range(0,4)").configs] == [0, 1, 2, 3]
    names = [config.task.name for config in plan("-m", "task=glob(temporal*)").configs]
    assert names == ["temporal_order", "temporal_order_3"]


def test_a_key_without_a_default_may_be_swept():
    swept = plan("-m", "optim=sgd", "schedule=step", "schedule.step_size=10,20")
    assert [job.config.schedule.step_size for job in swept.jobs] == [10, 20]
    assert [str(line.input_line) for line in swept.main.overrides] == [
        "optim=sgd",
        "schedule=step",
        "schedule.step_size=10,20",
    ]
    with pytest.raises(ConfigError, match=r"^schedule\.step_size: a value is needed$"):
        plan("-m", "optim=sgd", "schedule=step", "seed=1,2")


def test_keys_of_a_swept_choice():
    made = plan("-m", "optim=sgd,nag", "optim.lr=0.5", "seed=1")
    assert [config.optim.lr for config in made.configs] == [0.5, 0.5]
    assert made.request.overrides == ("optim=sgd,nag", "optim.lr=choice(0.5)", "seed=1")


@pytest.mark.parametrize("word", ["hydra.sweep.dir=x", f"{ZIP}=[seed,optim.lr]", "hydra.launcher.processes=2"])
def test_a_key_of_sweeps_is_refused_for_a_single_run(word):
    with pytest.raises(ConfigError, match=rf"^{word.partition('=')[0]} is for sweeps, which need -m"):
        plan("optim=nag", word)


def test_a_key_of_another_choice_suggests_no_key():
    message = "schedule=cosine has no key schedule.step_size; it belongs to schedule=step"
    with pytest.raises(ConfigError, match=f"{re.escape(message)}$"):
        plan("optim=nag", "schedule=cosine", "schedule.step_size=3")


def test_the_penalty_on_vanishing_gradients_needs_the_simple_net():
    with pytest.raises(ConfigError, match=r"optim\.information_flow is defined for model=rnn only; with model=lstm"):
        plan("optim=nag", "optim.information_flow=1", "model=lstm", "init=gaussian")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["init=sigmoid"], "init=sigmoid was made for model.nonlinearity=sigmoid; this net has tanh"),
        (["init=sigmoid", "model.nonlinearity=sigmoid"], None),
        (["schedule=cosine", "schedule.length=5"], "schedule.length=5 is shorter than the budget of 40 updates"),
        (["schedule=cosine", "schedule.length=5", "schedule.final=0.1"], None),
        (["schedule=cosine"], None),
    ],
)
def test_hints_on_values_that_were_hardly_meant(words, expected):
    found = list(hints(plan("optim=nag", "budget.updates=40", *words).main.config))
    assert [line[: len(expected or "")] for line in found] == ([] if expected is None else [expected])


def test_the_mode_key_stands_for_the_option():
    assert plan("hydra.mode=MULTIRUN", "seed=1,2").sweep


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seed=1,-2"], r"job 1 \(seed=-2\): seed must be >= 0"),
        (["optim=sgd,hf", "optim.lr=1"], r"job 1 .*optim=hf has no key optim.lr"),
        (["task.num_positions=3"], r"it belongs to task=copy_memory or latch or memorization_20 \(and 2 more\)"),
        (["seed=interval(0,1)"], "seed=interval"),
        (["task=glob(z*)"], "the sweep has no values"),
        (["seed=range(0,10001)"], "more than 10000 jobs"),
        (["hydra.job.name=a,b"], "hydra.job.name"),
        (["seed=1,2", "hydra.sweep.subdir=x"], "jobs 0 and 1 would share"),
        (["seed=1,2", "model.hidden_size=5,6,7", f"{ZIP}=[seed,model.hidden_size]"], "seed has 2, model.hidden_size"),
        (["seed=1,2", f"{ZIP}=[seed,optim.lr]"], "optim.lr has no values to zip"),
        (["seed=1,2", f"{ZIP}=[[seed,seed]]"], "seed twice"),
        (["seed=1,2", f"{ZIP}=[seed]"], "two or more keys"),
        (["seed=1,2", f"{ZIP}=seed"], "^hydra.sweeper.zip must be a list of two or more keys"),
        (["seed=1,2", "hydra.run.dir=x"], "^hydra.run.dir is the folder of a single run; that of a sweep is"),
        (["seed=1,2", "optim=nag", "optim.lr=-1"], r"^job 0 \(seed=1\): optim\.lr must be"),
        (["seed=1,2", f"{ZIP}=[[seed,task],seed]"], "two or more keys"),
    ],
)
def test_sweeps_that_are_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        plan("-m", *words)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["optim=nag", "seed=0,1"], "adding_nag"),
        (["optim=sgd,adam", "seed=0,1"], "adding_sgd-adam"),
        (["optim=sgd", "task=xor,adding"], "xor-adding_sgd"),
        (["optim=sgd,nag,adam,muon"], "adding_4_optims"),
        (["name=mine", "optim=sgd,adam"], "mine"),
        (["name=${model.name}", "model=lstm,gru"], "lstm-gru"),
        (["hydra.sweeper.params={optim: 'sgd,adam'}"], "adding_sgd-adam"),
        (["hydra/sweeper=optuna", "optim=choice(sgd,adam)"], "adding_sgd-adam"),
    ],
)
def test_the_folder_of_a_sweep_is_named_after_its_choices(words, name):
    assert plan("-m", *words).folder.name.partition("_")[2] == name


def test_an_experiment_may_choose_too(current_folder):
    for optim in ("sgd", "nag"):
        file = current_folder / f"my/experiment/with_{optim}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# @package _global_\ndefaults: [override /optim: {optim}]\n")
    made = plan("-m", "--config-dir=my", "experiment=with_sgd,with_nag")
    assert made.folder.name.endswith("_adding_sgd-nag")


@pytest.mark.parametrize("sweeper", ["planned", "basic"])
def test_sweepers_whose_jobs_are_known_beforehand(current_folder, sweeper):
    (current_folder / "my/experiment").mkdir(parents=True)
    text = "# @package _global_\nhydra: {sweeper: {params: {seed: '5,6'}}}\n"
    (current_folder / "my/experiment/seeds.yaml").write_text(text)
    made = plan("-m", "dtype=float64", f"hydra/sweeper={sweeper}", "experiment=seeds", "--config-dir", "my")
    assert [(config.seed, config.dtype) for config in made.configs] == [(5, "float64"), (6, "float64")]


def test_the_sweepers_values_on_the_command_line():
    assert [config.seed for config in plan("-m", "hydra.sweeper.params.seed='5,6'").configs] == [5, 6]


def test_progress_is_reported_now_and_then(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr("time.monotonic", lambda: next(clock) * 0.2)  # a fifth of a second a job
    reports = []
    request = parse_request(["-m", "seed=range(0,10)"])
    make_plan(request, lambda done, total: reports.append((done, total)))
    assert reports == [(2, 10), (5, 10), (8, 10)]


def test_a_value_is_written_in_a_folders_name_as_hydras_sweeper_has_it(current_folder):
    (current_folder / "s/optim.lr=0.01,optim=nag,seed=2").mkdir(parents=True)
    (current_folder / "s/optim.lr=0.01,optim=nag,seed=2/summary.json").touch()
    where = ["hydra.sweep.dir=s", "hydra.sweep.subdir=${hydra.job.override_dirname}"]
    with pytest.raises(ConfigError, match=r"s holds runs already, such as s/.*seed=2: choose another"):
        plan("-m", "optim=nag", "seed=1,2", "optim.lr=1e-2", *where)


def test_folders_named_by_a_key_of_the_run():
    where = ["hydra.sweep.dir=s", "hydra.sweep.subdir=${task.name}/${hydra:job.num}/${seed}"]
    assert len(plan("-m", "seed=1,2", "optim=sgd,nag", *where).configs) == 4
    with pytest.raises(ConfigError, match="jobs 0 and 1 would share the folder s/adding/1"):
        plan("-m", "seed=1", "optim=sgd,nag", "hydra.sweep.dir=s", "hydra.sweep.subdir=${task.name}/${seed}")


SAME_EXPERIMENTS = {name: f"# @package _global_\nname: {name}\nseed: 4\n" for name in ("a", "b")}


@pytest.mark.parametrize(
    ("words", "jobs"),
    [
        (["seed=0,1,0"], r"2 \(seed=0\) is the same run as job 0 \(seed=0\)"),
        (["optim=sgd", "optim.lr=1e-3,0.001"], "optim.lr=0.001"),
        (["optim=sgd", "optim.lr='1.0',1"], r"1 \(optim.lr=1\) is the same run as job 0 \(optim.lr='1.0'\)"),
        (["optim=sgd", "optim.clip_norm=1.0,1"], "optim.clip_norm=1"),
        (["name=a,b"], r"1 \(name=b\) is the same run as job 0 \(name=a\)"),
        (["objective=loss,error_rate"], "objective=error_rate"),
        (["experiment=a,b"], r"1 \(experiment=b\) is the same run as job 0 \(experiment=a\)"),
        (["hydra.sweeper.params.seed='5,5'"], r"1 \(seed=5\)"),
        (["hydra/launcher=basic", "seed=0,0"], "1 "),
        (["hydra/sweeper=basic", "seed=0,0"], "1 "),
    ],
)
def test_no_run_counts_twice(current_folder, words, jobs):
    (current_folder / "my/experiment").mkdir(parents=True)
    for name, text in SAME_EXPERIMENTS.items():
        (current_folder / f"my/experiment/{name}.yaml").write_text(text)
    with pytest.raises(ConfigError, match=f"^job .*{jobs}.*remove one of them") as caught:
        plan("-m", "--config-dir", "my", *words)
    assert "\n" not in str(caught.value)


def test_folders_of_jobs(current_folder):
    (current_folder / "s/seed=2").mkdir(parents=True)
    (current_folder / "s/seed=2/summary.json").write_text("{}")
    where = ["hydra.sweep.dir=s", "hydra.sweep.subdir=${hydra.job.override_dirname}"]
    with pytest.raises(ConfigError, match="s holds runs already, such as s/seed=2: choose another"):
        plan("-m", "seed=1,2", *where)
    assert len(plan("-m", "seed=1,3", *where).configs) == 2
    assert len(plan("-m", "seed=1,2", "hydra.sweep.dir=s", "hydra.sweep.subdir=${hydra:job.num}").configs) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["hydra.run.dir=old/x"], "old/x lies inside the run .*/old: choose another hydra.run.dir"),
        (["hydra.run.dir='old/${now:%Y}'"], "lies inside the run .*/old: choose another hydra.run.dir"),
        (["hydra.run.dir=."], "contains the run old: choose another hydra.run.dir"),
        (["-m", "hydra.sweep.dir=old"], "old holds a run already"),
        (["-m", "hydra.sweep.dir=old/x"], "lies inside the run .*/old: choose another hydra.sweep.dir"),
        (["-m", "hydra.sweep.dir=."], "contains the run old"),
        (["-m", "hydra.sweep.dir=s", "hydra.sweep.subdir=../${seed}"], r"hydra.sweep.subdir must name .*'\.\./0'"),
        (["hydra.run.dir="], "hydra.run.dir must name a folder, got ''"),
        (["-m", "hydra.sweep.dir=''"], "hydra.sweep.dir must name a folder, got ''"),
    ],
)
def test_folders_that_are_refused(current_folder, words, message):
    (current_folder / "old").mkdir()
    (current_folder / "old/summary.json").write_text('{"status": "budget"}')
    with pytest.raises(ConfigError, match=message) as caught:
        plan(*words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["summary.json", "checkpoint.pt", "metrics.csv"])
def test_a_folder_that_holds_a_run(current_folder, name):
    (current_folder / "old").mkdir()
    plan("hydra.run.dir=old")  # an empty one is fine
    (current_folder / "old" / name).touch()
    with pytest.raises(ConfigError, match="rnnbench resume old"):
        plan("hydra.run.dir=old")
    assert plan("hydra.run.dir=old", "--cfg", "job").folder == Path("old")


def test_the_folder_is_named_to_hydra():
    run, sweep = plan("seed=1"), plan("-m", "seed=1")
    assert run.request_in(Path("a b")).overrides == ("seed=1", f"hydra.run.dir={quoted('a b')}")
    assert sweep.request_in(Path("runs/s")).overrides[-1] == "hydra.sweep.dir='runs/s'"


@pytest.mark.parametrize(
    ("words", "record"),
    [
        (["hydra.run.dir=x"], "x/summary.json"),
        (["-m", "seed=1,2", "hydra.sweep.dir=x"], "x/sweep.json"),
        (["-m", "seed=1,2", "hydra.sweep.dir=x", "hydra/launcher=basic"], "x/1/summary.json"),
    ],
)
def test_of_two_commands_at_the_same_moment_one_gets_the_folder(current_folder, words, record):
    first, second, third = plan(*words), plan(*words), plan(*words)  # all have seen that it is free
    with first.locked_folder():
        with pytest.raises(ConfigError, match=r"x is locked by process \d+ on"), second.locked_folder():
            pytest.fail("it is held")
        Path(record).parent.mkdir(exist_ok=True)
        Path(record).write_text("{}")
    before = sorted(current_folder.rglob("*"))
    with pytest.raises(ConfigError, match=r"holds (a run|a sweep|runs) already"), third.locked_folder():
        pytest.fail("it holds what the first command has left")
    assert sorted(current_folder.rglob("*")) == before


@pytest.mark.parametrize("text", ["plain", "it's", "a b", "a,b=c{d}[e]", "$x", "a\\", "\\'", "é"])
def test_quoted_texts_are_read_back(text):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    assert OverridesParser.create().parse_override(f"key={quoted(text)}").value() == text
