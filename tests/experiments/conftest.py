import logging
import sys

import pytest

from rnnbench import cli


@pytest.fixture
def trains_in_process(monkeypatch):
    """Sweeps are trained by this process, which has imported torch already; what that does to it is undone."""
    monkeypatch.setattr("rnnbench.experiments.study.call_rnnbench", cli.main)
    monkeypatch.setattr(sys, "path", list(sys.path))
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
