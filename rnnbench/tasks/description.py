"""What a variant of a task does, in words, for the table in the documentation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Description:
    """A variant at one sequence length, each point a few words.

    Attributes:
        lengths: Numbers of steps L of its sequences.
        inputs: What a step shows.
        places: The steps (0-based, both ends included) from which the ones that matter are drawn.
        target: What is asked for, at the last step where it says no other.
        miss: When a sequence counts as wrong.
    """

    lengths: str
    inputs: str
    places: str
    target: str
    miss: str


def describe_range(numbers: range) -> str:
    """The first and last number of a range: "3..7", or "3" if it has one only."""
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}..{numbers[-1]}"
