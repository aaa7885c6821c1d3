"""Progress on stderr: a progress bar, a line that is rewritten in a notebook, or plain lines elsewhere."""

import os
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, TextIO

from numpy.typing import ArrayLike
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from rnnbench.records import wording
from rnnbench.records.messages import printable
from rnnbench.records.pace import Pace
from rnnbench.records.quantiles import median

Mode = Literal["bar", "line", "lines", "none"]

# The speed is measured over this many calls: updates of Hessian-free take longer as a run proceeds.
_SPEED_WINDOW = 20
_REFRESHES_PER_SECOND = 4
_SECONDS_BETWEEN_REWRITES = 0.5  # a notebook keeps what it has been sent
_BAR_LENGTH = 24
_GAP = "   "


def choose_mode(quiet: bool, stream: TextIO) -> Mode:
    """Choose how to show progress on a stream; a bar needs a terminal that can move its cursor.

    A notebook is no terminal, but goes back to the start of the line at a carriage return.
    """
    if quiet:
        return "none"
    if type(stream).__module__.partition(".")[0] == "ipykernel":
        return "line"
    is_dumb = os.environ.get("TERM", "").lower() in ("dumb", "unknown")
    return "bar" if stream.isatty() and not is_dumb else "lines"


@dataclass(frozen=True)
class _Reading:
    """The arguments of the last call of `show`."""

    update: int = 0
    loss: ArrayLike | None = None
    error_rate: ArrayLike | None = None
    num_solved: int = 0
    shares: Sequence[float] = ()
    fields: Mapping[str, float | str | None] = field(default_factory=dict)


