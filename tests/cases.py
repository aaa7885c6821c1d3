"""Models, losses and batches on which the tests of numbers run, and how two results are compared."""

import torch

from rnnbench.checks import law
from rnnbench.checks.cases import F64, Case, case_of, make_case, random_batch
from rnnbench.checks.law import RELATIVE
from rnnbench.checks.model_laws import assert_replica_law

__all__ = [
    "F64",
    "INPUT_SIZE",
    "RELATIVE",
    "Case",
    "assert_close",
    "assert_replica_law",
    "case_of",
    "make_case",
    "mean_loss",
    "output_size",
    "random_batch",
]

INPUT_SIZE = 2


def output_size(loss):
    """Units of the readout for a loss: three classes, or two outputs of their own."""
    return 2 if loss == "squared_error" else 3


def mean_loss(name, outputs, targets):
    """A loss of each replica, (R,), by torch's own functions.

    Args:
        name: One of `LOSSES`.
        outputs: (S, R, B, o).
        targets: Of a batch.
    """
    if name == "squared_error":
        return (outputs - targets).square().sum(-1).mean((0, 2))
    if name == "sigmoid_cross_entropy":
        function = torch.nn.functional.binary_cross_entropy
        return function(outputs.sigmoid(), targets, reduction="none").sum(-1).mean((0, 2))
    return torch.nn.functional.cross_entropy(outputs.movedim(-1, 1), targets, reduction="none").mean((0, 2))


def assert_close(actual, expected, relative=RELATIVE):
    """Compare two tensors, relative to the largest entry of the expected one; both may be zero."""
    law.assert_close(actual, expected, relative=relative)
