import logging
import os
import signal
import sys

import numpy as np
import pytest
import torch
from hydra import initialize
from hydra.core.global_hydra import GlobalHydra
from hydra.version import VersionBase


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def state():
    """What a process has one of each of, and a training of the command sets."""
    root = logging.getLogger()
    return {
        "environment": {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
        "path": list(sys.path),
        "folder": os.getcwd(),
        "arguments": list(sys.argv),
        "signals": {number: signal.getsignal(number) for number in signal.Signals},
        "logging": (
            list(root.handlers),
            root.level,
            logging.getLogger("rnnbench").level,
            logging.getLogger("mine").handlers,
        ),
        "handlers": [reference() for reference in vars(logging)["_handlerList"]],
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "precision": torch.get_float32_matmul_precision(),
        "denormals": float(torch.tensor(torch.finfo(torch.float32).tiny, dtype=torch.float32) / 2),
        "gradients": torch.is_grad_enabled(),
        "random": (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()),  # noqa: NPY002 - the global one
        "hydra": (GlobalHydra.instance().hydra, VersionBase.instance().version_base),
    }


@pytest.fixture
def unusual(tmp_path):
    """A process with settings of its own, in which another program has initialized Hydra; a check that all stays."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    handler = logging.FileHandler(tmp_path / "mine.log", mode="w")
    logging.getLogger("mine").addHandler(handler)
    torch.set_num_threads(2)
    torch.set_default_dtype(torch.float64)
    torch.set_float32_matmul_precision("medium")
    with initialize(None, job_name="mine", version_base="1.2"), torch.no_grad():
        before = state()

        def check():
            after = state()
            for name, value in before.items():
                assert after[name] == value, name
            logging.getLogger("mine").warning("still here")
            assert "still here" in (tmp_path / "mine.log").read_text()

        yield check
    logging.getLogger("mine").removeHandler(handler)
    handler.close()
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)
    torch.set_float32_matmul_precision("highest")
