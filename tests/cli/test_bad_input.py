"""Bad input: exit status 2, one line that names the key and what would be right, nothing created, before any work."""

import os

import pytest

from rnnbench.config.compose import Composer

BAD = [
    # keys
    ("optim.dampin=3", "optim.dampin", "optim.damping"),
    ("sead=3", "sead", "seed"),
    ("hidden_size=3", "model.hidden_size"),
    ("optim.lr=0.1", "optim=hf", "adam or muon or nag (and 10 more)"),
    ("task.T=30", "task.T", "sequence_length"),
    ("+foo=1", "foo"),
    ("++foo=1", "foo"),
    ("+optim.foo=1", "optim.foo", "rnnbench list optim hf"),
    ("+seed=1", "seed=1", "exists"),
    ("~seed", "seed", "cannot be removed"),
    ("~optim", "optim", "adam, adamw, hf"),
    ("budget={update:3}", "budget.update", "budget.updates"),
    ("hydra.run.dri=x", "hydra.run.dri", "hydra.run.dir"),
    # choices
    ("optim=hff", "optim", "hf", "adam, adamw, hf"),
    ("task=add", "task", "adding"),
    ("optimm=hf", "optimm", "did you mean optim?"),
    ("optim=[hf,sgd]", "optim", "one choice"),
    ("optim={lr:3}", "optim.KEY=VALUE"),
    ("optim=null", "optim", "adam"),
    ("+experiment=nope", "experiment", "nope"),
    ("hydra/launcher=nope", "hydra/launcher", "basic"),
    ("schema/task=task", "schema/task"),
    # types
    ("task.sequence_length=abc", "task.sequence_length", "whole number", "'abc'"),
    ("task.sequence_length=3.5", "task.sequence_length", "whole number", "3.5"),
    ("seed=null", "seed", "whole number", "null"),
    ("stop_when_solved=maybe", "stop_when_solved", "true or false"),
    ("optim.damping=high", "optim.damping", "a number"),
    ("budget=3", "budget", "keys and values"),
    ("seed=???", "seed", "needed"),
    ("name=${nope}", "name", "nope"),
    # ranges
    ("seed=-1", "seed", ">= 0"),
    ("model.hidden_size=0", "model.hidden_size", ">= 1"),
    ("optim.damping=nan", "optim.damping", "finite"),
    ("budget.minutes=inf", "budget.minutes", "finite"),
    ("model.nonlinearity=tan", "model.nonlinearity", "tanh, relu, linear, sigmoid"),
    ("dtype=float16", "dtype", "float32, float64"),
    ("device=mps", "mps", "cpu"),
    ("device=gpu", "device", "cuda"),
    ("threads=0", "threads", "1"),
    ("name=a/b", "name", "'/'"),
    # together
    ("optim.curvature_batch_size=9000", "optim.curvature_batch_size", "optim.gradient_batch_size"),
    ("optim=sgd optim.clip_value=1", "optim.clip_norm", "optim.clip_value"),
    ("task._target_=os.system", "task._target_", "os.system"),
    # syntax and options
    ("seed=1,2", "seed", "-m"),
    ("seed=range(0,3)", "seed", "-m"),
    # two mistakes: the key or the group is reported before its values
    ("seeds=0,1", "there is no key seeds; did you mean seed?"),
    ("T=10,20", "there is no key T; did you mean task.sequence_length"),
    ("optims=hf,nag", "there is no key optims; did you mean optim?"),
    ("lr=0.1,0.01", "optim=hf has no key optim.lr; it belongs to optim=adam or muon or nag (and 10 more)"),
    ("optim.lr=0.1,0.01", "optim=hf has no key optim.lr"),
    ("optim=hf,nag optim.lr=0.1", "optim=hf,nag has several values"),
    ("hydra.run.dirs=a,b", "there is no key hydra.run.dirs; did you mean hydra.run.dir?"),
    ("hydra/launchers=basic,batched", "there is no group hydra/launchers; did you mean hydra/launcher?"),
    ("-m seeds=interval(0,1)", "there is no key seeds; did you mean seed?"),
    ("-m seeds=range(0,1e9)", "there is no key seeds; did you mean seed?"),
    ("-m hydra.sweep.dirs=a,b", "there is no key hydra.sweep.dirs; did you mean hydra.sweep.dir?"),
    ("-m hydra/launchers=basic,batched", "there is no group hydra/launchers; did you mean hydra/launcher?"),
    ("seed=range(0,", "seed=range(0,"),
    ("seed=(1", "seed=(1"),
    ("seed", "seed", "KEY=VALUE"),
    ("=3", "'=3' is not KEY=VALUE"),
    ("+=3", "'+=3' is not KEY=VALUE"),
    ("@x=3", "'@x=3' is not KEY=VALUE"),
    ("~=3", "'~=3' is not KEY=VALUE"),
    ("--nope", "--nope", "--help"),
    ("--lr 0.1", "there is no option --lr; keys are given without dashes"),
    ("--cfg jop", "--cfg", "job"),
    ("--info jop", "--info", "searchpath"),
    ("-m --cfg job", "--cfg", "--multirun"),
    ("--resolve", "--cfg"),
    ("--cfg job -p nope", "nope"),
    ("--config-dir nope", "--config-dir", "nope"),
    ("--config-name nope", "--config-name", "nope"),
    ("--cfg job optim.lr=0.1", "optim.lr", "adam"),
    ("--help --config-dir nope", "--config-dir"),
    ("hydra.searchpath=[file:///nope]", "hydra.searchpath", "/nope"),
    ("hydra.run.dir=/dev/null/x", "hydra.run.dir", "/dev/null"),
    # sweeps
    ("-m seed=1,-1", "job 1", "seed", ">= 0"),
    ("-m optim=hf,sgd optim.lr=0.1", "optim.lr", "optim=hf"),
    ("-m optim=hf,sdg", "optim", "sgd"),
]


