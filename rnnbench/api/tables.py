"""Tables: rows as dictionaries, and as a pandas.DataFrame where pandas is installed."""

from collections.abc import Mapping, Sequence
from html import escape
from importlib import import_module
from typing import Any


class Rows(list[dict[str, Any]]):
    """The rows of a table: column -> value, the same columns in each; None: no value."""

    def frame(self) -> Any:
        """The table as a pandas.DataFrame.

        Raises:
            ImportError: pandas is not installed.
        """
        return frame_of(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        head = "".join(f"<th>{escape(name)}</th>" for name in (self[0] if self else ()))
        rows = "".join(
            f"<tr>{''.join(f'<td>{escape(_shown(value))}</td>' for value in row.values())}</tr>" for row in self
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _shown(value: Any) -> str:
    """A value as a notebook shows it."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def frame_of(table: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Any:
    """A table as a pandas.DataFrame.

    Args:
        table: Name of a column -> its values; or the rows, each with a value for each column.

    Raises:
        ImportError: pandas is not installed.
    """
    try:
        pandas = import_module("pandas")
    except ImportError as error:
        raise ImportError("a DataFrame needs pandas: pip install pandas") from error
    return pandas.DataFrame(table)
