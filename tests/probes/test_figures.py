"""Words in the pictures: none is cut off at the edge of its picture, none lies on another."""

from itertools import combinations

import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from rnnbench.probes import figures, gradient_figures, jacobian_figures

LAGS = torch.arange(54, dtype=torch.float64)
RANKS = torch.arange(100, dtype=torch.float64)
CURVATURE = torch.logspace(2, -2, 10, dtype=torch.float64)
STEPS = {"gradient_descent": 0.01 * CURVATURE, "momentum": 0.1 * CURVATURE, "newton": CURVATURE / (CURVATURE + 0.1)}
UPHILL = {**STEPS, "update": 0.01 * CURVATURE * torch.tensor([1.0, -1.0]).repeat(5)}
GROWTH = torch.tensor([-0.1, -0.101, 0.2]).view(3, 1, 1) * torch.arange(11).view(1, 11, 1).expand(3, 11, 4)


PICTURES = {
    "eigenvalues": lambda: figures.draw_eigenvalues(torch.polar(RANKS / 90, RANKS)),
    "lag decay": lambda: figures.draw_lag_decay((-LAGS / 5).exp()),
    "curvature": lambda: gradient_figures.draw_gradient_against_curvature(
        CURVATURE, CURVATURE.sqrt(), UPHILL, torch.tensor(0.985)
    ),
    "lags": lambda: gradient_figures.draw_gradient_by_lag(-(LAGS - 3).sign() / 54, 1e-7 * (-LAGS).exp()),
    "moduli": lambda: jacobian_figures.draw_moduli((-RANKS / 30).exp()[None], 1.9 * (-RANKS / 20).exp()[None]),
    "push": lambda: jacobian_figures.draw_push(GROWTH, 0.001),
    "product": lambda: jacobian_figures.draw_product_norms(-LAGS[:, None] / 10 + torch.zeros(2)),
    "growing product": lambda: jacobian_figures.draw_product_norms(LAGS[:, None] / 10 + torch.zeros(2)),
    "singular values": lambda: jacobian_figures.draw_product_singular_values(
        [0, 10, 50], -torch.tensor([[0.0], [10.0], [50.0]]) * (RANKS / 30)[None]
    ),
    "exponents below 0": lambda: jacobian_figures.draw_lyapunov(-0.15 - RANKS[None] / 30, 54),
    "exponents above 0": lambda: jacobian_figures.draw_lyapunov(0.15 - RANKS[None] / 300, 54),
}


def drawn(draw, monkeypatch):
    """The figure that a picture is made from."""
    found = []
    for module in (figures, gradient_figures, jacobian_figures):
        monkeypatch.setattr(module, "to_png", lambda figure: found.append(figure) or b"")
    draw()
    return found[0]


@pytest.mark.parametrize("name", PICTURES)
def test_words_are_whole_and_apart(name, monkeypatch):
    figure = drawn(PICTURES[name], monkeypatch)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer, edge = canvas.get_renderer(), figure.bbox
    words = [text for axes in figure.axes for text in (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts)]
    boxes = {text.get_text(): text.get_window_extent(renderer) for text in words if text.get_text()}
    for text, box in boxes.items():
        assert edge.x0 <= box.x0 < box.x1 <= edge.x1, f"{text!r} is cut"
        assert edge.y0 <= box.y0 < box.y1 <= edge.y1, f"{text!r} is cut"
    for (text, box), (other, another) in combinations(boxes.items(), 2):
        assert not box.overlaps(another), f"{text!r} lies on {other!r}"
