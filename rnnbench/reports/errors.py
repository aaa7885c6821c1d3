"""Errors of a request for a report."""

from collections.abc import Sequence


class ReportError(Exception):
    """No report can be made; the message is one line that names the problem and its remedy."""


class UnknownFieldError(ReportError):
    """No run has the requested field.

    Attributes:
        field: Name of the requested field.
        fields: Names of the existing fields.
    """

    def __init__(self, field: str, fields: Sequence[str]) -> None:
        super().__init__(f"by={field}: no run has a field {field}")
        self.field = field
        self.fields = tuple(fields)