class Progress:
    """Shows the progress of a run or a sweep on stderr.

    Use it as a context manager, which always restores the cursor.

    `show` only stores its arguments, so that it can be called at every update; a thread draws the bar.
    """

    def __init__(
        self,
        mode: Mode,
        *,
        total: int | None = None,
        unit: Literal["updates", "jobs"] = "updates",
        baseline_loss: float | None = None,
        baseline_error_rate: float | None = None,
        num_replicas: int = 1,
        seconds: float = 5.0,
        console: Console | None = None,
    ) -> None:
        """Store the settings; nothing is shown before the context is entered.

        Args:
            mode: "bar"; "line": one line that is rewritten; "lines": a first and a last line, and one every `seconds`;
                "none": nothing.
            total: Number of updates in the budget, or of jobs; None: unknown.
            unit: What is counted.
            baseline_loss: Loss of the best constant predictor.
            baseline_error_rate: Error rate of the best constant predictor, between 0 and 1.
            num_replicas: R; above 1, medians and the number of solved replicas are shown.
            seconds: Time between lines.
            console: Console to write to; None: stderr.
        """
        self._mode = mode
        self._total = total
        self._unit = unit
        self._baseline_loss = baseline_loss
        self._baseline_error_rate = baseline_error_rate
        self._num_replicas = num_replicas
        self._seconds = seconds
        self._console = console or Console(file=sys.stderr, force_terminal=mode == "bar", force_jupyter=False)
        self._reading = _Reading()
        self._shown: deque[tuple[float, int]] = deque(maxlen=_SPEED_WINDOW)
        self._start = time.monotonic()
        self._pace = Pace()
        self._line_due = self._start
        self._line_is_behind = False
        self._num_shown = 0  # characters of the line that is rewritten
        self._spinner: Spinner | None = None
        self._live: Live | None = None

    def __enter__(self) -> "Progress":
        """Start the clock and the bar."""
        self._start = self._line_due = time.monotonic()
        if self._mode == "bar":
            # Redirect only streams that are terminals, to print above the bar; a piped stdout stays a pipe.
            self._live = Live(
                self,
                console=self._console,
                transient=True,
                refresh_per_second=_REFRESHES_PER_SECOND,
                redirect_stdout=sys.stdout.isatty(),
                redirect_stderr=sys.stderr.isatty(),
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the bar and restore the cursor; print the last state as a line if it has not been printed."""
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()
        if self._line_is_behind:
            self._print_line()
        if self._num_shown:
            self._console.file.write("\n")

    def show(
        self,
        update: int,
        *,
        loss: ArrayLike | None = None,
        error_rate: ArrayLike | None = None,
        num_solved: int = 0,
        shares: Sequence[float] | None = None,
        fields: Mapping[str, float | str | None] | None = None,
    ) -> None:
        """Set the progress. Call it before the first update, to start measuring the speed, and after each update.

        Args:
            update: Number of updates, or of jobs, done.
            loss: Loss at the last evaluation, one number or (R,). None: unchanged; the same holds for error_rate.
            error_rate: Error rate at the last evaluation, between 0 and 1, one number or (R,).
            num_solved: Number of solved replicas.
            shares: Share of each budget that is used up, in the same order in each call; None: update / total. The
                first budget that is used up ends the run.
            fields: Further fields to show, in this order: name -> number or text.
        """
        if shares is None:
            shares = [update / self._total] if self._total else []
        self._reading = _Reading(
            update,
            self._reading.loss if loss is None else loss,
            self._reading.error_rate if error_rate is None else error_rate,
            num_solved,
            shares,
            dict(fields or {}),
        )
        now = time.monotonic()
        self._pace.add(now, shares)
        self._shown.append((now, update))
        if self._mode in ("line", "lines"):
            self._line_is_behind = True
            if now >= self._line_due:
                self._print_line()
                self._line_due = now + (self._seconds if self._mode == "lines" else _SECONDS_BETWEEN_REWRITES)

    def message(self, text: str) -> None:
        """Print a permanent message: above the bar, or as a line."""
        if self._mode == "line":
            self._rewrite(printable(text), end="\n")
            self._line_is_behind, self._line_due = True, time.monotonic()
        elif self._mode != "none":
            self._print(printable(text))

    def _print_line(self) -> None:
        """Print the state as one plain line."""
        self._line_is_behind = False
        parts = [self._position(), *self._details(), self._time()]
        if self._mode == "lines":
            self._print("  ".join(parts))
            return
        fraction = self._fraction()
        if fraction is not None:
            num_full = round(_BAR_LENGTH * fraction)
            parts.insert(0, "\u2588" * num_full + "\u2591" * (_BAR_LENGTH - num_full))
        self._rewrite("  ".join(parts))

    def _rewrite(self, text: str, end: str = "") -> None:
        """Write a text over the line that was written last; it stays if a line end follows."""
        self._console.file.write(f"\r{text.ljust(self._num_shown)}{end}")
        self._console.file.flush()
        self._num_shown = 0 if end else len(text)

    def _print(self, text: str) -> None:
        """Print a line without rich markup."""
        self._console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the bar and the lines below it, in the width that the terminal has now."""
        # One column less, since some terminals wrap a line that fills the last column.
        width = max(options.max_width - 1, 20)
        position, clock = self._position(), self._time()
        if len(position) + len(clock) + 16 > width:
            yield self._bar(options, "", "", width)
            yield from (Text(line) for line in fit([position, clock], width))
        else:
            yield self._bar(options, position, clock, width)
        yield from (Text(line) for line in fit(self._details(), width))

    def _bar(self, options: ConsoleOptions, before: str, after: str, width: int) -> Table:
        """Return the bar between two texts; a spinner if the end is unknown."""
        fraction = self._fraction()
        middle: ProgressBar | Spinner
        if fraction is None:
            self._spinner = self._spinner or Spinner("line" if options.ascii_only else "dots")
            middle = self._spinner
        else:
            middle = ProgressBar(total=1.0, completed=fraction)
        cells = [Text(before), middle, Text(after)] if before else [middle]
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.width = width
        for cell in cells:
            grid.add_column(ratio=None if isinstance(cell, Text) else 1, no_wrap=True)
        grid.add_row(*cells)
        return grid

    def _position(self) -> str:
        """Return the number of updates or jobs done and their total."""
        done = f"{self._reading.update:,}" + (f"/{self._total:,}" if self._total else "")
        return f"update {done}" if self._unit == "updates" else f"{done} {self._unit} done"

    def _time(self) -> str:
        """Return the elapsed time and the estimated time until a budget is used up."""
        elapsed, left = wording.clock(time.monotonic() - self._start), self._pace.seconds_left()
        return elapsed if left is None else f"{elapsed}, at most {wording.clock(left)} left"

    def _fraction(self) -> float | None:
        """Return the share of the bar that is full; None: unknown."""
        return min(max(self._reading.shares), 1.0) if self._reading.shares else None

    def _details(self) -> list[str]:
        """Return the other texts of the state, in pieces that should not be split."""
        reading = self._reading
        middle = "median " if self._num_replicas > 1 else ""
        details = []
        if self._num_replicas > 1:
            details.append(f"{reading.num_solved}/{self._num_replicas} solved")
        for name, values, baseline, write in (
            ("loss", reading.loss, self._baseline_loss, wording.number),
            ("error rate", reading.error_rate, self._baseline_error_rate, wording.percent),
        ):
            if values is not None:
                reference = "" if baseline is None else f" (constant predictor {write(baseline)})"
                details.append(f"{middle}{name} {write(median(values))}{reference}")
        if self._unit == "updates" and (updates_per_second := self._speed()) > 0:
            details.append(wording.speed(updates_per_second))
        details += [f"{name} {wording.number(value)}" for name, value in reading.fields.items() if value is not None]
        return details

    def _speed(self) -> float:
        """Return the number of updates per second over the last calls."""
        shown = list(self._shown)
        if len(shown) < 2 or shown[-1][0] <= shown[0][0]:
            return 0.0
        return (shown[-1][1] - shown[0][1]) / (shown[-1][0] - shown[0][0])


def fit(pieces: Sequence[str], width: int) -> list[str]:
    """Arrange pieces of text in lines of at most `width`; a piece that is longer than a line is cut."""
    lines: list[str] = []
    for piece in pieces:
        cut = piece if len(piece) <= width else piece[: width - 1] + "\u2026"
        if lines and len(lines[-1]) + len(_GAP) + len(cut) <= width:
            lines[-1] += _GAP + cut
        else:
            lines.append(cut)
    return lines
