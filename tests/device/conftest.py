import pytest

from rnnbench.curvature.engine import forbid_tf32
from rnnbench.machine import resolve_device


@pytest.fixture(scope="session")
def device(request):
    name = request.config.getoption("--device")
    if name is None:
        pytest.skip("needs a GPU: --device cuda")
    found = resolve_device(name)  # an error where it is not there
    forbid_tf32()
    return found
