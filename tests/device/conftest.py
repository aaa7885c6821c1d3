import pytest
import torch

from rnnbench.machine import resolve_device


@pytest.fixture(scope="session")
def device(request):
    name = request.config.getoption("--device")
    if name is None:
        pytest.skip("needs a GPU: --device cuda")
    found = resolve_device(name)  # an error where it is not there
    torch.set_float32_matmul_precision("highest")
    return found
