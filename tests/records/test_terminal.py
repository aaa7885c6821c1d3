"""Progress on terminals of several widths, and where there is none."""

import contextlib
import io
import os
import pty
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from rich.console import Console

from rnnbench.records import terminal
from rnnbench.records.terminal import Progress, choose_mode, fit


class Clock:
    """A clock that is set by hand."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(terminal.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def fake_console(width):
    return Console(file=io.StringIO(), width=width, force_terminal=True)


def drawn(progress, console):
    """What the bar looks like now, a string per line."""
    with console.capture() as capture:
        console.print(progress)
    return re.sub(r"\x1b\[[0-9;]*m", "", capture.get()).rstrip("\n").split("\n")


def half_way(progress, clock):
    """Update 10 of 40 after 50 seconds."""
    progress.show(0)
    clock.now += 50
    progress.show(10, loss=0.0123456, error_rate=0.431, fields={"damping": 0.05126, "CG iterations": 73, "none": None})


def test_modes(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    assert choose_mode(True, Terminal()) == "none"
    assert choose_mode(False, Terminal()) == "bar"
    assert choose_mode(False, io.StringIO()) == "lines"
    assert choose_mode(False, type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()) == "line"
    monkeypatch.setenv("TERM", "dumb")
    assert choose_mode(False, Terminal()) == "lines"


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120, 200])
def test_bar_fits_and_says_everything(clock, width):
    console = fake_console(width)
    progress = Progress("bar", total=40, baseline_loss=1 / 6, baseline_error_rate=0.922, console=console)
    half_way(progress, clock)
    lines = drawn(progress, console)
    assert all(len(line) <= width - 1 for line in lines)
    words = " ".join(" ".join(lines).split())
    expected = ["update 10/40", "0:50, at most 2:30 left", "5 s/update", "damping 0.0513", "CG iterations 73"]
    if width >= 60:
        expected += ["loss 0.0123 (constant predictor 0.167)", "error rate 43.1 % (constant predictor 92.2 %)"]
    for phrase in expected:
        assert phrase in words
    assert "none" not in words
    assert len(lines) <= (4 if width >= 60 else 9)
    bar = next(line for line in lines if "━" in line)
    assert len(re.findall("[━╸╺]", bar)) >= 10


def test_a_line_is_rewritten_and_messages_stay(clock):
    """As a notebook shows it, which has no other control character."""
    console = Console(file=io.StringIO(), force_jupyter=False)
    with Progress("line", total=40, baseline_loss=1 / 6, console=console) as progress:
        half_way(progress, clock)
        progress.show(11)  # too early to be shown
        progress.message("probe jacobian failed: no eigenvalues")
        clock.now += 50
        progress.show(20)
    written = console.file.getvalue()
    assert {one for one in written if not one.isprintable()} == {"\r", "\n"}
    assert written.count("\r") == 4
    message, state = (line.rpartition("\r")[2].rstrip() for line in written.removesuffix("\n").split("\n"))
    assert message == "probe jacobian failed: no eigenvalues"
    assert state.startswith(f"{'█' * 12}{'░' * 12}  update 20/40  loss 0.0123 (constant predictor 0.167)")
    assert state.endswith("1:40, at most 1:40 left")


def test_bar_follows_the_width(clock):
    progress = Progress("bar", total=40, console=fake_console(60))
    half_way(progress, clock)
    for width in (120, 60):
        assert max(map(len, drawn(progress, fake_console(width)))) == width - 1


def test_first_and_last_moment(clock):
    console = fake_console(80)
    progress = Progress("bar", total=40, console=console)
    assert "update 0/40" in drawn(progress, console)[0]
    progress.show(0)
    assert drawn(progress, console)[0].rstrip().endswith("0:00")
    clock.now += 10
    progress.show(40)
    assert drawn(progress, console)[0].rstrip().endswith("0:10, at most 0:00 left")


def test_time_left_after_a_resume(clock):
    console = fake_console(80)
    progress = Progress("bar", total=100, console=console)
    progress.show(50)
    clock.now += 60
    progress.show(75)
    assert "1:00, at most 1:00 left" in drawn(progress, console)[0]


def test_the_budget_that_ends_first_ends_the_run(clock):
    """Here that of sequences, beside one of updates that is never reached."""
    console = fake_console(80)
    progress = Progress("bar", total=100_000_000, console=console)
    progress.show(0, shares=[0.0, 0.0])
    clock.now += 60
    progress.show(100, shares=[1e-6, 0.75])
    assert "1:00, at most 0:20 left" in drawn(progress, console)[0]


def test_time_left_by_the_latest_updates(clock):
    """Updates become ten times as expensive, and would use up the sequences before their own number is reached."""
    console = fake_console(80)
    progress = Progress("bar", total=100, console=console)
    for update in range(11):
        progress.show(update, shares=[update / 100, update / 900])
        clock.now += 1
    for update in range(11, 41):
        clock.now += 9
        progress.show(update, shares=[update / 100, (10 + 10 * (update - 10)) / 900])
        clock.now += 1
    assert drawn(progress, console)[0].rstrip().endswith("at most 9:50 left")


def test_spinner_only_where_the_end_is_unknown(clock):
    console = fake_console(80)
    progress = Progress("bar", console=console)
    half_way(progress, clock)
    lines = drawn(progress, console)
    assert not any("━" in line for line in lines)
    assert re.search("[\u2800-\u28ff]", lines[0])
    assert "left" not in lines[0]


def test_replicas(clock):
    console = fake_console(120)
    progress = Progress("bar", total=40, num_replicas=4, baseline_error_rate=0.9, console=console)
    progress.show(3, loss=np.array([1.0, 2.0, 4.0, np.nan]), error_rate=[0.5, 0.5, 0.1, 0.3], num_solved=1)
    words = " ".join(drawn(progress, console))
    assert "1/4 solved" in words
    assert "median loss 2 " in words
    assert "median error rate 30.0 % (constant predictor 90.0 %)" in words


def test_last_evaluation_stays(clock):
    console = fake_console(120)
    progress = Progress("bar", total=40, console=console)
    progress.show(3, loss=0.5, error_rate=0.25)
    progress.show(4)
    assert "loss 0.5   error rate 25.0 %" in " ".join(drawn(progress, console))


def test_no_colour(clock, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    console = fake_console(80)
    progress = Progress("bar", total=40, console=console)
    half_way(progress, clock)
    with console.capture() as capture:
        console.print(progress)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", capture.get())
    assert capture.get().count("━") < 15, "without colour, only the part that is done is drawn"


def test_lines(clock):
    stream = io.StringIO()
    console = Console(file=stream, width=60)
    with Progress("lines", total=40, baseline_error_rate=0.9, seconds=5, console=console) as progress:
        for update in range(39):
            progress.show(update, error_rate=0.5)
            clock.now += 1
        progress.message("replica 3 diverged at update 41: [red]loss[/red] is not finite :smile:")
    text = stream.getvalue()
    assert "\x1b" not in text
    assert "\r" not in text
    *lines, message, last = text.splitlines()
    pattern = r"update (\d+)/40  error rate 50\.0 % \(constant predictor 90\.0 %\)  "
    assert [re.findall(pattern, line) for line in [*lines, last]] == [
        [str(n)] for n in [0, 5, 10, 15, 20, 25, 30, 35, 38]
    ]
    assert last.endswith("1 updates/s  0:39, at most 0:02 left")
    assert message == "replica 3 diverged at update 41: [red]loss[/red] is not finite :smile:"


def test_last_line_is_printed_once(clock):
    stream = io.StringIO()

    def interrupted():
        with Progress("lines", console=Console(file=stream)) as progress:
            progress.show(0)
            clock.now += 1
            progress.show(1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [line.split("  ")[0] for line in stream.getvalue().splitlines()] == ["update 0", "update 1"]
    stream = io.StringIO()
    with Progress("lines", console=Console(file=stream)) as progress:
        progress.show(0)
    assert stream.getvalue().count("update 0") == 1


def test_nothing(clock):
    stream = io.StringIO()
    with Progress("none", console=Console(file=stream)) as progress:
        progress.show(0)
        progress.message("words")
    assert stream.getvalue() == ""


CHILD = """
import signal, sys, time
from rnnbench.records.terminal import Progress, choose_mode
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests are a shell's background job
with Progress(choose_mode(False, sys.stderr), total=40, baseline_error_rate=0.9) as progress:
    progress.show(0)
    time.sleep(0.3)
    progress.message("replica 3 diverged at update 1: the loss is not finite any more, its row is frozen from now on")
    progress.show(1, error_rate=0.5)
    time.sleep(0.3)
    print("ready", flush=True)
    time.sleep(60)
