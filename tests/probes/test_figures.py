"""Words in the pictures: none is cut off at the edge of its picture, none lies on another."""

from itertools import combinations

import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from rnnbench.probes import figures, gradient_figures, jacobian_figures
from rnnbench.probes.base import draw_quietly
from rnnbench.records.events import png_size

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
    "product": lambda: jacobian_figures.draw_product_norms(range(54), -LAGS[:, None] / 10 + torch.zeros(2)),
    "growing product": lambda: jacobian_figures.draw_product_norms(range(54), LAGS[:, None] / 10 + torch.zeros(2)),
    "singular values": lambda: jacobian_figures.draw_product_singular_values(
        [0, 10, 50], -torch.tensor([[0.0], [10.0], [50.0]]) * (RANKS / 30)[None]
    ),
    "exponents below 0": lambda: jacobian_figures.draw_lyapunov(-0.15 - RANKS[None] / 30, 54),
    "exponents above 0": lambda: jacobian_figures.draw_lyapunov(0.15 - RANKS[None] / 300, 54),
}


NUMBERS = torch.rand(120, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1
OF_NUMBERS = {
    "eigenvalues": (lambda x: figures.draw_eigenvalues(torch.complex(x, -x)), (12,)),
    "lag decay": (figures.draw_lag_decay, (9,)),
    "curvature": (
        lambda x: gradient_figures.draw_gradient_against_curvature(x, x.sqrt(), dict.fromkeys(UPHILL, x), x[0]),
        (5,),
    ),
    "lags": (lambda x: gradient_figures.draw_gradient_by_lag(x, x.abs()), (9,)),
    "moduli": (lambda x: jacobian_figures.draw_moduli(x, 2 * x), (3, 6)),
    "push": (lambda x: jacobian_figures.draw_push(x, 1e-4), (3, 6, 4)),
    "product": (lambda x: jacobian_figures.draw_product_norms([0, 1, 2, 5, 10, 20, 50], x), (7, 2)),
    "singular values": (lambda x: jacobian_figures.draw_product_singular_values([0, 2, 4, 6], x), (4, 5)),
    "exponents": (lambda x: jacobian_figures.draw_lyapunov(x, 30), (2, 5)),
}


@pytest.mark.parametrize("name", PICTURES)
def test_words_are_whole_and_apart(name):
    figure = PICTURES[name]()
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


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_as_wide_as_tensorboard_shows_them(name):
    """It shows them 350 pixels wide and does not smooth; larger ones for a file have whole multiples."""
    assert png_size(figures.to_png(PICTURES[name]()))[0] == 350
    with figures.enlarged(2):
        assert png_size(figures.to_png(PICTURES[name]()))[0] == 700


@pytest.mark.parametrize("name", OF_NUMBERS)
def test_any_numbers_can_be_drawn(name):
    draw, shape = OF_NUMBERS[name]
    values = (torch.nan, torch.inf, -torch.inf, 1e300)
    everywhere, first, every_other = slice(None), slice(1), slice(None, None, 2)
    cases = [(value, everywhere) for value in values] + list(zip(values, (first, every_other) * 2, strict=True))
    for value, where in cases:
        numbers = NUMBERS[: torch.Size(shape).numel()].clone()
        numbers[where] = value
        draw_quietly(lambda _, numbers=numbers: figures.to_png(draw(numbers.view(shape))), 0)
