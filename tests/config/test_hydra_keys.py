"""Hydra's documented ways to say what is run, from files and from the command line."""

import textwrap

import pytest

from rnnbench.config.errors import ConfigError
from rnnbench.config.hydra_keys import check_callbacks
from rnnbench.config.listing import default_choices, group_lines
from rnnbench.config.plan import make_plan
from rnnbench.config.request import parse_request

FILES = {
    "experiment/swept.yaml": "hydra: {mode: MULTIRUN, sweeper: {params: {seed: '5,6', optim: 'sgd,nag'}}}",
    "experiment/negative.yaml": "hydra: {mode: MULTIRUN, sweeper: {params: {seed: '5,-6'}}}",
    "experiment/basic.yaml": "defaults: [override /hydra/launcher: basic]\nseed: 4",
    "experiment/optuna.yaml": "defaults: [override /hydra/sweeper: optuna]\nhydra: {sweeper: {n_trials: 3}}",
    "experiment/silent.yaml": "defaults: [override /hydra/job_logging: disabled, override /optim: nag]",
    "experiment/placed.yaml": "hydra: {run: {dir: 'here/${seed}'}, sweep: {dir: there}}",
    "experiment/copied.yaml": "hydra: {job: {env_copy: [NO_SUCH_VARIABLE]}}",
    "main.yaml": "defaults: [config, _self_]\nseed: 9",
    "in/folder.yaml": "defaults: [/config, _self_]\nseed: 8",
    "searching.yaml": "defaults: [config, _self_]\nhydra: {searchpath: [other]}",
    "extra/seven.yaml": "seed: 7",
}
WITHOUT_HEADER = {
    "experiment/bare.yaml": "seed: 4\n",
    "experiment/empty.yaml": "",
    "experiment/marked.yaml": "\ufeff# @package _global_\nseed: 4\n",
    "in/bare.yaml": "defaults: [/config, _self_]\n",
    "extra/bare.yaml": "seed: 7\n",
    "alone/main.yaml": "defaults: [config, _self_]\n",
}


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """Plan what the words ask for, in a folder with configuration files of one's own."""
    monkeypatch.chdir(tmp_path)
    texts = {name: f"# @package _global_\n{text}\n" for name, text in FILES.items()} | WITHOUT_HEADER
    texts = {f"my/{name}": text for name, text in texts.items()}
    texts["other/task/mine.yaml"] = "# Mine.\ndefaults: [adding, _self_]\nsequence_length: 12\n"
    for name, text in texts.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return lambda words: make_plan(parse_request([*words.split(), *([] if "-cd" in words else ["-cd", "my"])]))


@pytest.mark.parametrize(
    ("words", "seeds"),
    [
        ("experiment=swept", [5, 5, 6, 6]),
        ("-m experiment=swept", [5, 5, 6, 6]),
        ("experiment=swept optim.lr=0.5", [5, 5, 6, 6]),
        ("experiment=swept optim=adam", [5, 6]),
        ("experiment=swept seed=1,2,3", [1, 1, 2, 2, 3, 3]),
        ("-m hydra.mode=RUN seed=1,2", [1, 2]),
    ],
)
def test_a_sweep_is_declared_by_a_file_or_by_words(plan, words, seeds):
    made = plan(words)
    assert made.sweep
    assert made.request.multirun
    assert [config.seed for config in made.configs] == seeds


@pytest.mark.parametrize("words", ["experiment=swept hydra.mode=RUN", "experiment=swept --cfg job", "hydra.mode=RUN"])
def test_a_single_run(plan, words):
    assert not plan(words).sweep


def test_an_experiment_chooses_what_starts_and_logs_runs(plan):
    assert plan("-m experiment=basic seed=1,2").launcher is None
    assert plan("-m experiment=basic seed=1,2 hydra/launcher=batched").launcher is not None
    assert [config.seed for config in plan("-m experiment=optuna seed=1,2").configs] == [0]  # it chooses them itself
    assert plan("experiment=silent").configs[0].optim.name == "nag"
    assert str(plan("experiment=placed seed=3").folder) == "here/3"
    assert str(plan("-m experiment=placed seed=3,4").folder) == "there"


