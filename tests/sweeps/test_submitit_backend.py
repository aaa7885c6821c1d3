"""Groups as tasks of submitit and jobs of Slurm, with stand-ins for the programs of Slurm."""

import signal
from types import SimpleNamespace

import pytest
from small_sweeps import NAG
from submitit.core.utils import FailedJobError, UncompletedJobError

from rnnbench.cli import main
from rnnbench.config.errors import ConfigError
from rnnbench.config.launcher_settings import LauncherSettings
from rnnbench.config.trust import NOTHING
from rnnbench.sweeps import slurm, submitit_backend
from rnnbench.sweeps.progress import outcome
from rnnbench.sweeps.slurm import OwnJob, SlurmWatch, job_states, own_job
from rnnbench.sweeps.submitit_backend import GroupTask, run_by_submitit


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Makes shell scripts that stand in for the programs of Slurm; they alone are on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(name, *lines):
        (folder / name).write_text("\n".join(["#!/bin/sh", *lines, ""]))
        (folder / name).chmod(0o755)

    return make


# ---------------------------------------------------------------- squeue


@pytest.mark.parametrize(
    ("line", "restarts_before", "expected"),  # what Slurm 22.05 printed while a job received SIGTERM
    [
        ("          COMPLETING         1                           N/A", None, OwnJob(True, False)),  # requeue
        ("          COMPLETING         2           2026-11-29T13:31:25", "1", OwnJob(True, False)),  # preemption
        ("             RUNNING         0           2026-11-29T13:31:47", None, OwnJob(False, True)),  # with grace time
        ("          COMPLETING         0                           N/A", None, OwnJob(False, False)),  # scancel
        ("          COMPLETING         1                           N/A", "1", OwnJob(False, False)),
        ("             RUNNING         1                           N/A", "1", OwnJob(False, False)),  # kill
        ("something else", None, None),
        ("", None, None),
    ],
)
def test_what_slurm_will_do_with_the_job_of_this_process(line, restarts_before, expected, program):
    program("squeue", f"echo '{line}'")
    environment = {"SLURM_JOB_ID": "7"}
    if restarts_before is not None:
        environment["SLURM_RESTART_COUNT"] = restarts_before
    assert own_job(environment) == expected


def test_no_slurm_is_no_job(program):
    assert own_job({}) is None
    assert own_job({"SLURM_JOB_ID": "7"}) is None  # there is no squeue
    assert job_states() is None
    program("squeue", "echo '1 RUNNING'", "exit 1")
    assert job_states() is None
    program("squeue", "echo '1 RUNNING'", "echo '2 PENDING'")
    assert job_states() == {"1": "RUNNING", "2": "PENDING"}


def jobs_in(folder, *numbers):
    return [
        SimpleNamespace(job_id=number, paths=SimpleNamespace(result_pickle=folder / f"{number}_0_result.pkl"))
        for number in numbers
    ]


@pytest.mark.parametrize(
    ("states", "ended"),
    [
        (["RUNNING", "COMPLETING", "PENDING", "REQUEUED"], None),
        (["CANCELLED", "RUNNING", "CANCELLED"], None),  # it was requeued in between
        (["TIMEOUT", None, "TIMEOUT"], "TIMEOUT"),  # Slurm did not answer in between
        (["NODE_FAIL", "NODE_FAIL"], "NODE_FAIL"),
        (["PREEMPTED", "PREEMPTED"], "PREEMPTED"),
        (["RUNNING", "", ""], "no longer known to Slurm"),
    ],
)
def test_a_job_without_a_result_has_ended_if_slurm_says_so_twice(states, ended, tmp_path, monkeypatch):
    answers = [
        None if state is None else dict([("8", "RUNNING"), *([("7", state)] if state else [])]) for state in states
    ]
    monkeypatch.setattr(slurm, "job_states", lambda: answers.pop(0))
    first, second = jobs_in(tmp_path, "7", "8")
    watch = SlurmWatch(tmp_path, [first, second])
    found = [watch.running(0) for _ in states]
    assert found[:-1] == [[first, second]] * (len(states) - 1)
    assert found[-1] == ([first, second] if ended is None else [second])
    assert watch.ended == ({} if ended is None else {"7": ended})


def test_a_result_is_the_end_whatever_slurm_says(tmp_path, monkeypatch):
    first, second = jobs_in(tmp_path, "7", "8")
    watch = SlurmWatch(tmp_path, [first, second])
    first.paths.result_pickle.touch()

    def late_result():
        second.paths.result_pickle.touch()
        return {"8": "COMPLETED"}

    monkeypatch.setattr(slurm, "job_states", lambda: {"8": "COMPLETED"})
    assert watch.running(0) == [second]
    monkeypatch.setattr(slurm, "job_states", late_result)
    assert watch.running(0) == []
    assert watch.ended == {}


# ---------------------------------------------------------------- the task


