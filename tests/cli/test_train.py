"""`rnnbench train` up to the first line of training, which a stand-in takes over."""

import errno
import importlib
import os
import signal
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from rnnbench.config.classes import check_targets as CHECK_TARGETS
from rnnbench.config.errors import ConfigError
from rnnbench.records.lock import LockedError, locked_folder
from rnnbench.run.process import ENVIRONMENT
from rnnbench.training.interrupt import ENDING

BASIC = "hydra/launcher=basic"


def test_one_run(rnnbench, runs):
    answer = rnnbench("train", "seed=3", "optim=sgd")
    assert (answer.status, answer.out) == (0, "")
    (job,) = runs.jobs
    assert (job.config.seed, job.config.optim.name) == (3, "sgd")
    assert job.folder.is_absolute()
    assert job.folder.parent.parent == Path.cwd() / "runs"
    started = "rnnbench: adding (T=50), rnn, edge_of_chaos, sgd, seed 3"
    assert answer.err == f"{started} -> {job.folder.relative_to(Path.cwd())}\n"
    assert OmegaConf.load(job.folder / ".hydra/config.yaml").seed == 3
    assert "seed=3" in (job.folder / ".hydra/overrides.yaml").read_text()
    assert (job.folder / "train.log").is_file()
    assert os.listdir() == ["runs"]


def test_quiet(rnnbench, runs):
    answer = rnnbench("train", "-q", "seed=1")
    assert (answer.status, answer.out, answer.err) == (0, "", "")
    rnnbench("train", "seed=1")
    assert runs.quiet == [True, False]


@pytest.mark.parametrize("status", [0, 1, 130, 143])
def test_status_of_the_run(status, rnnbench, runs):
    runs.statuses = [status]
    assert rnnbench("train").status == status


def test_options_and_overrides_in_any_order(rnnbench, runs):
    assert rnnbench("train", "seed=1,2", "-m", BASIC, "optim=sgd", "-q", "task.sequence_length=60").status == 0
    assert [job.config.task.sequence_length for job in runs.jobs] == [60, 60]


def test_a_sweep(rnnbench, runs):
    runs.statuses = [1, 0]
    answer = rnnbench("train", "-m", BASIC, "seed=1,2")
    assert answer.status == 1
    assert answer.out == ""
    assert [job.config.seed for job in runs.jobs] == [1, 2]
    assert [job.folder.name for job in runs.jobs] == ["0", "1"]
    assert len(runs.checked) == 2
    sweep = runs.jobs[0].folder.parent
    assert answer.err == f"rnnbench: 2 jobs -> {sweep.relative_to(Path.cwd())}\n"
    assert (sweep / "multirun.yaml").is_file()


def test_a_key_of_a_swept_choice(rnnbench, runs):
    assert rnnbench("train", "-m", BASIC, "optim=sgd,nag", "optim.lr=0.5").status == 0
    assert [(job.config.optim.name, job.config.optim.lr) for job in runs.jobs] == [("sgd", 0.5), ("nag", 0.5)]


def test_a_signal_ends_a_sweep(rnnbench, runs):
    runs.statuses = [130]
    assert rnnbench("train", "-m", BASIC, "seed=1,2").status == 130
    assert len(runs.jobs) == 1


def test_a_run_folder_of_ones_own(rnnbench, runs):
    rnnbench("train", "hydra.run.dir='my run/a=1'")
    assert runs.jobs[0].folder == Path.cwd() / "my run/a=1"


def test_a_taken_folder_gets_a_number(rnnbench, runs, monkeypatch):
    monkeypatch.setattr("time.strftime", lambda *_: "now")
    first, second = rnnbench("train"), rnnbench("train")
    assert [job.folder.name for job in runs.jobs] == ["now_adding_hf", "now_adding_hf_2"]
    assert (first.status, second.status) == (0, 0)
    assert "another run already uses" in second.err


def test_a_held_folder_is_refused(rnnbench, runs):
    Path("old").mkdir()
    Path("old/summary.json").touch()
    answer = rnnbench("train", "hydra.run.dir=old")
    assert answer.status == 2
    assert "rnnbench resume old" in answer.err
    assert os.listdir("old") == ["summary.json"]
    assert runs.jobs == []


@pytest.mark.parametrize(
    "words",
    [
        ["train", "hydra.run.dir=held"],
        ["train", "-m", "seed=1,2", "hydra.sweep.dir=held"],
        ["train", "-m", BASIC, "seed=1,2", "hydra.sweep.dir=held"],
    ],
)
def test_a_folder_that_another_command_takes_meanwhile(words, rnnbench, runs):
    Path("held").mkdir()
    with locked_folder(Path("held")):
        answer = rnnbench(*words, "-q")
    assert answer.status == 2
    assert f"held is locked by process {os.getpid()} on " in answer.err
    assert answer.err.count("\n") == 1
    assert os.listdir("held") == [".lock"]
    assert runs.jobs == []


def test_a_job_is_held_while_it_runs(rnnbench, runs, monkeypatch):
    """Also one of a sweep: `rnnbench resume` may be told to go on with it alone."""
    module = sys.modules["rnnbench.run.single_run"]

    def look(job, setup, **shown):
        with pytest.raises(LockedError), locked_folder(job.folder):
            pytest.fail("nobody holds it")
        return runs.run_job(job, setup, **shown)

    monkeypatch.setattr(module, "run_job", look)
    assert rnnbench("train", "-q").status == 0
    assert rnnbench("train", "-q", "-m", BASIC, "seed=1,2").status == 0
    assert len(runs.jobs) == 3


