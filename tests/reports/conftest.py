from types import SimpleNamespace

import pytest
from matplotlib.figure import Figure

from rnnbench.reports import drawing


@pytest.fixture
def painted(monkeypatch):
    """Figures are painted but not turned into SVG, which takes most of the time; gives their axes in order."""
    axes = []

    def paint_alone(paint, **_):
        axes.append(Figure().add_subplot())
        paint(axes[-1])
        return SimpleNamespace(svg="<svg></svg>")

    monkeypatch.setattr(drawing, "Picture", paint_alone)
    return axes
