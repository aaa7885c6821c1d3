"""The kernels in whole commands on the simulated device, whose tensors alone they are given."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from rnnbench.config.plan import make_plan
from rnnbench.config.request import parse_request
from rnnbench.run.job_folders import Job
from rnnbench.run.setup import set_up
from rnnbench.run.single_run import run_job
from rnnbench.training.observation import Observer

SIZES = ("model.hidden_size=16", "budget.updates=2", "record.log_every=1", "threads=1")
NAG = ("optim=nag", "optim.batch_size=6")
HF = (
    *(f"optim.{name}_batch_size=10" for name in ("gradient", "curvature")),
    "optim.max_cg_iterations=3",
)


@pytest.fixture
def device(monkeypatch):
    """The simulated device; what the kernels are given is counted."""
    simulated = pytest.importorskip("simulated", reason="torch takes no device in Python", exc_type=ImportError)
    from rnnbench.kernels import launch

    started = launch._launch

    def start(kernel, in_place, arguments, *others):
        tensors = [argument for argument in arguments if isinstance(argument, torch.Tensor)]
        assert tensors
        assert {tensor.device for tensor in tensors} == {simulated.DEVICE}
        held = [argument.held if isinstance(argument, torch.Tensor) else argument for argument in arguments]
        started(kernel, in_place, held, *others)
        launches.append(kernel.__name__)

    launches = []
    monkeypatch.setattr(launch, "_launch", start)
    at_once = partial(Observer, begin_copy=simulated.copy_at_once)
    monkeypatch.setattr("rnnbench.run.batched_run.Observer", at_once)
    monkeypatch.setattr("rnnbench.training.problem.NUM_EVALUATION_SEQUENCES", 20)  # the interpreter takes its time
    return "simulated", launches


def metrics(words, device, folder):
    folder.mkdir()
    config = make_plan(parse_request([*words, *SIZES, f"hydra.run.dir={folder}/unused"])).configs[0]
    config = replace(config, device=device)
    assert run_job(Job(config, folder), set_up([config]), quiet=True) == 0
    return pd.read_csv(folder / "metrics.csv")


@pytest.mark.parametrize(
    "words",
    [
        (*NAG, "task.sequence_length=6"),
        ("optim=hf", *HF, "task.sequence_length=6"),
        ("optim=adam", "task=memorization_1", "task.sequence_length=3", "optim.batch_size=6"),
        (*NAG, "task.variant=pascanu13", "task.sequence_length=10", "model.nonlinearity=relu"),
    ],
    ids=["nag", "hf", "several outputs", "relu"],
)
def test_a_command_by_kernels_leaves_the_records_of_the_cpu(words, device, tmp_path):
    name, launches = device
    expected = metrics([*words, "model.recurrence=torch"], "cpu", tmp_path / "cpu")
    assert not launches
    found = metrics([*words, "model.recurrence=triton"], name, tmp_path / "device")
    assert {"states_kernel", "gradients_kernel"} <= set(launches)
    assert ("tangents_kernel" in launches) == ("optim=hf" in words)
    for column in expected:
        if not column.startswith("time/"):
            np.testing.assert_allclose(found[column], expected[column], rtol=2e-3, atol=1e-5, err_msg=column)
