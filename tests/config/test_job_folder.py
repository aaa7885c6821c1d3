"""The folder of a job is the one that Hydra's basic launcher makes, file by file."""

import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from rnnbench.config.compose import Composer
from rnnbench.config.errors import ConfigError
from rnnbench.config.hydra_files import write_job_folder
from rnnbench.config.overrides import expand_sweep
from rnnbench.config.request import Request

PROGRAM = """
import sys
import hydra
from rnnbench.config.register import register_schema
from rnnbench.paths import conf_dir
register_schema()
def job(tree):
    pass
hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(job)()
"""
TASK = ["optim=nag", "seed=3,4", "optim.lr=1e-3", "name='1e-3'", "~probe.state_jacobian", "budget.updates=7"]
HYDRA = ["hydra.sweep.dir=sweep", "hydra/launcher=basic", "hydra/sweeper=basic"]
FILES = ("config.yaml", "hydra.yaml", "overrides.yaml")


def read(folder, name):
    return OmegaConf.to_container(OmegaConf.load(folder / ".hydra" / name), resolve=False)


def compose(*lines):
    with Composer(Request()) as composer:
        return composer.compose(lines)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("subdir", "folders"),
    [
        ("${hydra.job.num}", ["0", "1"]),
        ("${task.name}/${hydra:job.override_dirname}", None),
    ],
)
def test_files_are_those_of_the_basic_launcher(tmp_path, monkeypatch, subdir, folders):
    own = [*HYDRA, f"hydra.sweep.subdir={subdir}"]
    command = [sys.executable, "-c", PROGRAM, "--multirun", *TASK, *own]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    monkeypatch.chdir(tmp_path)
    theirs = sorted(path.parent.parent for path in (tmp_path / "sweep").rglob(".hydra/config.yaml"))
    assert len(theirs) == 2
    if folders:
        assert [folder.name for folder in theirs] == folders
    with Composer(Request()) as composer:
        jobs = [composer.compose(lines) for lines in expand_sweep(composer.parse([*own, *TASK]))]
    for number, (job, expected) in enumerate(zip(jobs, theirs, strict=True)):
        folder = write_job_folder(job, tmp_path / "ours", number)
        assert folder.relative_to(tmp_path / "ours") == expected.relative_to(tmp_path / "sweep")
        for name in FILES:
            mine, basic = read(folder, name), read(expected, name)
            if name == "hydra.yaml":
                outputs = [tree["hydra"]["runtime"].pop("output_dir") for tree in (mine, basic)]
                assert outputs == [str(folder), str(expected)]
            assert mine == basic, name


AWKWARD = [
    "1e-3",
    "true",
    "007",
    "0x1",
    "null",
    "~",
    "a: b",
    "- x",
    "#",
    "é 界",
    "  x",
    "x" * 200,
    "1_000",
    ".5",
    "2026-01-01",
]


@pytest.mark.parametrize("text", AWKWARD)
def test_texts_are_read_back_as_texts(tmp_path, text):
    quoted = text.replace("'", "\\'")
    composed = compose(f"hydra.job.name='{quoted}'", "hydra.sweep.subdir=x")
    folder = write_job_folder(composed, tmp_path, 0)
    assert read(folder, "hydra.yaml")["hydra"]["job"]["name"] == text
    assert (folder / ".hydra/config.yaml").read_text(encoding="utf-8") == OmegaConf.to_yaml(composed.tree)


def test_jobs_do_not_mix(tmp_path):
    """Jobs of the same choices share Hydra's part; each file has its own job's."""
    with Composer(Request()) as composer:
        jobs = [composer.compose([f"seed={seed}", "hydra.sweep.subdir=${seed}_${hydra:job.num}"]) for seed in (5, 6)]
    assert jobs[0].hydra is jobs[1].hydra
    folders = [write_job_folder(jobs[number], tmp_path, number) for number in (1, 0, 1)]
    assert [folder.name for folder in folders] == ["6_1", "5_0", "6_1"]
    for folder, seed in zip(folders, (6, 5, 6), strict=True):
        job = read(folder, "hydra.yaml")["hydra"]["job"]
        assert (str(job["num"]), job["id"]) == (folder.name[-1], folder.name[-1])
        assert job["override_dirname"] == f"seed={seed}"
        assert read(folder, "config.yaml")["seed"] == seed
        assert "hydra" not in read(folder, "config.yaml")


def test_without_files(tmp_path):
    folder = write_job_folder(compose("hydra.output_subdir=null"), tmp_path, 4)
    assert (folder.name, list(folder.iterdir())) == ("4", [])


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "0").touch()
    with pytest.raises(ConfigError, match=r"hydra\.sweep\.subdir: .*/0 cannot be created: File exists"):
        write_job_folder(compose(), tmp_path, 0)
