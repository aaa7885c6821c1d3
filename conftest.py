"""Options of the test suite, and what is left out where something optional is missing."""

import contextlib
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from rnnbench.native.build import UnavailableError
from rnnbench.native.library import kernels

for stand_in in ("unsynced", "composed_once"):
    import_module(stand_in)

# As in an environment that is activated, so that lines with commands are the same however the tests are started.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"

# Before any test differentiates: torch's autograd counts the devices once, at its first use.
with contextlib.suppress(ImportError):  # where torch takes no device in Python, its tests are skipped
    import_module("simulated")

# Compiled before any test, so that none waits for it or finds its message; what does not compile, the tests will say.
with contextlib.suppress(UnavailableError):
    for net in ("srn", "lstm", "gru"):
        kernels(net, item_size=4)

# Their modules import Triton, which exists for Linux alone; pytest would import them to look for examples.
NEED_TRITON = ["rnnbench/kernels/[!_a]*.py"]
collect_ignore_glob = [
    "tests/stand_ins/*.py",
    "tests/forked_from.py",
    *(NEED_TRITON if find_spec("triton") is None else []),
]


# How long an example takes is the machine's affair. All else is as Hypothesis has it: where CI is set, no chance.
settings.register_profile("rnnbench", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rnnbench")


def pytest_addoption(parser):
    """Add --device."""
    parser.addoption("--device", metavar="DEVICE", help="run tests/device there too, as in cuda; default: skip them")


@pytest.fixture(autouse=True)
def denormals_as_they_come():
    """A run flushes denormals in its thread, which is the tests' own; those that follow may be about such numbers."""
    torch.set_flush_denormal(False)
