"""Progress on standard error: how much is done, how fast, how long it will take."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_PATIENCE = 0.5  # seconds before anything is shown: most calls are answered from the store
_LINE_EVERY = 10.0  # seconds between lines where standard error is not a terminal


class Progress:
    """Shows tasks: a bar on a terminal, a line now and then elsewhere, nothing when `quiet`. Never writes to stdout."""

    def __init__(self, quiet: bool = False, stream: TextIO | None = None) -> None:
        self.quiet = quiet
        self._stream = stream
        self._showing = False

    @contextmanager
    def task(self, label: str, total: int, done: int = 0) -> Iterator[Callable[[int], None]]:
        """Gives a function to call with the number of things just done. A task within a shown task is not shown."""
        if self.quiet or self._showing:
            yield lambda _: None
            return
        shown = _Task(label, total, done, self._stream or sys.stderr)
        self._showing = True
        try:
            yield shown.advance
        finally:
            self._showing = False
            shown.close()


class _Task:
    def __init__(self, label: str, total: int, done: int, stream: TextIO) -> None:
        self.label, self.total, self.done, self.stream = label, total, done, stream
        self.before = done
        self.started = time.monotonic()
        self.next_line = self.started + _LINE_EVERY
        self.bar: Bar | None = None

    def advance(self, count: int) -> None:
        self.done += count
        now = time.monotonic()
        text = describe(self.done, self.total, self.done - self.before, now - self.started)
        if not self.stream.isatty():
            self._line(text, now)
        elif self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=self.done, text=text)
        elif now - self.started > _PATIENCE:
            self._open(text)

    def _line(self, text: str, now: float) -> None:
        if now >= self.next_line:
            print(f"{self.label}: {text}", file=self.stream, flush=True)
            self.next_line = now + _LINE_EVERY

    def _open(self, text: str) -> None:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}", markup=False))
        self.bar = Bar(*columns, console=Console(file=self.stream), transient=True)
        self.bar.add_task(escape(self.label), total=self.total, completed=self.done, text=text)
        self.bar.start()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.stop()


def describe(done: int, total: int, new: int, seconds: float) -> str:
    """`"640/1,680, 9.8/s, 1:46 left"`; `new` of the `done` were done in the `seconds` since the start."""
    rate = new / seconds if seconds > 0 else 0.0
    counts = f"{done:,}/{total:,}"
    if rate == 0:
        return counts
    minutes, rest = divmod(round((total - done) / rate), 60)
    hours, minutes = divmod(minutes, 60)
    left = f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
    return f"{counts}, {rate:.3g}/s, {left} left"
