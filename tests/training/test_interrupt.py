"""Signals: which are taken, where they end a training, and who is told of them."""

import os
import signal
import sys

import pytest
from small_runs import training

from rnnbench.training.interrupt import ENDING, Interrupt, Interrupted

FAULTS = {"SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP"}
HARMLESS = {"SIGCHLD", "SIGCONT", "SIGPIPE", "SIGURG", "SIGWINCH", "SIGXFSZ"}  # Python ignores two of them
STOPPING = {"SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU"}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other signals")
def test_every_signal_that_ends_a_process_is_taken():
    others = FAULTS | HARMLESS | STOPPING | {"SIGKILL", "SIGRTMIN", "SIGRTMAX"}
    assert {number.name for number in ENDING} == {number.name for number in signal.Signals} - others


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_throws_away_the_update_under_way(number):
    def interrupt_at(update):
        if update == 3:
            os.kill(os.getpid(), number)

    with Interrupt() as interrupt:
        run, recorder = training([0.0, 0.5], on_update=interrupt_at, interrupt=interrupt, stop_when_solved=False)
        run.run()
    assert [replica.status for replica in run.replicas] == ["interrupted", "interrupted"]
    assert all(replica.updates == 3 for replica in run.replicas)
    assert run.final[0][0].tolist() == [1.0]
    assert run.final[1][0].tolist() == [-0.5]
    assert recorder.rows[-1][0] == 3
    assert recorder.checkpoints[-1] == (3, [0, 1])  # while both can still go on
    assert interrupt.signal == number
    assert run.replicas[0].message == f"ended by {signal.Signals(number).name}"


@pytest.mark.parametrize("number", ENDING)
def test_what_is_ignored_stays_ignored(number):
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with Interrupt() as interrupt, interrupt.allowed():
            signal.raise_signal(number)
            assert interrupt.signal is None
    finally:
        signal.signal(number, before)


def test_the_first_signal_counts():
    with Interrupt() as interrupt:
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
            signal.raise_signal(number)
        assert interrupt.signal == signal.SIGHUP


def test_a_second_ctrl_c_ends_at_once():
    with Interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_signals_are_given_back():
    before = signal.getsignal(signal.SIGTERM)
    with Interrupt():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_one_inside_another_takes_over_and_hands_on():
    with Interrupt() as outer:
        with Interrupt() as inner:
            os.kill(os.getpid(), signal.SIGTERM)
            assert (inner.signal, outer.signal) == (signal.SIGTERM, None)
        assert outer.signal == signal.SIGTERM
        with Interrupt() as later:
            assert later.signal == signal.SIGTERM
            with pytest.raises(Interrupted), later.allowed():
                pass
