"""Short descriptions of task variants, for the table in the documentation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Description:
    """A variant at one sequence length, described in a few words per column.

    Attributes:
        lengths: Possible numbers of steps L of a sequence.
        inputs: Inputs of one step.
        places: Steps (0-based, both ends included) from which the relevant ones are drawn.
        target: Target, at the last step unless another is named.
        miss: Condition under which a sequence is wrong.
    """

    lengths: str
    inputs: str
    places: str
    target: str
    miss: str


def describe_range(numbers: range) -> str:
    """The first and last number of a range: "3..7", or "3" if there is only one."""
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}..{numbers[-1]}"