@pytest.mark.parametrize("case", BAD, ids=lambda case: case[0])
def test_train(case, rnnbench, runs):
    words, *expected = case
    answer = rnnbench("train", "-q", *words.split())  # no progress of a sweep that a slow machine plans
    assert answer.status == 2
    assert answer.err.startswith("rnnbench: ")
    assert answer.err.count("\n") == 1
    assert all(word in answer.err for word in expected), answer.err
    assert answer.out == ""
    assert os.listdir() == []
    assert (runs.checked, runs.jobs) == ([], [])


LENGTH = "task.sequence_length must be at least 11 for variant hs97 of Adding, got 5"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "task.variant=hf12",
            "task.variant: Adding has no variant 'hf12'; it has hf11, thesis, pascanu13, urnn16, cornn21, hs97",
        ),
        ("task.variant=hs97 task.sequence_length=5", LENGTH),
        ("-m task.variant=hs97 task.sequence_length=50,5", f"job 1 (task.sequence_length=5): {LENGTH}"),
        (
            "-m task.variant=hs97 task.sequence_length=50,5 seed=0,1 hydra/launcher=basic",
            f"job 2 (task.sequence_length=5): {LENGTH}",
        ),
    ],
)
def test_what_a_task_refuses(words, message, rnnbench):
    """The objects of every job are built before anything is written, also those of a sweep's last job."""
    answer = rnnbench("train", "-q", *words.split())
    assert (answer.status, answer.out, answer.err) == (2, "", f"rnnbench: {message}\n")
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["trian"], "did you mean train?"),
        (["fit"], "did you mean train?"),
        (["zzz"], "train, tune, resume, list, report, probe, export, check, reproduce, bench"),
        (["task=adding"], "rnnbench train task=adding"),
        (["list", "optin"], "did you mean rnnbench list optim?"),
        (["list", "hf"], "did you mean rnnbench list optim hf?"),
        (["list", "latch"], "did you mean rnnbench list task latch, rnnbench list model latch?"),
        (["list", "hidden_size"], "did you mean rnnbench list model"),
        (["list", "learning_rate"], "did you mean rnnbench list optim adam?"),
        (["list", "copy"], "did you mean rnnbench list task copy_memory?"),
        (["list", "optim", "hff"], "did you mean hf?"),
        (["list", "experiment", "nope"], "experiment has no choice"),
        (["list", "--nope"], "--nope"),
        (["bench", "engin"], "the groups are engine, update"),
        (["bench", "--shape", "1,2,3"], "R,B,T,n"),
        (["bench", "--json", "nope/x.json"], "there is no folder nope"),
        (["bench", "--nope"], "rnnbench bench --help"),
        (["bench", "update", "sead=1"], "there is no key sead; did you mean seed?"),
        (["-sc", "instal=bash"], "instal=bash"),
        (["-sc"], "install=SHELL"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_other_commands(words, expected, rnnbench):
    answer = rnnbench(*words)
    assert (answer.status, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert expected in answer.err
    assert os.listdir() == []


EVERY_COMMAND = [
    "train",
    "resume x",
    "list",
    "report x",
    "probe x",
    "reproduce --list",
    "bench engine",
    "-sc query=bash",
]


@pytest.mark.parametrize("words", EVERY_COMMAND)
def test_the_current_folder_is_gone(words, rnnbench, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    answer = rnnbench(*words.split())
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("rnnbench: the current folder cannot be used (no such file or directory)")
    assert rnnbench("--version").status == 0


NO_TEXT = "x\udcff"  # how Python reads the byte 0xff in a name


@pytest.mark.parametrize(
    "words",
    [
        ["train", f"hydra.run.dir='{NO_TEXT}'"],
        ["train", "-m", f"hydra.sweep.dir='{NO_TEXT}'", "seed=1,2"],
        ["train", f"name='{NO_TEXT}'"],
        ["train", NO_TEXT],
        ["resume", NO_TEXT],
        ["probe", NO_TEXT],
        ["reproduce", "jacobian_products", "--out", NO_TEXT],
    ],
    ids=lambda words: words[0],
)
def test_names_that_are_no_text(words, rnnbench):
    """Checkpoints, YAML and TensorBoard's events cannot hold such a name, so that a run would end in an error."""
    answer = rnnbench(*words)
    assert (answer.status, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert r"x\udcff" in answer.err
    assert os.listdir() == []


def test_a_current_folder_whose_name_is_no_text(rnnbench, runs, tmp_path, monkeypatch):
    (tmp_path / NO_TEXT).mkdir()
    monkeypatch.chdir(tmp_path / NO_TEXT)
    answer = rnnbench("train")
    assert (answer.status, answer.err.count("\n"), os.listdir()) == (2, 1, [])
    assert r"x\udcff/runs" in answer.err


OBEYED = "\x1b]0;x\x07\n\r\x9b2J"


@pytest.mark.parametrize(
    "words",
    [
        [OBEYED],
        ["train", f"name={OBEYED}"],
        ["train", f"name='{OBEYED}'"],
        ["train", f"{OBEYED}=1"],
        ["train", f"optim={OBEYED}"],
        ["train", "--config-dir", OBEYED],
        ["resume", OBEYED],
        ["list", OBEYED],
        ["list", "optim", OBEYED],
        ["report", OBEYED],
        ["probe", OBEYED],
        ["reproduce", OBEYED],
        ["bench", OBEYED],
        ["-sc", OBEYED],
    ],
    ids=lambda words: words[0] if words[0] != OBEYED else "command",
)
def test_what_a_terminal_would_obey_is_told_as_escapes(words, rnnbench, runs):
    answer = rnnbench(*words)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err[:-1].isprintable(), answer.err
    assert r"\x1b" in answer.err


@pytest.mark.parametrize(
    "words",
    [
        ["train", "hydra.run.dir=loop/x"],
        ["train", "-m", "seed=0,1", "hydra.sweep.dir=loop/x"],
        ["train", "--config-dir", "loop"],
        ["list", "--config-dir", "loop"],
        ["resume", "loop"],
        ["resume", ".", "--config-dir", "loop"],
        ["probe", "loop"],
        ["probe", ".", "--config-dir", "loop"],
        ["report", "loop"],
    ],
    ids=" ".join,
)
def test_a_link_that_leads_in_a_circle(words, rnnbench, runs):
    os.symlink("loop", "loop")
    answer = rnnbench(*words)
    assert (answer.status, answer.out) == (2, "")
    assert "loop" in answer.err.splitlines()[-1]
    assert answer.err.splitlines()[-1].startswith("rnnbench: ")


@pytest.mark.parametrize(("choice", "extra"), [("hydra/launcher=joblib", "joblib"), ("hydra/sweeper=optuna", "optuna")])
def test_a_plugin_that_is_not_installed(choice, extra, rnnbench, runs, monkeypatch):
    monkeypatch.setattr(Composer, "choices", lambda self, group: ["basic"])
    answer = rnnbench("train", "-m", "seed=0,1", choice)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err == f"rnnbench: {choice} is a plugin: pip install 'rnnbench[{extra}]'\n"


@pytest.mark.parametrize("option", ["install=csh", "query=", "uninstall=csh"])
def test_a_shell_without_completion(option, rnnbench):
    answer = rnnbench("-sc", option)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err == f"rnnbench: -sc: there is completion for bash, fish, zsh, got {option!r}\n"


def test_the_traceback_can_be_asked_for(rnnbench, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    answer = rnnbench("train", "sead=1")
    assert answer.status == 2
    assert "Traceback" in answer.err
    assert answer.err.splitlines()[-1].startswith("rnnbench: there is no key sead")
