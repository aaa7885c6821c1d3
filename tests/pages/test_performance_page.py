"""The tables of docs/performance.md are those of the records."""

import json

import pytest

from docs.make.__main__ import CHECKOUT
from docs.make.errors import PageError
from docs.make.performance import BENCH, CORES, ENGINE, cores_table, engine_table, pages

SHAPE = {"replicas": 1, "sequences": 2, "steps": 3, "units": 4}


def test_the_page_is_up_to_date():
    ((path, text),) = pages(CHECKOUT / "results", CHECKOUT / "docs").items()
    assert path.read_text(encoding="utf-8") == text, "run python -m docs.make performance"


def test_a_row_has_time_share_and_fastest_peer():
    rows = [
        {"section": quantity, "median": 0.0123456, "share_of_peak": {"median": 0.7512}}
        for quantity in ("gradient", "product")
    ]
    peers = {quantity: {"name": "JAX", "ratio": 0.5} for quantity in ("gradient", "product")}
    made = engine_table([{"shape": SHAPE, "threads": 1, "rows": rows, "fastest_peer": peers}])
    assert made.splitlines()[-1] == "| 1, 2, 3, 4 | 12.3, **0.75**, 0.50 of JAX | 12.3, **0.75**, 0.50 of JAX |"


def test_numbers_of_threads_that_were_not_measured_are_predicted():
    report = {"shape": SHAPE, "name": "rnnbench gradient", "prediction": {"tiles": 9}}
    made = cores_table([{**report, "speed_ups": {"1": [1.0, 1.0], "8": [None, 6.42]}}])
    assert made.splitlines()[-1] == "| 1, 2, 3, 4 | gradient | 9 | 1.0 (1.0) | (6.4) |"


@pytest.mark.parametrize("name", [ENGINE, CORES])
@pytest.mark.parametrize("contents", ["{", json.dumps({"groups": {}})])
def test_a_damaged_record_is_named(name, contents, tmp_path):
    (tmp_path / BENCH).mkdir()
    (tmp_path / BENCH / name).write_text(contents)
    with pytest.raises(PageError, match=f"{name} cannot be read"):
        pages(tmp_path, CHECKOUT / "docs")
