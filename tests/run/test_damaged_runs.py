"""A run with damaged records goes on as far as it can; where it cannot, one line says why and nothing is changed."""

import json
import os
import shutil

import pytest
import torch

from rnnbench.cli import main
from rnnbench.records import read_summary
from rnnbench.records.metrics_csv import read_metrics
from rnnbench.training.checkpoint import load_checkpoint, save_checkpoint
from rnnbench.training.loop import Training

RUN = (
    *("task.sequence_length=10", "model.hidden_size=5", "threads=1", "probe=none"),
    *("optim=nag", "optim.batch_size=5", "record.log_every=1", "record.evaluate_every=5", "record.checkpoint_every=5"),
)
LONGER = "budget.updates=16"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of 12 updates, whose last two checkpoints are of updates 10 and 12, and one of 16; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    for updates in (12, 16):
        name = f"hydra.run.dir={folder / str(updates)}"
        assert main(["train", "-q", *RUN, f"budget.updates={updates}", name]) == 0
    return folder


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made / "12", tmp_path / "run")


@pytest.fixture
def resume(run, capsys):
    def call(*words, status=0):
        assert main(["resume", "-q", str(run), *(words or (LONGER,))]) == status
        return capsys.readouterr().err

    return call


def everything_in(folder):
    return {
        path.name: (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in folder.iterdir()
        if path.name != ".lock"
    }


def assert_goes_on_to_the_same(made, run):
    tables = [read_metrics(folder) for folder in (made / "16", run)]
    for column in ("update", "loss/train", "loss/eval"):
        assert tables[0][column].tobytes() == tables[1][column].tobytes()
    theta = [load_checkpoint(folder / "checkpoint.pt")["theta"] for folder in (made / "16", run)]
    assert theta[0].equal(theta[1])


def flip(path):
    written = bytearray(path.read_bytes())
    written[len(written) // 2] ^= 1
    path.write_bytes(written)


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def folder(path):
    path.unlink()
    path.mkdir()


def link(path):
    path.unlink()
    path.symlink_to(path.name)


def keep_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES = [flip, keep_half, pipe, folder, link, lambda path: path.unlink(), lambda path: path.write_text("text")]


def change(path, **changed):
    """A whole checkpoint, with its checksum, that holds something else, and none before it."""
    save_checkpoint(path, {**load_checkpoint(path), **changed}, keep_previous=False)
    path.with_suffix(".previous.pt").unlink()


@pytest.mark.parametrize("damage", [flip, keep_half, lambda path: path.unlink()])
def test_from_the_checkpoint_before(damage, made, run, resume):
    damage(run / "checkpoint.pt")
    said = resume()
    assert said.startswith(f"rnnbench: {run}/checkpoint.pt is damaged") or "cannot read" in said
    assert said.endswith("the run resumes from the previous checkpoint, after update 10: 2 updates are repeated\n")
    assert_goes_on_to_the_same(made, run)


def test_where_the_records_reach_the_checkpoint_before_alone(made, run, resume):
    text = (run / "metrics.csv").read_text().splitlines(keepends=True)
    (run / "metrics.csv").write_text("".join(text[:12]) + "11,")
    assert "after update 10: 2 updates are repeated" in resume()
    assert_goes_on_to_the_same(made, run)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["both checkpoints", "metrics.csv", "events*"])
def test_nothing_is_changed_where_it_cannot_go_on(name, damage, run, resume):
    paths = [path for path in run.glob("check*" if name == "both checkpoints" else name) if path.is_file()]
    for path in paths:
        damage(path)
    before = everything_in(run)
    if name == "events*" and damage is flip:
        return  # bytes of the same number: TensorBoard leaves out what is damaged
    if name == "metrics.csv" and damage is flip:
        (run / name).write_text((run / name).read_text().replace("update", "updates"))
        before = everything_in(run)
    said = resume(status=2)
    assert said.startswith("rnnbench: ")
    assert said.count("\n") == 1
    assert paths[0].name in said or "previous" in said or "lost its checkpoint.pt" in said
    assert everything_in(run) == before


def test_a_gap_that_is_accepted(run, resume):
    keep_half(run / "metrics.csv")
    (events,) = run.glob("events*")
    events.unlink()
    rows = len((run / "metrics.csv").read_text().splitlines()) - 2
    said = resume(status=2)
    assert f"cannot continue {run}/metrics.csv" in said
    assert f"`rnnbench resume {run} --accept-gap` resumes without the missing rows" in said
    assert "rows before update 12 are missing" in resume(LONGER, "--accept-gap")
    updates = read_metrics(run)["update"].tolist()
    assert updates == [*range(rows), 13, 14, 15, 16]
    assert read_summary(run).status == "budget"
    assert resume("budget.updates=17") == ""


def test_a_gap_where_no_metrics_are_left(run, resume):
    (run / "metrics.csv").unlink()
    resume(LONGER, "--accept-gap")
    assert read_metrics(run)["update"].tolist() == [13, 14, 15, 16]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"records": [{"../other.csv": 3}]}, "the lengths of a job's record files are wrong"),
        ({"records": []}, "it does not list the record files of each job"),
        ({"threads": "two"}, "threads"),
        ({"threads": None}, "threads"),
        ({"status": "odd"}, "damaged"),
        ({"config": 3}, "not the checkpoint of a single run"),
        ({"config": {}}, "the configuration in"),
        ({"theta": torch.zeros(1, 7)}, "theta of a replica is float32 of shape (7,)"),
        ({"optimizer_state": {}}, "other names"),
    ],
)
def test_a_checkpoint_of_other_contents(changed, said, run, resume):
    change(run / "checkpoint.pt", **changed)
    before = everything_in(run)
    answer = resume(status=2)
    assert said in answer
    assert f"{run}/checkpoint.pt" in answer
    assert everything_in(run) == before


def test_a_run_that_fails_as_it_goes_on_keeps_its_numbers(run, resume, monkeypatch):
    """Where a disk is full, for example, before the first update."""

    def fail(self, snapshot):
        raise OSError("broken")

    monkeypatch.setattr(Training, "restore", fail)
    resume(status=1)
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["status"], summary["message"], summary["updates"]) == ("failed", "OSError: broken", 12)
    assert summary["loss"] == read_metrics(run)["loss/eval"][12]


def test_ended_before_the_first_checkpoint(made, tmp_path, resume, run, monkeypatch, capsys):
    shutil.rmtree(run)

    def die(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Training, "run", die)
        main(["train", "-q", *RUN, LONGER, f"hydra.run.dir={run}"])
    assert not (run / "checkpoint.pt").exists()
    assert (run / "summary.json").exists()
    assert main(["train", "-q", *RUN, f"hydra.run.dir={run}"]) == 2
    assert f"rnnbench resume {run}" in capsys.readouterr().err
    assert main(["resume", str(run)]) == 0
    assert "restarts" in capsys.readouterr().err
    assert_goes_on_to_the_same(made, run)