"""


def read_all(master):
    """What a terminal shows until nobody holds its other end: who writes to one that nobody reads waits."""
    with contextlib.suppress(OSError):  # the other end is closed
        while piece := os.read(master, 65536):
            yield piece


def test_interrupt_on_a_real_terminal_gives_the_cursor_back():
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "60", "LINES": "20"}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], stderr=slave, stdout=subprocess.PIPE, stdin=slave, env=environment, text=True
    )
    os.close(slave)
    with ThreadPoolExecutor() as reader, child:
        shown = reader.submit(lambda: b"".join(read_all(master)))
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n", "stdout is not redirected while the bar is drawn"
            child.send_signal(signal.SIGINT)
            child.wait(30)
        finally:
            child.kill()
        output = shown.result()
    os.close(master)
    text = output.decode()
    assert text.count("\x1b[?25l") == 1
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert text.rindex("KeyboardInterrupt") > text.rindex("\x1b[?25h")
    assert "the loss is not finite any more, its row is frozen from now on\r\n" in text
    assert "error rate 50.0 % (constant predictor 90.0 %)" in text


def test_fit():
    assert fit(["aa", "bb", "cc"], 7) == ["aa   bb", "cc"]
    assert fit(["abcdefghij"], 5) == ["abcd…"]
    assert fit([], 5) == []
