"""Small runs for the tests of the Python functions."""

import numpy as np
import torch

SMALL = ("task.sequence_length=8", "model.hidden_size=5", "threads=1", "probe=none")
SGD = (*SMALL, "optim=sgd", "optim.batch_size=10", "budget.updates=6", "record.log_every=2", "record.evaluate_every=3")


def same(first, second):
    """Whether two runs have the same records and weights, bit for bit."""
    assert first.metrics.keys() == second.metrics.keys()
    for name in first.metrics.keys() - {"time/seconds"}:
        np.testing.assert_array_equal(first.metrics[name], second.metrics[name], err_msg=name)
    assert torch.equal(first.theta, second.theta)
    assert (first.status, first.config) == (second.status, second.config)
