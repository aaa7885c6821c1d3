"""Training by a function: what the command does, in a process that belongs to the caller."""

import os
import signal
import threading

import pytest
import torch
from api_runs import SGD, same

import rnnbench
from rnnbench import cli
from rnnbench.api.process import guest, guest_of_torch
from rnnbench.records.writer import Records
from rnnbench.run.callbacks import RunCallbacks
from rnnbench.sweeps import hydra_jobs

HYDRAS = "hydra.verbose=[nothing]"  # then Hydra composes and runs the job itself


def signal_at(update, number, monkeypatch):
    """Send a signal to this process after an update."""
    on_update = RunCallbacks.on_update

    def sending(self, training, made):
        on_update(self, training, made)
        if training.update == update:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(RunCallbacks, "on_update", sending)


@pytest.fixture
def command(here):
    """A run of the command."""
    with guest(), guest_of_torch():
        assert cli.main(["train", *SGD, "hydra.run.dir=command"]) == 0


def test_a_function_trains_what_the_command_trains_and_leaves_the_process_as_it_was(command, here, unusual, capsys):
    capsys.readouterr()
    run = rnnbench.train(*SGD, "hydra.run.dir=function")
    same(run, rnnbench.load("command"))
    assert (run.status, run.exit_status, run.folder) == ("budget", 0, here / "function")
    names = [{name.partition(".tfevents")[0] for name in os.listdir(folder)} for folder in ("function", "command")]
    assert names[0] == names[1]
    shown = capsys.readouterr()
    assert shown.out == ""  # which belongs to the caller
    assert "update 6/6" in shown.err
    unusual()


@pytest.mark.parametrize("more", [(), (HYDRAS,)], ids=["ours", "Hydra's"])
def test_after_an_error_and_in_a_thread(here, unusual, capsys, more):
    with pytest.raises(rnnbench.ConfigError, match=r"optim.lr must be >= 0, got -1"):
        rnnbench.train(*SGD, *more, "optim.lr=-1")
    with pytest.raises(rnnbench.ConfigError, match=r"too large|needs about"):
        rnnbench.train(*SGD, *more, "task.sequence_length=1000000000", quiet=True)
    unusual()
    assert os.listdir() == ["mine.log"]
    runs = []
    thread = threading.Thread(target=lambda: runs.append(rnnbench.train(*SGD, *more, "hydra.run.dir=run", quiet=True)))
    thread.start()
    thread.join()
    unusual()
    same(runs[0], rnnbench.train(*SGD, *more, "hydra.run.dir=again", quiet=True))
    assert capsys.readouterr() == ("", "")


def test_one_training_at_a_time(here, monkeypatch):
    errors = []

    def train_another(self, training, update):
        with pytest.raises(rnnbench.ConfigError, match="this process trains already") as refused:
            rnnbench.train(*SGD)
        errors.append(refused)

    monkeypatch.setattr(RunCallbacks, "on_update", train_another)
    assert rnnbench.train(*SGD, quiet=True).status == "budget"
    assert len(errors) == 7


@pytest.mark.parametrize("train", [rnnbench.train, rnnbench.sweep])
@pytest.mark.parametrize(
    ("name", "value"),
    [("config_dir", 3), ("config_dir", ""), ("config_name", 3), ("config_name", ""), ("quiet", "yes")],
)
def test_an_argument_of_another_type_is_named(here, train, name, value):
    with pytest.raises(rnnbench.ConfigError, match=f"^{name}"):
        train(**{name: value})


@pytest.mark.parametrize("words", [["-q"], ["seed=0,1"], [1], [["seed=1"]], ["optim=nope"], ["hydra.mode=MULTIRUN"]])
def test_bad_input_is_an_error_of_one_line(here, words):
    with pytest.raises(rnnbench.ConfigError) as refused:
        rnnbench.train(*words)
    assert "\n" not in str(refused.value)
    assert os.listdir() == []


def test_a_failure_is_visible(here, monkeypatch):
    def fill_up(self, update, values, replicas=None):
        raise rnnbench.RecordError("cannot write metrics.csv: No space left on device")

    monkeypatch.setattr(Records, "log", fill_up)
    run = rnnbench.train(*SGD, quiet=True)
    assert (run.status, run.exit_status) == ("failed", 1)
    assert "No space left" in run.summary.message


