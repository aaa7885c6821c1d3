"""Rows are complete, in order, and outlive a probe that fails."""

import logging
import math
import threading

import pytest
import torch
from small_runs import Book, view

from rnnbench.metrics import Metric
from rnnbench.probes.base import Probe, Reading
from rnnbench.records import RecordError
from rnnbench.training.observation import MAX_WAITING_ROWS, Observer
from rnnbench.training.readings import ScheduledProbe


class Echo(Probe):
    """Gives back the row it is asked for, on the probes' thread."""

    metrics = (Metric("echo/row", "the row", "1", "-"),)

    def __init__(self, fail_at=None, fail_in="read", hold=None, fail_of=None, unknown=None):
        self.fail_at, self.fail_in, self.hold, self.threads = fail_at, fail_in, hold, set()
        self.fail_of, self.unknown, self.asked = fail_of, unknown, []

    def check(self, view):
        """Fail at one row, for all replicas or where some are among those that are looked at."""
        self.asked.append((view.num_logged, view.theta[:, 0].int().tolist()))
        is_concerned = self.fail_of is None or set(self.asked[-1][1]) & set(self.fail_of)
        if view.num_logged == self.fail_at and is_concerned:
            raise ZeroDivisionError("a probe's own mistake")

    def draw(self, k):
        if self.fail_in == "draw":
            raise ZeroDivisionError("a picture's own mistake")
        return bytes([k])

    def columns(self, model, task):
        return ["echo/row"]

    def capture(self, view):
        if self.fail_in == "capture":
            self.check(view)

        def read():
            self.threads.add(threading.current_thread().name)
            if self.hold is not None:
                self.hold.wait()
            if self.fail_in == "read":
                self.check(view)
            size = len(view.theta)
            values = torch.full((size,), float(view.num_logged), dtype=torch.float64)
            values[view.theta[:, 0] == self.unknown] = torch.nan
            histograms, pictures = {"echo/histogram": torch.zeros(size, 3)}, {"echo/picture": self.draw}
            return Reading({"echo/row": values}, histograms, pictures)

        return read


def observe(observer, count, replicas=range(8), diverged=(), wait=False):
    for update in range(count):
        loss = {"loss/train": torch.zeros(len(replicas))}
        observer.observe(update, list(replicas), loss, lambda num_logged: view(len(replicas), num_logged, diverged))
        if wait:  # so that no later row is captured before a failure
            observer.drain()


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
            observe(observer, 5, [0], wait=True)
        assert [update for update, _, _ in book.rows] == [0, 1, 2, 3, 4]
        assert ["echo/row" in values for _, values, _ in book.rows] == [True, True, False, False, False]
        assert notices == ["probe bad failed at update 2 and is skipped from now on: a probe's own mistake"]
        assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("fail_in", ["capture", "read"])
def test_a_probe_that_fails_for_one_replica_is_left_out_for_that_one(fail_in, caplog):
    book, notices, probe = Book(), [], Echo(2, fail_in, fail_of=[1, 3])
    with Observer(book, {"bad": ScheduledProbe(probe, 1)}, notices.append) as observer:
        with caplog.at_level(logging.ERROR):
            observe(observer, 4, range(5), wait=True)
        for update in range(4):
            read = {replica for replica, cells in book.row(update).items() if "echo/row" in cells}
            assert read == ({0, 1, 2, 3, 4} if update < 2 else {0, 2, 4})
            assert all(cells.get("echo/row", update) == update for cells in book.row(update).values())
    assert notices == [
        "probe bad failed for replicas 1, 3 at update 2 and is skipped from now on: a probe's own mistake"
    ]
    assert len(caplog.records) == 1
    assert probe.asked[-1] == (3, [0, 2, 4])  # together again


@pytest.mark.parametrize("fail_in", ["capture", "read"])
def test_a_replica_that_has_diverged_is_no_fault_of_the_probe(fail_in):
    book, notices = Book(), []
    probes = {"bad": ScheduledProbe(Echo(0, fail_in, fail_of=[1]), 1)}
    with Observer(book, probes, notices.append) as observer:
        observe(observer, 1, range(3), diverged=[1])
        observer.drain()
        assert {replica: cells.get("echo/row") for replica, cells in book.row(0).items()} == {0: 0, 1: None, 2: 0}
        assert [replica for replica, *_ in book.pictures] == [0]
    assert notices == []


def test_what_is_not_known_is_empty_where_the_replica_has_diverged():
    """NaN is a number of a replica that is finite."""
    for unknown in (1, 2):
        book = Book()
        with Observer(book, {"echo": ScheduledProbe(Echo(unknown=unknown), 1)}, print) as observer:
            observe(observer, 1, range(3), diverged=[1])
            observer.drain()
            cells = {replica: cells.get("echo/row") for replica, cells in book.row(0).items()}
            assert repr(cells) == repr({0: 0.0, 1: None, 2: 0.0} if unknown == 1 else {0: 0.0, 1: 0.0, 2: math.nan})


def test_a_picture_that_cannot_be_drawn_takes_no_number_with_it():
    book, notices = Book(), []
    with Observer(book, {"bad": ScheduledProbe(Echo(fail_in="draw"), 1)}, notices.append) as observer:
        observe(observer, 3, [0], wait=True)
        assert [cells[0]["echo/row"] for cells in map(book.row, range(3))] == [0, 1, 2]
        assert book.pictures == []
    assert notices == ["picture echo/picture failed at update 0 and is skipped from now on: a picture's own mistake"]


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
