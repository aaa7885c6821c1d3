"""Base class of experiments: measure, judge by the rule, draw."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rnnbench.config.rule import Rule
from rnnbench.experiments.study import Study
from rnnbench.experiments.verdict import Finding

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Measured = Mapping[str, Any]


class Experiment(ABC):
    """Tests one claim.

    `judge` and `draw` use only the measured numbers, so that both can be repeated from a record.

    Attributes:
        rule: Claim, settings and thresholds.
        size: Width and height of the figure, in inches.
    """

    size: tuple[float, float] = (8.4, 3.9)
    untrained_parts: ClassVar[Sequence[str]] = ()
    """Names of the parts that need no sweep; they are measured first."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    @property
    def parts(self) -> Sequence[str]:
        """Names of the parts, in the order in which they are measured: those without a sweep, then every sweep."""
        return (*self.untrained_parts, *self.rule.sweeps)

    @abstractmethod
    def measure(self, study: Study) -> Measured:
        """Train and measure what is missing in the study's folder.

        Returns:
            Numbers, strings, and lists and dictionaries of these.
        """

    @abstractmethod
    def judge(self, measured: Measured) -> Sequence[Finding]:
        """Compare the numbers with claim, control and theory; the first finding is the main number of the claim."""

    @abstractmethod
    def draw(self, figure: "Figure", measured: Measured) -> None:
        """Draw the figure from the measured numbers."""
