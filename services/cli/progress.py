"""A job's progress on the screen: one line per directory and a bar; plain lines where nobody looks.

What is shown is folded from the answers of WatchJob alone.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, Self

from directorybolt.job.v1 import job_pb2
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from services.cli.words import last_part, word_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from directorybolt.intake.v1.jobs_pb2 import WatchJobResponse
    from directorybolt.job.v1.job_pb2 import Submission
    from rich.console import Console, RenderableType

_BAR_CHARACTERS: Final = 40
_REFRESHES_PER_SECOND: Final = 8


@dataclass(slots=True)
class Line:
    """What is known of one directory."""

    submission: Submission
    began: float
    changed: float


class Board:
    """The lines of a job, in the order in which they appeared."""

    def __init__(self) -> None:
        self.lines: dict[str, Line] = {}
        #: How many lines there will be; 0 while the directories are still being chosen.
        self.total = 0

    def update(self, news: WatchJobResponse) -> Line | None:
        """Take one answer in; return the line that changed, if any."""
        if news.job.state != job_pb2.JOB_STATE_ACCEPTED:
            self.total = max(self.total, news.job.counts.total)
        if not news.HasField("submission"):
            return None
        now = time.monotonic()
        directory = last_part(news.submission.directory)
        line = self.lines.get(directory) or Line(news.submission, now, now)
        line.submission, line.changed = news.submission, now
        self.lines[directory] = line
        return line

    @property
    def settled(self) -> int:
        """How many lines have come to their end."""
        return sum(word_of(line.submission.state).settled for line in self.lines.values())

    @property
    def caption(self) -> str:
        """How far the job is, in words."""
        return f"{self.settled} of {self.total} settled" if self.total else "choosing directories"


class View(Protocol):
    """Where progress is shown."""

    def show(self, news: WatchJobResponse) -> None:
        """Show one more answer."""
        ...


class LiveView:
    """A table that redraws itself, so that the times run."""

    def __init__(self, console: Console) -> None:
        self.board = Board()
        self._live = Live(
            console=console,
            refresh_per_second=_REFRESHES_PER_SECOND,
            get_renderable=lambda: render(self.board),
        )

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last picture standing."""
        self._live.stop()

    def show(self, news: WatchJobResponse) -> None:
        """Show one more answer."""
        self.board.update(news)


class PlainView:
    """A line of text for each change, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self.board = Board()
        self._console = console
        self._began = time.monotonic()

    def show(self, news: WatchJobResponse) -> None:
        """Show one more answer."""
        line = self.board.update(news)
        if line is None:
            return
        submission = line.submission
        attempt = f"attempt {submission.attempt}" if submission.attempt else ""
        self._console.print(
            f"{time.monotonic() - self._began:7.1f}s  {last_part(submission.directory):<18} "
            f"{word_of(submission.state).text:<18} {attempt:<10} {self.board.caption}",
            highlight=False,
        )


def open_view(console: Console) -> AbstractContextManager[View]:
    """Return the view that fits the console."""
    return LiveView(console) if console.is_terminal else nullcontext(PlainView(console))


def render(board: Board) -> RenderableType:
    """Return the board as a table with a bar under it."""
    table = Table(box=None, pad_edge=False)
    for heading in ("directory", "state", "attempt", "time"):
        table.add_column(heading, justify="right" if heading in {"attempt", "time"} else "left")
    for directory, line in board.lines.items():
        table.add_row(directory, *_cells(line))
    bar = ProgressBar(total=max(board.total, 1), completed=board.settled, width=_BAR_CHARACTERS)
    caption = Text(f" {board.caption}")
    foot = Table.grid()
    foot.add_row(bar, caption)
    return Group(table, foot)


def _cells(line: Line) -> tuple[Text, str, str]:
    word = word_of(line.submission.state)
    end = line.changed if word.settled else time.monotonic()
    attempt = str(line.submission.attempt or "")
    return Text(word.text, style=word.style), attempt, f"{end - line.began:.1f} s"
