"""The tables of docs/performance.md are those of the records."""

import json

import pytest

from docs.make.__main__ import CHECKOUT
from docs.make.errors import PageError
from docs.make.performance import (
    BENCH,
    CORES,
    ENGINE,
    GATED,
    HF,
    TRAINING,
    cores_table,
    engine_table,
    gated_table,
    pages,
    training_table,
    update_table,
)

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


def test_gated_nets_have_a_column_for_each_net_quantity_and_number_of_threads():
    ways = {
        f"{quantity}, recurrence={name}, {threads}": {"median": value}
        for quantity, value in (("gradient", 0.5), ("product", 0.75))
        for name in ("torch", "auto")
        for threads in ("1 thread", "2 threads")
    }
    made = gated_table([{"net": net, "shape": [1, 2, 3, 4], "ratios": ways} for net in ("lstm", "gru")]).splitlines()
    assert made[0].count("|") == 10
    assert made[0].startswith("| (R, B, T, n) | lstm: gradient, 1 thread | lstm: gradient, 2 threads | lstm: product")
    assert made[-1] == "| 1, 2, 3, 4 | 0.50 | 0.50 | 0.75 | 0.75 | 0.50 | 0.50 | 0.75 | 0.75 |"


def test_whole_updates_of_both_packages_stand_side_by_side():
    ways = {
        f"{package}, {threads}": {"median": seconds}
        for package, seconds in (("rnnbench, all seeds together", 0.004), ("torch.nn.RNN, seed after seed", 1.2))
        for threads in ("1 thread", "2 threads")
    }
    made = training_table([{"shape": [1, 2, 3, 4], "statistics": ways, "speed_up": 300.0}]).splitlines()
    assert made[0].startswith("| (R, B, T, n) | rnnbench, 1 thread / 2 threads | torch.nn.RNN, 1 thread / 2 threads |")
    assert made[-1] == "| 1, 2, 3, 4 | 4 / 4 ms | 1,200 / 1,200 ms | 300.0 |"


def test_parts_of_an_update_have_times_and_shares():
    report = {
        "title": "Hessian-free, 2 updates",
        "threads": [1, 2],
        "seconds": {"1": [{"products": 0.2}, {"products": 0.4}], "2": [{"products": 0.1}, {"products": 0.2}]},
        "totals": {"1": 0.3, "2": 0.15},
        "shares": {"1": {"products": 1.0}, "2": {"products": 1.0, "batches": 0.0}},
    }
    made = update_table([report]).splitlines()
    assert made[0] == "| part | ms, 1 thread | ms, 2 threads | share, 2 threads |"
    assert made[2:] == ["| products | 300 | 150 | 100.0 % |", "| all | 300 | 150 | 100.0 % |"]


@pytest.mark.parametrize("name", [ENGINE, CORES, GATED, TRAINING, HF])
@pytest.mark.parametrize("contents", ["{", json.dumps({"groups": {}})])
def test_a_damaged_record_is_named(name, contents, tmp_path):
    (tmp_path / BENCH).mkdir()
    (tmp_path / BENCH / name).write_text(contents)
    with pytest.raises(PageError, match=f"{name} cannot be read"):
        pages(tmp_path, CHECKOUT / "docs")
