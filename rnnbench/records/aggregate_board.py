"""Columns of a cell of the aggregate, and their tags and charts in TensorBoard."""

from collections.abc import Mapping, Sequence

from rnnbench.records.board import DETAILS, OVERVIEW, QUANTILES, Board, Chart, Shown

LEVELS: Mapping[str, float] = {"": 0.5, "_q10": 0.1, "_q90": 0.9}
"""Quantiles recorded for each metric: suffix of the column -> share of the replicas with a smaller or equal value."""

SHARES = ("replicas/solved_share", "replicas/active_share", "replicas/diverged_share")
"""Columns with shares of a cell's replicas: solved so far (including those in training), in training, diverged."""

_SHOWN_SHARES = {
    SHARES[0]: Shown(
        f"{OVERVIEW}/0_{SHARES[0]}", "Share of the replicas that are solved, including those still in training."
    ),
    SHARES[1]: Shown(SHARES[1], "Share of the replicas that are still in training."),
    SHARES[2]: Shown(SHARES[2], "Share of the replicas that have diverged."),
}
_LEVEL_WORDS = {"": "Median", "_q10": "10th percentile", "_q90": "90th percentile"}
_PAGE = (
    "Median over the seeds, with a band from the 10th to the 90th percentile. "
    "(If a line leaves its chart, untick 'Ignore outliers in chart scaling'.)"
)


def aggregate_columns(columns: Sequence[str]) -> list[str]:
    """Columns of a cell's metrics.csv, for the metrics of a run."""
    return [*SHARES, *(f"{column}{suffix}" for column in columns for suffix in LEVELS)]


def aggregate_board(columns: Sequence[str], board: Board) -> Board:
    """Return the board of a cell.

    It shows the median and the quantiles of the metrics of the overview, nothing of the metrics of the last group, and
    the median of all others.

    Args:
        columns: Columns of a run's metrics.csv.
        board: Board of a run.
    """
    scalars: dict[str, Shown | None] = dict(_SHOWN_SHARES)
    solved = SHARES[0]
    # A band without width, since TensorBoard would smooth a line.
    charts = {_SHOWN_SHARES[solved].tag: Chart("share of the seeds solved", bands=[(solved, solved, solved)])}
    for column in columns:
        shown = board.shown(column)
        is_first = shown is not None and shown.tag.startswith(f"{OVERVIEW}/")
        for suffix, words in _LEVEL_WORDS.items():
            name, one = f"{column}{suffix}", None
            if shown is not None and (is_first or not suffix) and not shown.tag.startswith(f"{DETAILS}/"):
                text = f"{words} over the replicas. {shown.description}" if shown.description else ""
                one = Shown(f"{QUANTILES}/{name}" if suffix else shown.tag, text)
            scalars[name] = one
        if shown is not None and is_first:
            constants = [constant.name for constant in board.constants if constant.beside == column]
            bands = [(column, f"{column}_q10", f"{column}_q90"), *((name, name, name) for name in constants)]
            charts[shown.tag] = Chart(column, bands=bands)
    return Board(scalars, board.constants, _PAGE, [charts[tag] for tag in sorted(charts)])
