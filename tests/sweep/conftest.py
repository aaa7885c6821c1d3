import pytest
import torch
from small_sweeps import Rnnbench


@pytest.fixture
def rnnbench(tmp_path):
    """Runs commands in processes of their own, and sweeps in folders of the test's own."""
    calls = Rnnbench(tmp_path)
    yield calls
    calls.close()


@pytest.fixture(autouse=True)
def _denormals():
    """An earlier test's run may have flushed them in this thread; hypothesis draws them."""
    torch.set_flush_denormal(False)
