"""kill -9, again and again: what `rnnbench resume` ends with are the numbers of a sweep that nobody touched."""

import contextlib
import json
import os
import random
import signal
import time
from functools import partial

import pytest
from small_sweeps import HF, NAG, SEEDS, assert_same_sweep

CHANGES = ("write", "fsync", "replace", "truncate", "ftruncate", "unlink", "mkdir")
"""Calls of the system that change what is on disk."""

TWO_GROUPS = ("optim=nag,sgd", "seed=0,1", "optim.lr=0.1,0.01")
ENDING_EARLY = ("optim.lr=1e-4,0.5", "model.nonlinearity=linear")
"""Replicas of which half diverge on the way."""


def kill_at_change(number, afterwards):
    """Have this process killed at its so-many-th change of the disk, before or after it is made."""
    changes_left = [number]

    def dying(change, *arguments, **options):
        changes_left[0] -= 1
        if changes_left[0] == 0 and not afterwards:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return change(*arguments, **options)
        finally:  # also after one that fails, as to remove what is not there
            if changes_left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    for name in CHANGES:
        setattr(os, name, partial(dying, getattr(os, name)))


def state_of(folder):
    """When the checkpoints of a sweep's groups were replaced last."""
    times = []
    for path in sorted(folder.glob("groups/*.pt")):
        with contextlib.suppress(FileNotFoundError):  # it is being replaced at this moment
            times += [path.stat().st_mtime_ns] if path.stem.isdigit() else []  # not the checkpoint before
    return tuple(times)


def kill_at_checkpoint(command, folder, checkpoints, delay):
    """Kill a command so many seconds after so many checkpoints more."""
    for _ in range(checkpoints):
        before = state_of(folder)
        command.wait_until(lambda before=before: state_of(folder) != before)
    time.sleep(delay)
    command.signal(signal.SIGKILL)


def one_kill(rnnbench, name, words, dice):
    """Begin a sweep or go on with it, and kill that at a random moment; whether it had not ended before."""
    folder = rnnbench.root / name
    by_change = dice.random() < 0.5
    harm = dict(before=kill_at_change, given=(dice.randrange(1, 100), dice.random() < 0.5)) if by_change else {}
    if (folder / "sweep.json").exists():
        command = rnnbench.start("resume", "-q", folder, **harm)
    else:
        command = rnnbench.start_sweep(name, *words, **harm)
    if not by_change:
        kill_at_checkpoint(command, folder, dice.randrange(3), dice.uniform(0, 0.03))
    status = command.status()
    assert status in (0, -signal.SIGKILL), command.err
    for path in (*folder.glob("*/summary.json"), *folder.glob("sweep.json")):
        json.loads(path.read_text())  # whole at any moment
    return status == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "kills"),
    [
        ((*NAG, SEEDS, "probe=default", "budget.updates=100"), 5),
        ((*NAG, SEEDS, *ENDING_EARLY, "budget.updates=100"), 4),
        ((*NAG, *TWO_GROUPS, "budget.updates=80"), 4),
        ((*HF, "seed=0,1", "optim.damping=0.1,1", "budget.updates=16", "record.checkpoint_every=2"), 5),
    ],
    ids=["nag", "ending early", "two groups", "hf"],
)
def test_killed_again_and_again(words, kills, rnnbench):
    whole = rnnbench.sweep("whole", *words)
    dice = random.Random(kills + len(words))
    killed, num_sweeps = 0, 0
    while killed < kills:  # a sweep that came to its end makes room for another one
        num_sweeps += 1
        name = f"killed-{num_sweeps}"
        while killed < kills and one_kill(rnnbench, name, words, dice):
            killed += 1
        if (rnnbench.root / name / "sweep.json").exists():
            rnnbench("resume", "-q", rnnbench.root / name)
        else:
            rnnbench.sweep(name, *words)
        assert_same_sweep(whole, rnnbench.root / name)


@pytest.mark.parametrize("number", [3, 5, 10])
def test_killed_while_planning(number, rnnbench, prepared):
    whole = prepared(*NAG, SEEDS)
    harm = dict(before=kill_at_change, given=(number, True), status=-signal.SIGKILL)
    folder = rnnbench.sweep("s", *NAG, SEEDS, **harm)
    assert not (folder / "sweep.json").exists()
    command = rnnbench("resume", folder, status=2)
    neither = "holds neither checkpoint.pt nor sweep.json to continue from"
    assert command.err == f"rnnbench: {folder} {neither}; rnnbench train starts a run\n"
    rnnbench.sweep("s", *NAG, SEEDS)
    assert_same_sweep(whole, folder)
