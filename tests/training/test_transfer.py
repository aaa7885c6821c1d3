"""Rows of a device's numbers: one copy each, waited for beside the training, in order, none lost.

Tensors of torch's meta device stand for those of a GPU, and a copy that ends when it is told to for one of a GPU's.
"""

import threading

import numpy as np
import pytest
import torch
from small_runs import Book

from rnnbench.training.interrupt import Interrupted
from rnnbench.training.observation import Observer
from rnnbench.training.transfer import Transfer

META = torch.device("meta")


class Device:
    """Gives the numbers 0, 1, 2, ... for one copy after another, once it is let go."""

    def __init__(self):
        self.sources, self.may_end, self.waiting = [], threading.Event(), []

    def begin_copy(self, source):
        assert source.device == META
        self.sources.append(source)
        number, target = len(self.sources) - 1, torch.full(source.shape, torch.nan, dtype=source.dtype)

        def wait():
            self.waiting.append(threading.current_thread().name)
            assert self.may_end.wait(10)
            target.copy_(100 * number + torch.arange(source.numel(), dtype=source.dtype).view_as(source))

        return target, wait


def test_columns_of_a_device_travel_together_and_keep_their_place():
    device = Device()
    device.may_end.set()
    columns = {
        "a": torch.empty(3, device=META),
        "b": torch.tensor([1, 2, 3]),
        "c": torch.empty(3, dtype=torch.bool, device=META),
    }
    transfer = Transfer(columns, device.begin_copy)
    assert [tuple(source.shape) for source in device.sources] == [(2, 3)]
    assert device.sources[0].dtype == torch.float64
    assert not device.waiting
    found = transfer.read()
    assert list(found) == ["a", "b", "c"]
    assert [column.tolist() for column in found.values()] == [[0, 1, 2], [1, 2, 3], [3, 4, 5]]


def test_on_the_cpu_nothing_is_asked_for():
    def refuse(source):
        raise AssertionError

    values = torch.tensor([0.1, torch.nan, torch.inf], dtype=torch.float32)
    found = Transfer({"x": values}, refuse).read()["x"]
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, values.double().numpy())
    assert Transfer({}, refuse).read() == {}


def row(observer, update):
    observer.observe(update, [0, 1], {"x": torch.empty(2, device=META), "y": torch.tensor([7.0, 8.0])}, None)


def test_the_training_does_not_wait_and_rows_keep_their_order():
    book, device = Book(), Device()
    with Observer(book, {}, print, begin_copy=device.begin_copy) as observer:
        for update in range(3):
            row(observer, update)
        assert book.rows == []
        device.may_end.set()
        observer.drain()
    assert book.rows == [(k, {"x": [100 * k, 100 * k + 1], "y": [7, 8]}, [0, 1]) for k in range(3)]
    assert all(name.startswith("rnnbench-probes") for name in device.waiting)


@pytest.mark.parametrize("error", [Interrupted, RuntimeError, KeyboardInterrupt])
def test_rows_under_way_are_written_whatever_ends_the_training(error):
    book, device = Book(), Device()

    def train():
        with Observer(book, {}, print, begin_copy=device.begin_copy) as observer:
            row(observer, 0)
            row(observer, 1)
            threading.Timer(0.05, device.may_end.set).start()
            raise error

    with pytest.raises(error):
        train()
    assert [update for update, _, _ in book.rows] == [0, 1]


def test_a_checkpoint_comes_after_the_rows_before_it():
    book, device, saved = Book(), Device(), []
    book.checkpoint = lambda save: saved.append(len(book.rows))
    with Observer(book, {}, print, begin_copy=device.begin_copy) as observer:
        row(observer, 0)
        observer.checkpoint(lambda on_disk: None)
        row(observer, 1)
        assert saved == []
        device.may_end.set()
        observer.drain()
    assert saved == [1]


def test_a_copy_that_fails_reaches_the_training():
    def begin_copy(source):
        def wait():
            raise RuntimeError("the device has failed")

        return torch.zeros(source.shape), wait

    def train():
        with Observer(Book(), {}, print, begin_copy=begin_copy) as observer:
            row(observer, 0)
            observer.drain()

    with pytest.raises(RuntimeError, match="the device has failed"):
        train()