def test_an_interrupted_run_goes_on_bit_for_bit(here, monkeypatch):
    whole = rnnbench.train(*SGD, "hydra.run.dir=whole", quiet=True)
    with monkeypatch.context() as patch:
        signal_at(3, signal.SIGINT, patch)
        with pytest.raises(KeyboardInterrupt, match=r"rnnbench.resume\('.*/run'\) continues"):
            rnnbench.train(*SGD, "hydra.run.dir=run", quiet=True)
    stopped = rnnbench.load("run")
    assert (stopped.status, stopped.summary.updates) == ("interrupted", 3)
    same(rnnbench.resume(stopped, quiet=True), whole)


def test_another_signal_reaches_the_caller_when_all_is_saved(here, monkeypatch):
    received = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(rnnbench.load("run").status))
    try:
        signal_at(3, signal.SIGTERM, monkeypatch)
        run = rnnbench.train(*SGD, "hydra.run.dir=run", quiet=True)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (run.status, received) == ("interrupted", ["interrupted"])


@pytest.mark.parametrize("launcher", ["batched", "basic"])
def test_a_sweep(here, unusual, capsys, launcher):
    sweep = rnnbench.sweep(*SGD, "seed=1,2", f"hydra/launcher={launcher}", "hydra.sweep.dir=sweep", quiet=True)
    assert (sweep.folder, sweep.exit_status) == (here / "sweep", 0)
    assert [run.config.seed for run in sweep.runs] == [1, 2]
    assert sweep.counts == {"budget": 2}
    assert capsys.readouterr() == ("", "")
    unusual()


@pytest.mark.parametrize("words", [(HYDRAS,), ("hydra/launcher=basic", "seed=1,2")], ids=["run", "sweep"])
def test_a_job_that_hydra_launches_and_that_is_bad_input_ends_no_process(here, unusual, monkeypatch, words):
    def refuse(configs):
        raise rnnbench.ConfigError("it does not fit")

    monkeypatch.setattr(hydra_jobs, "set_up", refuse)
    with pytest.raises(rnnbench.ConfigError, match=r"^it does not fit$"):
        (rnnbench.sweep if len(words) > 1 else rnnbench.train)(*SGD, *words)
    unusual()


def test_weights_of_a_sweep_that_was_interrupted_and_goes_on(here, monkeypatch):
    whole = rnnbench.sweep(*SGD, "seed=1,2", "hydra.sweep.dir=whole", quiet=True)
    with monkeypatch.context() as patch:
        signal_at(3, signal.SIGINT, patch)
        with pytest.raises(KeyboardInterrupt, match="continues"):
            rnnbench.sweep(*SGD, "seed=1,2", "hydra.sweep.dir=sweep", quiet=True)
    stopped = rnnbench.load("sweep")
    assert stopped.counts == {"interrupted": 2}
    assert not (stopped.runs[1].folder / "checkpoint.pt").exists()
    at_three = rnnbench.train(*SGD, "seed=2", "budget.updates=3", quiet=True)  # the replica law
    torch.testing.assert_close(stopped.runs[1].theta, at_three.theta)
    assert stopped.runs[1].weights.keys() == at_three.weights.keys()
    for one, other in zip(rnnbench.resume(stopped, quiet=True).runs, whole.runs, strict=True):
        same(one, other)


def test_a_tuning_by_a_function(here):
    tuning = rnnbench.tune(*SGD, "hydra.sweep.dir=tuned", trials=2, quiet=True)
    assert (len(tuning.search.runs), len(tuning.confirmation.runs), tuning.exit_status) == (6, 16, 0)
    assert tuning.best.keys() == {"optim.lr", "optim.momentum", "optim.clip_norm"}
    assert {run.config.optim.momentum for run in tuning.confirmation.runs} == {tuning.best["optim.momentum"]}
    again = rnnbench.resume(rnnbench.load("tuned"), quiet=True)
    assert (again.best, str(again), repr(again)) == (tuning.best, str(tuning), repr(tuning))
    with pytest.raises(rnnbench.ConfigError, match="trials must be a whole number >= 2"):
        rnnbench.tune(*SGD, trials=1)
