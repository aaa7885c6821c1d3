"""Tables as pandas.DataFrame, where pandas is installed."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any


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
