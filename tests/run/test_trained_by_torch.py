"""A net of torch, trained by torch on the sequences that a task gives, ends where a run ends."""

import pytest
import torch
from torch import nn

from rnnbench.config.plan import make_plan
from rnnbench.config.request import Request
from rnnbench.modules.from_model import module_of
from rnnbench.objective.engine import Engine
from rnnbench.records import read_summary
from rnnbench.run.job_folders import Job
from rnnbench.run.setup import set_up
from rnnbench.run.single_run import run_job
from rnnbench.tasks import Adding

RUN = ("model.hidden_size=8", "task.variant=thesis", "task.sequence_length=20", "seed=7", "budget.updates=6")
SGD = ("optim=sgd", "optim.batch_size=16", "optim.lr=0.05", "optim.momentum=0.9", "optim.clip_norm=null")


def test_the_same_loss_and_error_rate(tmp_path):
    overrides = (*RUN, *SGD, "dtype=float64", "threads=1", "probe=none", f"hydra.run.dir={tmp_path}-unused")
    (config,) = make_plan(Request(overrides=overrides)).configs
    setup = set_up([config])
    model = setup.built.model
    (theta,) = setup.first_theta([7], None, Engine(model, dtype=torch.float64))
    net = module_of(model, {name: values[0] for name, values in model.parameters(theta.unsqueeze(0)).items()})
    assert run_job(Job(config, tmp_path), setup, quiet=True) == 0
    summary = read_summary(tmp_path)

    task = Adding(20, "thesis")
    trained = [parameter for name, parameter in net.named_parameters() if "bias_hh" not in name]  # a run has one bias
    optimizer = torch.optim.SGD(trained, lr=0.05, momentum=0.9)
    for data in task.dataset(7, 16, num_updates=6, dtype=torch.float64):
        optimizer.zero_grad()
        nn.MSELoss()(data.at_targets(net(data.inputs)), data.targets).backward()
        optimizer.step()
    held_out = task.batch(0, 0, 1000, stream="validation", dtype=torch.float64)
    with torch.no_grad():
        outputs = held_out.at_targets(net(held_out.inputs))
    assert task.mean_loss(outputs, held_out).item() == pytest.approx(summary.loss, rel=1e-9)
    assert task.error_rate(outputs, held_out) == summary.error_rate
