"""Definitions of recorded metrics: each part of the program describes its own metrics as `Metric` objects.

docs/metrics.md is made from these descriptions.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A recorded number.

    Attributes:
        tag: Column of metrics.csv; a part in capitals stands for several names.
        formula: Definition, precise enough to compute the number again.
        unit: Unit; "1" for a pure number.
        healthy: Behaviour in a run that learns, and the meaning of other values.
        overview: Position among the metrics that TensorBoard shows first; 0: not among them. 2 is taken by the constant
            predictor.
        is_detail: Whether few readers need the metric, so that TensorBoard shows it last.
    """

    tag: str
    formula: str
    unit: str
    healthy: str
    overview: int = 0
    is_detail: bool = False

    def match(self, column: str) -> str | None:
        """The part of a column's name in place of the capitals, "" if there are none; None: another metric's column."""
        stem = self.tag.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        if column == self.tag == stem:
            return ""
        is_one = stem != self.tag and column.startswith(stem) and len(column) > len(stem)
        return column[len(stem) :] if is_one else None
