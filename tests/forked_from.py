"""What the process does first from which the tests' commands are forked: every import, and one composition."""

import small_sweeps  # noqa: F401 # as the others, what commands and the tests' functions in them import
import unsynced  # noqa: F401

import rnnbench.commands.train
import rnnbench.run.single_run
import rnnbench.sweep.hydra_jobs
import rnnbench.sweep.resume  # noqa: F401
from rnnbench.config.plan import make_plan
from rnnbench.config.request import parse_request

make_plan(parse_request(["--cfg", "job"]))
