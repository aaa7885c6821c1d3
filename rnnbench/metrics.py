"""Definitions of recorded metrics: each part of the program describes its own metrics as `Metric` objects.

docs/metrics.md is made from these descriptions.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A recorded number.

    Attributes:
        tag: Column of metrics.csv and tag in TensorBoard; a part in capitals stands for several names.
        formula: Definition, precise enough to compute the number again.
        unit: Unit; "1" for a pure number.
        healthy: Behaviour in a run that learns, and the meaning of other values.
    """

    tag: str
    formula: str
    unit: str
    healthy: str
