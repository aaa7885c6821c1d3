"""The process that trains for an experiment is told of a signal, once, and waited for."""

import os
import signal
import sys
import threading

from rnnbench.experiments.study import call_rnnbench

WAITING = """#!{python} -S
import pathlib, signal

def end(number, frame):
    pathlib.Path("{folder}/told").write_text(signal.Signals(number).name)
    raise SystemExit(0)

signal.signal(signal.SIGHUP, end)
pathlib.Path("{folder}/begun").touch()
signal.pause()
"""


def test_a_signal_is_passed_on(tmp_path, monkeypatch):
    stand_in = tmp_path / "python"
    stand_in.write_text(WAITING.format(python=sys.executable, folder=tmp_path))
    stand_in.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stand_in))

    def send_when_begun():
        while not (tmp_path / "begun").exists():
            pass
        os.kill(os.getpid(), signal.SIGHUP)

    sender = threading.Thread(target=send_when_begun)
    sender.start()
    assert call_rnnbench(["train"]) == 128 + signal.SIGHUP
    sender.join()
    assert (tmp_path / "told").read_text() == "SIGHUP"
