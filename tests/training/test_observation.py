"""Rows are complete, in order, and outlive a probe that fails."""

import logging
import threading

import pytest
import torch
from small_runs import Book

from rnnbench.metrics import Metric
from rnnbench.probes.base import Probe, Reading
from rnnbench.records import RecordError
from rnnbench.training.observation import MAX_WAITING_ROWS, Observer, ScheduledProbe


class Echo(Probe):
    """Gives back the row it is asked for, on the probes' thread."""

    metrics = (Metric("echo/row", "the row", "1", "-"),)

    def __init__(self, fail_at=None, fail_in="read", hold=None):
        self.fail_at, self.fail_in, self.hold, self.threads = fail_at, fail_in, hold, set()

    def columns(self, model, num_steps):
        return ["echo/row"]

    def capture(self, view):
        if self.fail_in == "capture" and view == self.fail_at:
            raise ZeroDivisionError("a probe's own mistake")

        def read():
            self.threads.add(threading.current_thread().name)
            if self.hold is not None:
                self.hold.wait()
            if self.fail_in == "read" and view == self.fail_at:
                raise ZeroDivisionError("a probe's own mistake")
            values = torch.full((8,), float(view))
            return Reading(
                {"echo/row": values}, {"echo/histogram": torch.zeros(8, 3)}, {"echo/picture": lambda k: bytes([k])}
            )

        return read


def observe(observer, count, replicas=range(8)):
    for update in range(count):
        observer.observe(update, list(replicas), {"loss/train": torch.zeros(8)}, lambda num_logged: num_logged)


def test_rows_wait_for_their_probes_and_keep_their_order():
    book, probe, notices = Book(), Echo(), []
    with Observer(book, {"echo": ScheduledProbe(probe, 2)}, notices.append) as observer:
        observe(observer, 5)
        observer.drain()
        assert [update for update, _, _ in book.rows] == [0, 1, 2, 3, 4]
        assert ["echo/row" in values for _, values, _ in book.rows] == [True, False, True, False, True]
        assert book.rows[4][1]["echo/row"] == [4.0] * 8
        assert book.synced == 1
        assert all(name.startswith("rnnbench-probes") for name in probe.threads)
        assert not notices


def test_pictures_and_histograms_are_of_the_first_replicas():
    book = Book()
    with Observer(book, {"echo": ScheduledProbe(Echo(), 1)}, print) as observer:
        observe(observer, 1, [0, 1, 5, 7, 8, 9, 10, 11])
        observer.drain()
        assert [(replica, png) for replica, _, _, png in book.pictures] == [(0, b"\x00"), (1, b"\x01")]
        assert [replica for replica, _, _ in book.histograms] == [0, 1]


@pytest.mark.parametrize("fail_in", ["capture", "read"])
def test_a_probe_that_fails_is_said_once_and_left_out(fail_in, caplog):
    book, notices = Book(), []
    probes = {"bad": ScheduledProbe(Echo(2, fail_in), 1)}
    with Observer(book, probes, notices.append) as observer:
        with caplog.at_level(logging.ERROR):
            for update in range(5):
                observer.observe(update, [0], {"loss/train": torch.zeros(1)}, lambda num_logged: num_logged)
                observer.drain()  # so that no later row is captured before the failure
        assert [update for update, _, _ in book.rows] == [0, 1, 2, 3, 4]
        assert ["echo/row" in values for _, values, _ in book.rows] == [True, True, False, False, False]
        assert notices == ["probe bad failed at update 2 and is left out from now on: a probe's own mistake"]
        assert "ZeroDivisionError" in caplog.text


def test_a_probe_that_is_off_is_never_read():
    book = Book()
    with Observer(book, {"echo": ScheduledProbe(Echo(), 0)}, print) as observer:
        observe(observer, 2)
        observer.drain()
        assert not any("echo/row" in values for _, values, _ in book.rows)


def test_a_record_that_cannot_be_written_reaches_the_training():
    book = Book()
    with Observer(book, {}, print) as observer:
        book.error = RecordError("the disk is full")
        with pytest.raises(RecordError, match="the disk is full"):
            observe(observer, MAX_WAITING_ROWS + 2)


def test_training_waits_when_too_many_rows_do():
    book, hold = Book(), threading.Event()
    with Observer(book, {"echo": ScheduledProbe(Echo(hold=hold), 1)}, print) as observer:
        feeder = threading.Thread(target=observe, args=(observer, MAX_WAITING_ROWS + 3))
        feeder.start()
        feeder.join(timeout=0.3)
        assert feeder.is_alive()
        hold.set()
        feeder.join(timeout=60)
        assert not feeder.is_alive()
        observer.drain()
        assert len(book.rows) == MAX_WAITING_ROWS + 3
