import pytest
from small_sweeps import Prepared, Rnnbench


@pytest.fixture
def rnnbench(tmp_path):
    """Runs commands in processes of their own, and sweeps in folders of the test's own."""
    calls = Rnnbench(tmp_path)
    yield calls
    calls.close()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """Gives sweeps that are run once and that nothing may change."""
    return Prepared(tmp_path_factory.mktemp("prepared"))
