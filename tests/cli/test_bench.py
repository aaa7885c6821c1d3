"""The whole command, at tiny sizes."""

import json


def test_engine(rnnbench, tmp_path):
    answer = rnnbench("bench", "--shape", "1,4,5,6", "--rounds", "1", "--threads", "1", "--json", "result.json")
    assert answer.status == 0
    assert "R=1 B=4 T=5 n=6, 1 round" in answer.out
    assert "\nlstm: torch.nn.LSTM, replicas in turn " in answer.out
    assert "measuring gru, gradient, R=1 B=4 T=5 n=6\n" in answer.err
    (table,) = json.loads((tmp_path / "result.json").read_text())["groups"]["engine"]
    assert table["shape"] == {"replicas": 1, "sequences": 4, "steps": 5, "units": 6}


def test_update(rnnbench, tmp_path):
    sizes = ["task.sequence_length=12", "model.hidden_size=5", "optim.batch_size=3", "threads=1"]
    answer = rnnbench("bench", "update", "optim=nag", *sizes, "--rounds", "1", "--json", "result.json")
    assert answer.status == 0
    assert "An update of adding (T=12), rnn, nag, 1 replica, " in answer.out
    assert "\ngradient, backward " in answer.out
    (table,) = json.loads((tmp_path / "result.json").read_text())["groups"]["update"]
    assert table["threads"] == [1]
    assert not (tmp_path / "runs").exists()


def test_a_shape_beyond_memory_is_bad_input(rnnbench):
    answer = rnnbench("bench", "--shape", "1,1000000,1000,100")
    assert (answer.status, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert "--shape 1,1000000,1000,100" in answer.err
    assert "GiB are available" in answer.err


def test_a_run_that_does_not_fit_is_bad_input(rnnbench):
    answer = rnnbench("bench", "update", "optim.gradient_batch_size=100000000")
    assert (answer.status, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert "lower optim.gradient_batch_size" in answer.err
