"""The plugins, and the check of what the launcher is asked for."""

import ast
import os
import subprocess
import sys

import pytest
from hydra.core.utils import JobStatus
from hydra.errors import HydraException
from hydra_plugins.rnnbench_batched import BatchedLauncher
from omegaconf import OmegaConf

from rnnbench.config.errors import ConfigError
from rnnbench.config.launcher_settings import BatchTask, LauncherSettings
from rnnbench.config.plan import make_plan
from rnnbench.config.request import parse_request

PROGRAM = """
import dataclasses
import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from rnnbench.config.compose import Composer
from rnnbench.config.launcher_settings import BatchTask
from rnnbench.config.register import register_schema
from rnnbench.config.request import Request
from rnnbench.paths import conf_dir

class Jobs(BatchTask):
    def __call__(self, tree):
        return tree.seed

    def launch(self, settings, job_overrides, first):
        with Composer(Request()) as composer:
            seeds = [composer.compose(lines).config.seed for lines in job_overrides]
        print(repr((vars(settings), [list(lines) for lines in job_overrides], first, seeds, len(composed))))
        return [float(seed) for seed in seeds]

composed = []
load = ConfigLoaderImpl.load_sweep_config
ConfigLoaderImpl.load_sweep_config = lambda *args: composed.append(args) or load(*args)
register_schema()
hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(Jobs())()
print(len(composed))
"""
DEFAULT = {"backend": "auto", "processes": "auto", "max_replicas": "auto", "submitit": {}, "fail_fast": False}


def multirun(folder, *words):
    """The values of each line that PROGRAM prints."""
    command = [sys.executable, "-c", PROGRAM, "-m", "hydra.sweep.dir=sweep", *words]
    environment = {**os.environ, "HYDRA_FULL_ERROR": "1"}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return [ast.literal_eval(line) for line in ended.stdout.splitlines() if line[:1] in "(0123456789"]


@pytest.mark.slow
def test_all_jobs_are_handed_over_at_once_and_composed_by_nobody_before(tmp_path):
    (settings, jobs, first, seeds, before), after = multirun(
        tmp_path, "optim=nag", "hydra.sweeper.params.seed='3,4'", "optim.lr=1e-2"
    )
    assert settings == DEFAULT
    assert jobs == [[f"seed={seed}", "optim=nag", "optim.lr=0.01"] for seed in (3, 4)]
    assert (first, seeds, before, after) == (0, [3, 4], 0, 0)
    assert sorted(path.name for path in (tmp_path / "sweep").iterdir()) == ["multirun.yaml"]


@pytest.mark.slow
@pytest.mark.parametrize(("launcher", "composed"), [("basic", 2), ("joblib", 0)])  # joblib's children compose
def test_other_launchers_run_a_job_at_a_time(tmp_path, launcher, composed):
    zipped = ["seed=3,4", "model.hidden_size=5,6", "hydra.sweeper.zip=[seed,model.hidden_size]"]
    assert multirun(tmp_path, *zipped, f"hydra/launcher={launcher}") == [composed]
    assert not (tmp_path / "sweep/2").exists()
    assert all((tmp_path / f"sweep/{number}/.hydra/config.yaml").is_file() for number in (0, 1))


@pytest.mark.slow
def test_a_sweeper_that_searches_minimises_the_numbers(tmp_path):
    words = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=2", "seed=range(5,9)"]
    *batches, _ = multirun(tmp_path, *words, "hydra/sweeper/sampler=grid")
    assert [(len(jobs), first) for _, jobs, first, _, _ in batches] == [(2, 0), (1, 2)]
    best = OmegaConf.load(tmp_path / "sweep/optimization_results.yaml")
    values = {float(seed) for _, _, _, seeds, _ in batches for seed in seeds}
    assert best.best_value == min(values) == best.best_params.seed


@pytest.fixture
def launcher(tmp_path):
    def make(task):
        made = BatchedLauncher("processes", 3, 8, OmegaConf.create({"timeout_min": 5}))
        config = OmegaConf.create({"hydra": {"sweep": {"dir": f"{tmp_path}/sweep"}}})
        made.setup(hydra_context=None, task_function=task, config=config)
        return made

    return make


def test_numbers_become_what_a_sweeper_reads(launcher):
    given = []

    class Task(BatchTask):
        def __call__(self, tree): ...

        def launch(self, *words):
            return given.append(words) or [0.5, 2.0]

    returned = launcher(Task()).launch([["seed=1"], ["seed=2"]], 4)
    assert given == [(LauncherSettings("processes", 3, 8, {"timeout_min": 5}), [["seed=1"], ["seed=2"]], 4)]
    assert [(job.return_value, job.status, job.overrides) for job in returned] == [
        (0.5, JobStatus.COMPLETED, ["seed=1"]),
        (2.0, JobStatus.COMPLETED, ["seed=2"]),
    ]


def test_a_task_of_somebody_elses_is_refused(launcher):
    with pytest.raises(HydraException, match="use hydra/launcher=basic"):
        launcher(lambda tree: None).launch([["seed=1"]], 0)


def plan(*words):
    return make_plan(parse_request(["-m", *words]))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["hydra.launcher.backend=inlin"], "backend has no choice 'inlin'; did you mean inline"),
        (["hydra.launcher.backend=null"], "hydra.launcher.backend"),
        (["hydra.launcher.processes=0"], "processes must be auto or a whole number >= 1, got 0"),
        (["hydra.launcher.processes=two"], "processes must be auto or a whole number >= 1, got 'two'"),
        (["hydra.launcher.max_replicas=0"], "max_replicas must be auto or a whole number >= 1, got 0"),
        (["hydra.launcher.max_replicas=2.5"], "got 2.5"),
        (["hydra.launcher.max_replicas=true"], "got true"),
        (["hydra.launcher.max_replicas=many"], "got 'many'"),
        (["hydra.launcher.procesess=2"], "did you mean hydra.launcher.processes"),
        (["hydra.launcher.submitit=3"], "hydra.launcher.submitit"),
        (["hydra/launcher=batchd"], "did you mean batched"),
        (["hydra.job.chdir=true"], r"hydra\.job\.chdir is not supported by hydra/launcher=batched"),
        (["+hydra.job.env_set.A=b"], r"hydra\.job\.env_set is not supported"),
        (["hydra.sweeper.max_batch_size=0"], "max_batch_size must be null or >= 1, got 0"),
    ],
)
def test_settings_that_are_refused(words, message):
    with pytest.raises(ConfigError, match=message) as caught:
        plan(*words)
    assert "\n" not in str(caught.value)


def test_settings_that_pass():
    plan("hydra.launcher.backend=processes", "hydra.launcher.processes=3", "hydra.launcher.max_replicas=8")
    plan("hydra.launcher.submitit.timeout_min=5", "+hydra.launcher.submitit.slurm_partition=short")
    plan("hydra/launcher=basic", "hydra.job.chdir=true")  # another launcher's keys are its own affair


def test_submitit_is_needed_for_its_backends(monkeypatch):
    plan("hydra.launcher.backend=submitit_local")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs submitit: pip install 'rnnbench\[slurm\]'"):
        plan("hydra.launcher.backend=submitit_slurm")
