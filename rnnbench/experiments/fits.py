"""Straight lines through series."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Lines:
    """Least-squares lines through several series.

    Attributes:
        slope: Slope of each line, (...).
        straightness: Share of the variance that each line explains (R^2), (...).
    """

    slope: Tensor
    straightness: Tensor


def fit_lines(series: Tensor, first: int, last: int) -> Lines:
    """Fit a line to each series between two indices.

    Args:
        series: Series, (length, ...); the abscissa is the index on the first axis.
        first: First index of the fit.
        last: Last index, included.
    """
    values = series[first : last + 1].double()
    abscissa = torch.arange(first, last + 1, dtype=torch.float64).view(-1, *[1] * (values.ndim - 1))
    abscissa = abscissa - abscissa.mean()
    deviation = values - values.mean(0)
    slope = (abscissa * deviation).sum(0) / abscissa.square().sum()
    explained = (slope * abscissa).square().sum(0)
    total = deviation.square().sum(0)
    return Lines(slope, torch.where(total > 0, explained / torch.where(total > 0, total, 1.0), 0.0))
