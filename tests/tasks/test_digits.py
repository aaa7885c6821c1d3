import sys

import pytest
import torch
from sklearn.datasets import load_digits

from rnnbench import cli
from rnnbench.tasks import Digits
from rnnbench.tasks.base import Stream
from rnnbench.tasks.digits import images, pixel_order


def test_an_evaluation_shows_the_last_500_images_pixel_by_pixel():
    pixels, classes = load_digits(return_X_y=True)
    data = Digits(70).batch(0, 0, 1000, stream="validation")
    expected = torch.from_numpy(pixels[-500:]).float().repeat(2, 1) / 16
    assert torch.equal(data.inputs[:, :64, 0], expected)
    assert not data.inputs[:, 64:].any()
    assert data.targets.tolist() == [*classes[-500:].tolist()] * 2
    later = Digits(70).batch(0, 0, 3, stream="test", first_row=499)
    assert torch.equal(later.inputs[:, :64, 0], expected[499:502])


def test_every_seed_is_evaluated_on_the_same_images():
    batch = Digits(64).replica_batch([0, 5], Stream.EVALUATION, 7, 20)
    assert torch.equal(batch.inputs[:, 0], batch.inputs[:, 1])


def test_training_draws_the_other_images():
    pixels, classes = load_digits(return_X_y=True)
    rows = {tuple(row): int(one) for row, one in zip((pixels[:-500] / 16).tolist(), classes, strict=False)}
    data = Digits(64).batch(3, 8, 4000)
    shown = list(map(tuple, data.inputs[:, :, 0].double().tolist()))
    assert [rows[row] for row in shown] == data.targets.tolist()
    assert len(set(shown)) / 1297 == pytest.approx(1 - (1 - 1 / 1297) ** 4000, abs=0.02)


def test_the_permutation_is_fixed():
    order = pixel_order()
    assert order.sort().values.tolist() == list(range(64))
    plain, permuted = (Digits(64, variant).batch(1, 2, 9) for variant in Digits.variants)
    assert torch.equal(permuted.inputs, plain.inputs[:, order])
    assert order[:6].tolist() == [36, 35, 55, 56, 45, 48]  # part of the record: it never changes


def test_without_scikit_learn_one_line_names_the_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    images.cache_clear()
    assert cli.main(["train", "-q", "task=digits"]) == 2
    message = "rnnbench: task=digits reads the images of scikit-learn: pip install 'rnnbench[digits]' installs it\n"
    assert capsys.readouterr().err == message
