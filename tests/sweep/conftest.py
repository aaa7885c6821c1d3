import pytest
from small_sweeps import Rnnbench


@pytest.fixture
def rnnbench(tmp_path):
    """Runs commands in processes of their own, and sweeps in folders of the test's own."""
    calls = Rnnbench(tmp_path)
    yield calls
    calls.close()
