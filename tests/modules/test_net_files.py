"""`rnnbench export` and `init=from_file`: a net leaves as a file of plain torch, and comes back to the same bits."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rnnbench import cli
from rnnbench.config.errors import ConfigError
from rnnbench.config.plan import make_plan
from rnnbench.config.request import Request
from rnnbench.modules.from_model import module_of
from rnnbench.modules.recurrent_net import RecurrentNet
from rnnbench.probing.net import read_saved_net
from rnnbench.records.errors import RecordError
from rnnbench.run.job_folders import Job
from rnnbench.run.setup import set_up
from rnnbench.run.single_run import run_job
from rnnbench.training.checkpoint import load_checkpoint, save_checkpoint

SMALL = (
    "task.sequence_length=10",
    "model.hidden_size=6",
    "optim=sgd",
    "optim.batch_size=10",
    "threads=1",
    "probe=none",
)
PLAN = (*SMALL, "record.log_every=2", "record.evaluate_every=2", "hydra.run.dir=unused")


def train(folder, *words):
    """Run in this process, without the command's surroundings."""
    folder.mkdir(parents=True)
    (config,) = make_plan(Request(overrides=(*PLAN, *words))).configs
    assert run_job(Job(config, folder), set_up([config]), quiet=True) == 0
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A trained simple recurrent net, and the file that it was exported to."""
    top = tmp_path_factory.mktemp("made")
    train(top / "run", "budget.updates=4", "init.bias_scale=0.1")
    assert cli.main(["export", str(top / "run"), str(top / "net.pt")]) == 0
    return top


@pytest.fixture
def call(made, tmp_path, monkeypatch, capsys):
    """Call the command beside copies of the run and the file."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def call(*words):
        capsys.readouterr()
        status = cli.main(list(words))
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def theta_of(folder):
    return load_checkpoint(folder / "checkpoint.pt")["theta"]


# ---------------------------------------------------------------- rnnbench export


def test_the_printed_code_runs_without_rnnbench(call):
    status, out, err = call("export", "run", "copy.pt")
    assert (status, err) == (0, "rnnbench: adding_sgd after update 4 -> copy.pt\n")
    code = f"import sys\nsys.modules['rnnbench'] = None\n{out}"
    code += "inputs = torch.linspace(0, 1, 60).view(3, 10, 2)\nprint(net(inputs).flatten().tolist())\n"
    pasted = subprocess.run([sys.executable, "-i"], input=code, capture_output=True, text=True, check=True)
    assert "Error" not in pasted.stderr
    printed = pasted.stdout.splitlines()[-1]
    net = module_of(read_saved_net(Path("run")).model, read_saved_net(Path("run")).parameters)
    assert eval(printed) == net(torch.linspace(0, 1, 60).view(3, 10, 2)).flatten().tolist()
    saved = torch.load("copy.pt", weights_only=True)
    assert saved["code"] == out
    assert saved["source"] | {"rnnbench": None} == {
        **{"rnnbench": None, "name": "adding_sgd", "task": "adding", "model": "rnn", "seed": 0, "update": 4}
    }


@pytest.mark.parametrize("model", ["model=lstm", "model=gru", "model.nonlinearity=sigmoid", "model=latch task=latch"])
def test_the_code_loads_every_model_in_float64(model, call, tmp_path):
    words = ["optim.lr=0", "dtype=float64", "budget.updates=1", *model.split()]
    words += ["model.hidden_size=1"] if "latch" in model else []
    train(tmp_path / "other", *words)
    status, out, _ = call("export", "other", "other.pt")
    assert status == 0
    names = {}
    exec(out, names)
    expected = read_saved_net(Path("other"))
    inputs = torch.randn(2, 7, expected.model.input_size, dtype=torch.float64)
    assert torch.equal(names["net"](inputs), module_of(expected.model, expected.parameters)(inputs))
    assert names["outputs"].shape == (3, 50, expected.model.output_size)


def test_an_exported_net_is_replaced_if_asked_to_and_nothing_else(call):
    before = Path("net.pt").read_bytes()
    Path("notes.pt").write_text("mine")
    for words, message in [
        (["net.pt"], "net.pt exists; choose another name, or replace it: --overwrite"),
        (["run/checkpoint.pt", "--overwrite"], "run/checkpoint.pt is not an exported net, so it is not overwritten"),
        (["notes.pt", "--overwrite"], "notes.pt is not an exported net, so it is not overwritten"),
    ]:
        assert call("export", "run", *words) == (2, "", f"rnnbench: {message}\n")
    assert call("export", "run", "net.pt", "--overwrite")[0] == 0
    assert torch.load("net.pt", weights_only=True)["code"] != torch.load(_bytes(before), weights_only=True)["code"]


