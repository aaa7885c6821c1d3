"""Imported by the process that workers are forked from: everything that a group needs, including fonts."""

import atexit
import gc
import os

import torch

import rnnbench.sweeps.group_run  # noqa: F401 - preloads it for the workers
from rnnbench.probes.figures import draw_lag_decay, to_png

to_png(draw_lag_decay(torch.tensor([1.0, 0.1])))

# These objects are never freed. The collector must not visit them, because that would copy shared memory pages.
gc.freeze()

# Exit immediately at the end of the command: tearing down torch takes a second and keeps the output open.
atexit.register(os._exit, 0)
