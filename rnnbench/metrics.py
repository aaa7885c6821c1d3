"""What a recorded number means: each part of the program that records one says so in a `Metric`.

docs/metrics.md is made from these sentences.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A recorded number.

    Attributes:
        tag: Column of metrics.csv and tag in TensorBoard; a part in capitals stands for several names.
        formula: What it is, precise enough to compute it again.
        unit: Its unit; "1" for a pure number.
        healthy: What a run that learns shows, and what other values say.
    """

    tag: str
    formula: str
    unit: str
    healthy: str