def _bytes(contents):
    Path("before.pt").write_bytes(contents)
    return "before.pt"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "rnnbench export needs the folder of a run and the file to write: rnnbench export RUN FILE"),
        (["run"], "rnnbench export needs the folder of a run and the file to write: rnnbench export RUN FILE"),
        (["nope", "a.pt"], "there is no folder nope"),
        (["empty", "a.pt"], "empty holds no run"),
        (["begun", "a.pt"], "begun has no checkpoint yet"),
        (["broken", "a.pt"], "broken/checkpoint.pt is damaged, or is not a checkpoint"),
        (["run", "nope/a.pt"], "FILE: there is no folder nope"),
        (["run", "empty"], "FILE: empty is a folder; name a file, such as empty/net.pt"),
        (["run", "a.pt", "b.pt"], "unrecognized arguments: b.pt (see rnnbench export --help)"),
        (["run", "a.pt", "--config-dir", "nope"], "there is no folder "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input(call, words, message):
    for name in ("empty", "begun", "broken"):
        Path(name).mkdir()
    shutil.copy("run/summary.json", "begun")
    Path("broken/checkpoint.pt").write_text("no checkpoint")
    status, out, err = call("export", *words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not Path("a.pt").exists()


def test_a_class_of_ones_own_is_named_and_refused(call, tmp_path):
    (tmp_path / "my/model").mkdir(parents=True)
    (tmp_path / "my/mine.py").write_text("from rnnbench.models.lstm import Lstm\nclass Mine(Lstm): pass\n")
    (tmp_path / "my/model/mine.yaml").write_text("# Mine.\nname: mine\n_target_: mine.Mine\nhidden_size: 3\n")
    train_words = ("train", "-q", *SMALL[:1], *SMALL[2:], "model=mine", "--config-dir", "my", "budget.updates=1")
    assert call(*train_words, "hydra.run.dir=own")[0] == 0
    status, _, err = call("export", "own", "a.pt")
    assert (status, err.count("\n")) == (2, 1)
    assert "own uses mine.Mine from " in err
    assert "; if you trust it: rnnbench export own a.pt --" in err
    status, _, err = call("export", "own", "a.pt", "--config-dir", "my")
    assert (status, err.count("\n")) == (2, 1)
    assert "own: Mine has no form in plain torch, so its net needs its class: use rnnbench.load(RUN).module()" in err
    assert not Path("a.pt").exists()


def test_the_previous_checkpoint_is_used_if_the_latest_cannot_be(call):
    Path("run/checkpoint.pt").write_text("damaged")
    status, _, err = call("export", "run", "a.pt")
    assert status == 0
    assert err.splitlines()[0].endswith("; the previous checkpoint is used, after update 0")


def test_a_job_of_a_sweep(call, tmp_path):
    words = ("train", "-m", "-q", *SMALL, "seed=0,1", "budget.updates=3", "hydra.sweep.dir=sweep")
    assert call(*words)[0] == 0
    assert call("export", "sweep", "a.pt")[::2] == (
        2,
        "rnnbench: sweep is a sweep: name the folder of one of its jobs, such as sweep/0\n",
    )
    assert call("export", "sweep/1", "a.pt")[0] == 0
    ended = theta_of(Path("sweep/1"))
    assert torch.equal(torch.load("a.pt", weights_only=True)["state_dict"]["rnn.weight_hh_l0"].flatten(), ended[0, :36])
    # As while the sweep is running: the jobs of a group have one checkpoint together.
    jobs = [load_checkpoint(Path(f"sweep/{job}/checkpoint.pt")) for job in range(2)]
    group = {key: value for key, value in jobs[0].items() if key not in ("status", "config", "schema", "classes")}
    group |= {"jobs": ["1", "0"], "replicas": [jobs[1]["replicas"][0], jobs[0]["replicas"][0]]}
    group |= {"theta": torch.cat([jobs[1]["theta"], jobs[0]["theta"]]), "records": [jobs[1]["records"][0]] * 2}
    group["optimizer_state"] = {
        name: torch.cat([jobs[1]["optimizer_state"][name], jobs[0]["optimizer_state"][name]])
        for name in jobs[0]["optimizer_state"]
    }
    save_checkpoint(Path("sweep/groups/0.pt"), group)
    for job in range(2):
        for name in ("checkpoint.pt", "checkpoint.previous.pt"):
            Path(f"sweep/{job}/{name}").unlink(missing_ok=True)
    for job in range(2):
        net = read_saved_net(tmp_path / f"sweep/{job}")
        assert torch.equal(net.model.flatten(net.parameters), jobs[job]["theta"][0])
        assert (net.update, net.config.seed) == (3, job)
    Path("sweep/groups/0.pt").write_text("damaged")
    Path("sweep/groups/0.previous.pt").unlink()
    with pytest.raises((ConfigError, RecordError), match=r"0\.pt"):
        read_saved_net(tmp_path / "sweep/0")


# ---------------------------------------------------------------- init=from_file


def test_a_run_starts_from_the_same_bits(call, tmp_path):
    run = train(tmp_path / "second", "init=from_file", "init.path=net.pt", "optim.lr=0", "budget.updates=1")
    assert torch.equal(theta_of(run), theta_of(Path("run")))
    net = RecurrentNet(**torch.load("net.pt", weights_only=True)["arguments"])
    net.load_state_dict(torch.load("net.pt", weights_only=True)["state_dict"])
    torch.save(net.state_dict(), "state.pt")
    run = train(tmp_path / "third", "init=from_file", "init.path=state.pt", "optim.lr=0", "budget.updates=1")
    assert torch.equal(theta_of(run), theta_of(Path("run")))


def test_all_replicas_start_from_it_and_a_resumed_run_does_not_need_it(call, tmp_path):
    start = ("init=from_file", "init.path=net.pt")
    train(tmp_path / "whole", *start, "budget.updates=6")
    sweep = ("train", "-m", "-q", *SMALL, *start, "seed=0,1", "optim.lr=0,0.01", "budget.updates=2")
    assert call(*sweep, "hydra.sweep.dir=sweep")[0] == 0
    assert torch.equal(theta_of(Path("sweep/0")), theta_of(Path("run")))
    assert not torch.equal(theta_of(Path("sweep/1")), theta_of(Path("run")))
    Path("my/optim").mkdir(parents=True)  # a class of one's own is tried before the run is resumed
    Path("my/own_sgd.py").write_text("from rnnbench.optim.sgd import Sgd\nclass OwnSgd(Sgd): pass\n")
    Path("my/optim/own.yaml").write_text("# Mine.\ndefaults: [sgd, _self_]\nname: own\n_target_: own_sgd.OwnSgd\n")
    own = [word.replace("optim=sgd", "optim=own") for word in SMALL]
    words = ("--config-dir", "my", "budget.updates=2", "hydra.run.dir=part")
    assert call("train", "-q", *own, *start, *words)[0] == 0
    os.remove("net.pt")
    assert call("resume", "-q", "part", "budget.updates=6", "--config-dir", "my")[0] == 0
    assert torch.equal(theta_of(Path("part")), theta_of(Path("whole")))
    assert call("resume", "-q", "sweep", "budget.updates=3")[0] == 0
    assert load_checkpoint(Path("sweep/1/checkpoint.pt"))["update"] == 3
    assert call("probe", "whole", "probe.state_jacobian.picture_every=0", "probe=default")[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "init.path: a value is needed"),
        (["init.path=nope.pt"], "init.path: nope.pt does not exist"),
        (["init.path=run"], "init.path: run is a folder; write the net of a run into a file first"),
        (["init.path=run/checkpoint.pt"], "init.path: run/checkpoint.pt is a checkpoint; write the net"),
        (["init.path=run/summary.json"], "init.path: run/summary.json is not a file of torch.save with a net or its"),
        (["init.path=numbers.pt"], "init.path: numbers.pt holds neither a net nor its state_dict"),
        (["init.path=bare.pt"], "init.path: bare.pt has no entry initial_state; the state_dict of"),
        (["init.path=half.pt"], "init.path: half.pt is damaged: it has no state_dict, or no arguments"),
        (["init.path=net.pt", "model=lstm"], "net.pt holds a net with cell=rnn, but the run needs cell=lstm\n"),
        (
            ["init.path=net.pt", "model.hidden_size=7", "task=xor", "task.sequence_length=20"],
            "net.pt holds a net with hidden_size=6, but the run needs hidden_size=7",
        ),
        (["init.path=net.pt", "model.nonlinearity=relu"], "nonlinearity=tanh, but the run needs nonlinearity=relu"),
        (["init.path=net.pt", "init.input_scale=1"], "init=from_file has no key init.input_scale"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_run_cannot_start_from_it(call, words, message):
    torch.save([1, 2], "numbers.pt")
    torch.save(torch.nn.Linear(2, 1).state_dict(), "bare.pt")
    torch.save({"state_dict": {}}, "half.pt")
    for more in (["hydra.run.dir=r"], ["-m", "seed=0,1", "hydra.sweep.dir=r"]):
        status, out, err = call("train", "-q", *SMALL, "init=from_file", *words, *more)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert message in err
    assert sorted(os.listdir()) == ["bare.pt", "half.pt", "net.pt", "numbers.pt", "run"]


def test_list(call):
    status, out, _ = call("list", "init", "from_file")
    assert status == 0
    assert "init.path=" in out
