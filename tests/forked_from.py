"""What the process does first from which the tests' commands are forked: every import, and one composition."""

import contextlib

import composed_once  # noqa: F401 # as the others, what commands and the tests' functions in them import
import small_sweeps  # noqa: F401
import unsynced  # noqa: F401

import rnnbench.commands.train
import rnnbench.run.single_run
import rnnbench.sweeps.hydra_jobs
import rnnbench.sweeps.resume  # noqa: F401
from rnnbench.config.plan import make_plan
from rnnbench.config.request import parse_request

with contextlib.suppress(ImportError):  # of the sweeper that the tests ask for, where it is installed
    import optuna  # noqa: F401

make_plan(parse_request(["--cfg", "job"]))
