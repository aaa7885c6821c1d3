from pathlib import Path

import pytest

from benchmarks import memory
from benchmarks.memory import peak_bytes

MEGABYTES = 64


@pytest.mark.skipif(not memory._CLEAR.exists(), reason="the system does not tell")
def test_peak_is_of_this_work_alone():
    def work():
        kept = bytearray(b"x") * (MEGABYTES * 2**20)
        del kept
        return "done"

    for _ in range(2):  # a second time: the first one's peak does not count
        result, peak = peak_bytes(work)
        assert result == "done"
        assert MEGABYTES * 2**20 * 0.9 < peak < MEGABYTES * 2**20 * 1.5
    assert peak_bytes(lambda: None)[1] < MEGABYTES * 2**20 / 4


def test_where_the_system_does_not_tell(monkeypatch):
    monkeypatch.setattr(memory, "_CLEAR", Path("/nonexistent/clear_refs"))
    assert peak_bytes(lambda: 3) == (3, None)
