"""Which backend a sweep gets where that is left open."""

import pytest
from planned import compose_jobs

from rnnbench.config.launcher_settings import LauncherSettings
from rnnbench.sweeps import backend_choice
from rnnbench.sweeps.backend_choice import choose_backend

# 32 seeds of 2000 updates of 20 sequences of 50 steps
LONG = ("optim=nag", "seed=range(0,32)", "budget.updates=2000", "optim.batch_size=20", "task.sequence_length=50")


@pytest.fixture(autouse=True)
def _four_processors(monkeypatch):
    monkeypatch.setattr(backend_choice, "num_processors", lambda: 4)


def chosen(*words, backend="auto", processes="auto", on_cpu=True):
    found = choose_backend(LauncherSettings(backend, processes, "auto", {}), compose_jobs(*words), on_cpu=on_cpu)
    return found.backend, found.processes


@pytest.mark.parametrize(
    "changes",
    [
        (),
        ("optim=sgd,adam",),
        ("optim.batch_size=20,99",),
        ("seed=range(0,2)", "budget.updates=30000"),
        ("budget.updates=1875",),
    ],
)
def test_processes(changes):
    assert chosen(*LONG, *changes) == ("processes", 4)


@pytest.mark.parametrize(
    "changes",
    [
        ("seed=3", "budget.updates=100000"),  # nothing to share
        ("budget.updates=1874",),  # soon done
        ("budget.updates=1000000", "budget.sequences=12000"),  # so too
        ("optim.batch_size=20,100",),  # some with batches on which threads work well
    ],
)
def test_inline(changes):
    assert chosen(*LONG, *changes) == ("inline", 4)


def test_second_order_methods_have_large_batches():
    assert chosen("optim=hf", "seed=range(0,32)", "budget.updates=100000") == ("inline", 4)


def test_a_gpu_is_not_shared():
    assert chosen(*LONG, on_cpu=False) == ("inline", 4)


def test_one_processor(monkeypatch):
    monkeypatch.setattr(backend_choice, "num_processors", lambda: 1)
    assert chosen(*LONG) == ("inline", 1)


def test_what_was_asked_for_stays():
    assert chosen(*LONG, backend="inline") == ("inline", 4)
    assert chosen(*LONG, processes=3) == ("processes", 3)
    assert chosen(*LONG, processes=1) == ("inline", 1)
    assert chosen("seed=1,2", backend="processes", processes=2) == ("processes", 2)
    assert chosen("seed=1,2", backend="submitit_local") == ("submitit_local", 4)
