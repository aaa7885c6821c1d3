"""Memory over a run with every probe: what is alive after many rows is what was alive after few."""

import gc

import torch

from rnnbench.config.plan import make_plan
from rnnbench.config.request import Request
from rnnbench.run.job_folders import Job
from rnnbench.run.setup import set_up
from rnnbench.run.single_run import run_job
from rnnbench.training.observation import Observer

EARLY, LATE = 5, 9
"""Rows after which it is looked at. Pictures are drawn twice before the first, so that what is kept once is there."""

OVERRIDES = (
    "task.sequence_length=8",
    "model.hidden_size=6",
    "threads=1",
    "optim=nag",
    "optim.batch_size=10",
    "probe=all",
    "record.log_every=1",
    "record.evaluate_every=100",
    f"budget.updates={LATE}",
)


class Alive:
    """Tensors that there are in the process after some rows; the numbers of a kept row hold some, too."""

    def __init__(self):
        self.rows, self.tensors, self.bytes = 0, [], []

    def look(self, observer):
        """After a row, with no reading under way."""
        self.rows += 1
        if self.rows not in (EARLY, LATE):
            return
        observer.drain()
        gc.collect()
        # isinstance would ask deprecated objects of torch for their class, which warns.
        tensors = [each for each in gc.get_objects() if issubclass(type(each), torch.Tensor)]
        self.tensors.append(len(tensors))
        self.bytes.append(sum(each.nbytes for each in tensors))


def test_memory_is_the_same_after_many_rows(tmp_path, monkeypatch):
    alive, observe = Alive(), Observer.observe

    def observe_and_look(self, *args):
        observe(self, *args)
        alive.look(self)

    monkeypatch.setattr(Observer, "observe", observe_and_look)
    (config,) = make_plan(Request(overrides=(*OVERRIDES, f"hydra.run.dir={tmp_path}-unused"))).configs
    for settings in config.probe.values():
        settings.every = 1
        if hasattr(settings, "picture_every"):
            settings.picture_every = 4
    config.probe["curvature"].num_iterations = 4
    config.probe["curvature"].num_eigenvectors = 2
    assert run_job(Job(config, tmp_path), set_up([config]), quiet=True) == 0
    assert alive.tensors[0] == alive.tensors[1]
    assert alive.bytes[0] == alive.bytes[1]
