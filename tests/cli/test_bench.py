"""The whole command, at tiny sizes."""

import json

import pytest


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_bench(rnnbench, tmp_path):
    answer = rnnbench("bench", "--shape", "1,4,5,6", "--rounds", "1", "--threads", "1", "--json", "result.json")
    assert answer.status == 0
    assert "R=1 B=4 T=5 n=6, 1 thread, 1 round" in answer.out
    assert "\nautograd loop " in answer.out
    assert "measuring R=1 B=4 T=5 n=6, 1 thread\n" in answer.err
    (table,) = json.loads((tmp_path / "result.json").read_text())["groups"]["engine"]
    assert table["shape"] == {"replicas": 1, "sequences": 4, "steps": 5, "units": 6}


def test_a_shape_beyond_memory_is_bad_input(rnnbench):
    answer = rnnbench("bench", "--shape", "1,1000000,1000,100")
    assert (answer.status, answer.err.count("\n")) == (2, 1)
    assert "--shape 1,1000000,1000,100" in answer.err
    assert "GiB are available" in answer.err
