"""Imported by the process that workers are forked from: all that a group needs, the fonts of its pictures included."""

import atexit
import gc
import os

import torch

import rnnbench.sweep.group_run  # noqa: F401 - to have it imported
from rnnbench.probes.figures import draw_lag_decay

draw_lag_decay(torch.tensor([1.0, 0.1]))

# What is there now will stay: no worker need look for garbage in it, which would also copy the pages it shares.
gc.freeze()

# It ends with the command, whose output it holds open: at once, not after the second in which torch is taken apart.
atexit.register(os._exit, 0)