@pytest.mark.parametrize(
    ("words", "seed"),
    [
        ("-cn main", 9),
        ("--config-name main.yaml experiment=silent", 9),
        ("-cn in/folder", 8),
        ("-cn searching task=mine", 0),
        ("hydra.searchpath=[other] task=mine", 0),
        ("+extra=seven", 7),
    ],
)
def test_files_are_found(plan, words, seed):
    made = plan(words)
    assert made.configs[0].seed == seed
    if "mine" in words:
        assert made.configs[0].task.sequence_length == 12


@pytest.mark.parametrize(("words", "default"), [("", {"optim": "hf"}), ("-cn main", {})])
def test_choices_are_listed_whichever_main_file(plan, words, default):
    plan("")  # the files are there
    request = parse_request([*words.split(), "-cd", "my"])
    assert default.items() <= default_choices(request).items()
    assert any("hf" in line for line in group_lines(request, ["optim"]))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("experiment=bare", "in experiment/bare.yaml: its first line must be `# @package _global_`"),
        ("experiment=empty", "in experiment/empty.yaml: its first line must be `# @package _global_`"),
        ("experiment=marked", "my/experiment/marked.yaml begins with a byte-order mark"),
        ("+extra=bare", "in extra/bare.yaml: its first line must be"),
        ("extra=seven", r"To add it: \+extra=seven"),
        ("-cn in/bare", "in/bare.yaml must be `# @package _global_`, because it lies in a subfolder"),
        ("-cn nope", "there is no nope.yaml in .* nor in .*/my"),
        ("-cp my/alone -cn main", "in main.yaml: Could not load 'config'"),
        ("-cp my/alone -cn main optim=hf", "has no choice of optim: --config-path replaces"),
        ("experiment=negative", r"job 1 \(seed=-6\): seed must be >= 0"),
        ("experiment=copied", r"hydra\.job\.env_copy: there is no environment variable NO_SUCH_VARIABLE"),
        ("hydra.job.env_copy=[NO_SUCH_VARIABLE]", "there is no environment variable NO_SUCH_VARIABLE"),
        (
            "-m experiment=basic,silent",
            r"job 0 \(experiment=basic\) sets hydra\.launcher, which must be the same for all jobs",
        ),
        ("-m experiment=placed,silent", "sets hydra.sweep.dir, which must be the same for all jobs"),
        ("-m experiment=swept,silent", "sets hydra.sweeper, which must be the same for all jobs"),
        ("experiment=null", "omit it"),
        ("+init@foo=gaussian", "write init=NAME"),
        ("hydra.searchpath=[other] hydra.searchpath=[my]", "is given twice"),
        ("hydra.searchpath=[nope] task=adding", "path=nope is not available"),
        ("hydra.job.name=a/b", "cannot contain '/', got 'a/b'"),
        ("hydra.output_subdir=../x", r"inside that of the run, or be null, got '\.\./x'"),
        ("+hydra.callbacks.x=3", "hydra.callbacks.x needs the key _target_"),
        ("+hydra.job.name=x", "the key already exists; write hydra.job.name=x"),
        ("--experimental-rerun x", "--experimental-rerun is not supported"),
    ],
)
def test_what_cannot_be_is_one_line(plan, words, message, recwarn):
    with pytest.raises(ConfigError, match=message) as caught:
        plan(words)
    assert "\n" not in str(caught.value)
    assert not recwarn.list


def test_callbacks_are_imported_and_none_waits_in_vain():
    package = "hydra.experimental"
    check_callbacks({"hydra.callbacks.x": f"{package}.callback.Callback"}, batched=True)
    check_callbacks({"hydra.callbacks.x": f"{package}.callbacks.PickleJobInfoCallback"}, batched=False)
    for target, message in {
        f"{package}.callbacks.PickleJobInfoCallback": "x: hydra/launcher=batched calls no on_job_start",
        "nope.Nope": r"x\._target_: cannot import nope\.Nope",
        "collections.OrderedDict": r"must be a subclass of hydra\.experimental\.callback\.Callback",
    }.items():
        with pytest.raises(ConfigError, match=message):
            check_callbacks({"hydra.callbacks.x": target}, batched=True)
