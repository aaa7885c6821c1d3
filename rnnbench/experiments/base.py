"""What an experiment is: it measures, judges what was measured by its rule, and draws it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rnnbench.config.rule import Rule
from rnnbench.experiments.study import Study
from rnnbench.experiments.verdict import Finding

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Measured = Mapping[str, Any]


class Experiment(ABC):
    """One claim.

    Judgement and figure are made of the measured numbers alone, so that they can be made again from a record.

    Attributes:
        rule: What it claims, does and is judged by.
        size: Of the figure, inches.
    """

    size: tuple[float, float] = (8.4, 3.9)

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    @abstractmethod
    def measure(self, study: Study) -> Measured:
        """Train and measure what is not yet in the study's folder; numbers, texts, lists and dictionaries of these."""

    @abstractmethod
    def judge(self, measured: Measured) -> Sequence[Finding]:
        """What the numbers say to the claim, its control and the theory; the first one is the claim's main number."""

    @abstractmethod
    def draw(self, figure: "Figure", measured: Measured) -> None:
        """Draw the figure, from the numbers alone."""
