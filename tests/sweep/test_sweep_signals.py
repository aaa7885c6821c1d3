"""SIGTERM, as clusters send it, and Ctrl-C: the sweep ends in order and goes on to the same numbers."""

import signal

import pytest
from small_sweeps import NAG, assert_same_sweep, jobs_of, summary_of

WORDS = (*NAG, "optim=nag,sgd", "seed=0,1", "optim.lr=0.1,0.01", "budget.updates=800")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "number", "status"),
    [
        ("inline", signal.SIGTERM, 143),
        ("inline", signal.SIGINT, 130),
        ("processes", signal.SIGTERM, 143),
        ("processes", signal.SIGINT, 130),
        ("submitit_local", signal.SIGTERM, 143),
    ],
)
def test_ended_by_a_signal(backend, number, status, rnnbench):
    whole = rnnbench.sweep("whole", *WORDS)
    command = rnnbench.start_sweep("s", *WORDS, f"hydra.launcher.backend={backend}")
    folder = rnnbench.root / "s"
    begun = [0] if backend == "inline" else [0, 1]
    command.wait_until(lambda: all((folder / "groups" / f"{group}.pt").exists() for group in begun))
    command.signal(number)
    assert command.status() == status, command.err
    for job in jobs_of(folder):
        group = int(job.name) // 4
        if group in begun:
            summary = summary_of(job)
            assert summary["status"] == "interrupted"
            sent = signal.SIGINT if backend == "submitit_local" else number  # submitit sends its own
            assert summary["message"] == f"ended by {sent.name}"
            assert 0 <= summary["updates"] < 800
        else:
            assert not (job / "summary.json").exists()
    assert command.out.startswith("s: not finished, none of 8 jobs solved so far; ")
    assert f"{4 * len(begun)} interrupted" in command.out
    assert command.out.splitlines()[-1].strip().startswith("go on      rnnbench resume")
    rnnbench("resume", "-q", folder)
    assert_same_sweep(whole, folder)
