import sys

import pytest


@pytest.fixture(autouse=True)
def _denormals_afterwards():
    """A run flushes denormals in its own thread; hypothesis, in later tests, draws them."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)
