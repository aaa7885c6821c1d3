"""Devices that the tests of this folder run on: the simulated one always, another if it is asked for."""

import pytest

from rnnbench.objective.engine import forbid_tf32
from rnnbench.run.machine import resolve_device

SIMULATED = "simulated"


def pytest_generate_tests(metafunc):
    """`device` is each device in turn."""
    if "device" in metafunc.fixturenames:
        asked = metafunc.config.getoption("--device")
        names = [SIMULATED] if asked is None else [SIMULATED, asked]
        metafunc.parametrize("device", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def simulated():
    """The module of the simulated device, once torch knows it."""
    return pytest.importorskip("simulated", reason="torch takes no device in Python", exc_type=ImportError)


@pytest.fixture(scope="session")
def device(request):
    """A device that is not the CPU."""
    if request.param == SIMULATED:
        return request.getfixturevalue("simulated").DEVICE
    return _asked_for(request.param)


@pytest.fixture(scope="session")
def gpu(request):
    """A real one, for what only its driver can show."""
    name = request.config.getoption("--device")
    if name is None:
        pytest.skip("needs a GPU: --device cuda")
    return _asked_for(name)


def _asked_for(name):
    found = resolve_device(name)  # an error where it is not there
    forbid_tf32()
    return found