@pytest.fixture
def run_task(monkeypatch):
    """Runs a task whose group ends with a status after a signal; what it came to, and whether submitit was asked."""
    monkeypatch.setattr(submitit_backend, "prepare_streams", lambda: None)
    before = signal.getsignal(signal.SIGUSR2)

    def run(status, received, job, refusal=None):
        asked = []

        def run_group_or_report(*_, **__):
            if received is not None:
                signal.raise_signal(received)
            return status

        def handler(number, frame):
            asked.append(number)
            raise SystemExit(-1) if refusal is None else refusal

        monkeypatch.setattr(submitit_backend, "run_group_or_report", run_group_or_report)
        monkeypatch.setattr(submitit_backend, "own_job", lambda: job)
        signal.signal(signal.SIGUSR2, handler)  # as submitit does before it calls the task
        try:
            return GroupTask(None, 3, NOTHING)(), asked
        except SystemExit:
            return "no result", asked

    yield run
    signal.signal(signal.SIGUSR2, before)


RUNNING, REQUEUED, PREEMPTED = OwnJob(False, False), OwnJob(True, False), OwnJob(False, True)


@pytest.mark.parametrize(
    ("status", "received", "job", "expected"),
    [
        (0, None, RUNNING, (0, [])),
        (1, None, None, (1, [])),
        (0, signal.SIGUSR2, RUNNING, (0, [])),  # it had ended anyway
        (140, signal.SIGUSR2, RUNNING, ("no result", [signal.SIGUSR2])),
        (138, signal.SIGUSR1, None, ("no result", [signal.SIGUSR2])),
        (140, signal.SIGUSR2, REQUEUED, ("no result", [])),
        (143, signal.SIGTERM, REQUEUED, ("no result", [])),
        (143, signal.SIGTERM, PREEMPTED, ("no result", [signal.SIGUSR2])),
        (143, signal.SIGTERM, RUNNING, (143, [])),
        (143, signal.SIGTERM, None, (143, [])),
    ],
)
def test_a_task_leaves_a_result_unless_it_will_run_again(status, received, job, expected, run_task):
    assert run_task(status, received, job) == expected


@pytest.mark.parametrize("refusal", [UncompletedJobError("timed-out too many times"), OSError("no scontrol")])
def test_a_task_that_is_not_requeued_has_a_result(refusal, run_task, capsys):
    assert run_task(140, signal.SIGUSR2, RUNNING, refusal) == (140, [signal.SIGUSR2])
    assert f"group 3 is not requeued: {refusal}" in capsys.readouterr().err


def test_a_requeued_task_is_the_same_task():
    task = GroupTask("sweep", 3, NOTHING)
    assert task.checkpoint().function is task
    assert vars(task) == vars(GroupTask("sweep", 3, NOTHING))


# ---------------------------------------------------------------- submission


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["submitit_local", "timeout_min=soon"], 'hydra.launcher.submitit: Parameter "timeout_min" expected type'),
        (["submitit_local", "slurm_nonsense=1"], "hydra.launcher.submitit: Unknown argument 'nonsense'"),
        (["submitit_local", "local_max_num_timeout=-1"], "max_num_timeout must be a whole number >= 0, got -1"),
        (["submitit_slurm", "timeout_min=5"], "hydra.launcher.backend=submitit_slurm: Invalid partition name"),
    ],
)
def test_what_submitit_or_slurm_refuses_is_one_line_and_leaves_nothing(words, message, program, tmp_path, capsys):
    program("srun")
    program(
        "sbatch",
        "echo 'sbatch: error: invalid partition specified: x' >&2",
        "echo 'Invalid partition name' >&2; exit 1",
    )
    backend, parameter = words
    overrides = (f"hydra.launcher.backend={backend}", f"hydra.launcher.submitit.{parameter}")
    folder = tmp_path / "runs" / "s"
    assert main(["train", "-m", "-q", *NAG, "seed=0,1", *overrides, f"hydra.sweep.dir={folder}"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("rnnbench: ")
    assert message in err
    assert err.count("\n") == 1
    assert not folder.parent.exists()


def test_without_slurm_is_one_line(program, tmp_path):
    settings = LauncherSettings("submitit_slurm", 1, 8, {})
    with pytest.raises(ConfigError, match=r'hydra.launcher.backend=submitit_slurm: Could not detect "srun"'):
        run_by_submitit(tmp_path, [0], settings, NOTHING, say=print)


def test_groups_that_slurm_refuses_are_told_of_and_the_others_run(tmp_path, monkeypatch):
    (first,) = jobs_in(tmp_path, "7")
    first.paths.result_pickle.touch()
    first.exception, first.result = lambda: None, lambda: 0
    answers, said = [first, FailedJobError("too many\nQOSMaxSubmitJobPerUserLimit")], []

    def submit(task):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(submitit_backend, "_executor", lambda *_: SimpleNamespace(submit=submit))
    settings = LauncherSettings("submitit_slurm", 1, 8, {})
    assert run_by_submitit(tmp_path, [4, 5, 6], settings, NOTHING, say=said.append) == 1
    assert said[0].startswith("group 4 is task 7; its output is in ")
    assert said[1:] == [
        "group 5 was not submitted: QOSMaxSubmitJobPerUserLimit; `rnnbench resume` submits it",
        "group 6 was not submitted: QOSMaxSubmitJobPerUserLimit; `rnnbench resume` submits it",
        "group 4 ended",
    ]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "group 2 ended"),
        (1, "group 2 ended with exit status 1"),
        (140, "group 2 was ended by SIGUSR2, with a checkpoint; `rnnbench resume` continues it"),
        (-9, "group 2 was killed by signal 9; `rnnbench resume` continues it"),
    ],
)
def test_how_a_group_ended_in_words(status, words):
    assert outcome(2, status) == words
