import pytest
import torch


@pytest.fixture(autouse=True)
def _denormals_afterwards():
    """A run flushes denormals in its own thread; hypothesis, in later tests, draws them."""
    yield
    torch.set_flush_denormal(False)