def test_a_machine_that_cannot(rnnbench, runs):
    runs.refusal = ConfigError("device=cuda: there is no GPU")
    answer = rnnbench("train", "device=cuda")
    assert answer.status == 2
    assert answer.err.splitlines()[1:] == ["rnnbench: device=cuda: there is no GPU"]
    assert os.listdir() == []


def test_bad_input_that_only_the_run_finds(rnnbench, runs, monkeypatch):
    def refuse(job, setup, **shown):
        raise ConfigError("too large")

    monkeypatch.setattr(sys.modules["rnnbench.run.single_run"], "run_job", refuse)
    answer = rnnbench("train", "-q")
    assert (answer.status, answer.err) == (2, "rnnbench: too large\n")


@pytest.mark.parametrize("num_before", [0, 1])
def test_a_disk_that_is_too_full_for_hydra(num_before, rnnbench, runs, monkeypatch):
    """Nothing has been done where that happens at the start; a sweep's later job has failed."""

    def refuse(config, name, folder):
        if len(runs.jobs) == num_before:
            raise OSError(errno.ENOSPC, "No space left on device", str(folder / name))

    monkeypatch.setattr("hydra.core.utils._save_config", refuse)
    answer = rnnbench("train", "-q", "-m", BASIC, "seed=1,2", "hydra.sweep.dir=s")
    assert (answer.status, len(runs.jobs)) == (1 if num_before else 2, num_before)
    assert (
        answer.err
        == f"rnnbench: cannot write {Path.cwd()}/s/{num_before}/.hydra/config.yaml: no space left on device\n"
    )
    assert "HYDRA_FULL_ERROR" not in os.environ


@pytest.mark.parametrize("words", [[], ["-m", BASIC, "seed=1,2"]], ids=["run", "sweep"])
def test_logging(words, rnnbench, runs):
    assert rnnbench("train", "-q", *words, "hydra/job_logging=disabled").status == 0
    assert len(runs.jobs) == (2 if words else 1)
    assert list(Path("runs").rglob("*.log")) == []


@pytest.mark.parametrize("words", [[], ["-m", BASIC, "seed=1,2"]], ids=["run", "sweep"])
def test_what_only_hydra_finds_is_one_line_and_leaves_nothing(words, rnnbench, runs):
    Path("runs").mkdir()
    answer = rnnbench("train", "-q", *words, "hydra.job_logging.handlers.console.class=nope.Nope")
    assert answer.status == 2
    assert answer.err == "rnnbench: Unable to configure handler 'console'\n"
    assert (os.listdir("runs"), os.listdir(), runs.jobs) == ([], ["runs"], [])


@pytest.mark.parametrize("words", [[], ["-m", BASIC, "seed=1,2"]], ids=["run", "sweep"])
def test_an_error_in_a_job_is_no_bad_input(words, rnnbench, runs, monkeypatch):
    def fail(job, setup, **shown):
        raise KeyError("a mistake in the program")

    monkeypatch.setattr(sys.modules["rnnbench.run.single_run"], "run_job", fail)
    with pytest.raises(KeyError, match="a mistake in the program"):
        rnnbench("train", "-q", *words)
    assert "HYDRA_FULL_ERROR" not in os.environ
    assert len(list(Path("runs").rglob(".hydra"))) == (2 if words else 1)


def test_environment_is_set_before_and_kept_where_given(rnnbench, runs, monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    rnnbench("train")
    assert runs.environment == {**ENVIRONMENT, "OMP_WAIT_POLICY": "active"}


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("is_imported", [True, False])
def test_a_signal_before_the_run(rnnbench, runs, monkeypatch, number, is_imported):
    def receive(configs, world):
        try:
            signal.raise_signal(number)
        except BaseException as error:
            raise error if is_imported else ImportError("initialization failed") from error  # as an extension says

    monkeypatch.setattr(sys.modules["rnnbench.sweeps.batches"], "batch_jobs", receive)
    answer = rnnbench("train", "-q")
    assert (answer.status, answer.err) == (128 + number, f"rnnbench: interrupted by {number.name}\n")


def test_the_folder_does_not_follow_chdir(rnnbench, runs, monkeypatch):
    before = Path.cwd()
    assert rnnbench("train", "hydra.job.chdir=true").status == 0
    assert runs.jobs[0].folder.parent.parent == before / "runs"


OWN_MODEL = """
from rnnbench.models.base import Model

class Mine(Model):
    weights = slice_weights = sweeps = block_bytes = None
"""


def test_own_classes_beside_own_choices(rnnbench, runs, monkeypatch):
    monkeypatch.setattr("rnnbench.commands.train.check_targets", CHECK_TARGETS)
    Path("my/model").mkdir(parents=True)
    Path("my/model/mine.yaml").write_text("# Mine.\nname: mine\n_target_: model_of_mine.Mine\n")
    words = ["train", "model=mine", "--config-dir", "my", "-q"]
    answer = rnnbench(*words)
    assert answer.status == 2
    assert "model._target_: cannot import model_of_mine.Mine" in answer.err
    assert os.listdir() == ["my"]
    Path("my/model_of_mine.py").write_text(OWN_MODEL)
    importlib.invalidate_caches()
    assert rnnbench(*words).status == 0
    assert runs.jobs[0].config.model.name == "mine"
