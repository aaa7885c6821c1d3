"""What can be wrong with what a report is asked for."""

from collections.abc import Sequence


class ReportError(Exception):
    """No report can be made: one line that says what is wrong and what would be right."""


class UnknownFieldError(ReportError):
    """A field was named that no run has.

    Attributes:
        field: Name that was given.
        fields: Those that exist.
    """

    def __init__(self, field: str, fields: Sequence[str]) -> None:
        super().__init__(f"by={field}: no run has a field {field}")
        self.field = field
        self.fields = tuple(fields)
