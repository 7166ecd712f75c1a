"""How far a stage is: a rich bar where a person watches, plain lines where a program reads them.

Lines have the form ``progress: 0.4200 finetune: 1:20 left, epoch 2/4, loss 0.31``;
`flows.artifacts` reads them. The time that is left is estimated from the mean pace since the bar
began, which is steady; a resumed run's earlier steps do not count.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LINE_EVERY = 5.0  # seconds between two plain lines
ESTIMATE_AFTER = 2.0  # seconds that a bar must have run before its pace says anything


def time_left(elapsed: float, made: int, missing: int) -> str:
    """Return the time that ``missing`` steps take: 1:20, 1:05:00.

    ``made`` steps took ``elapsed`` seconds. It is empty while the pace is not known, and when
    nothing is missing.
    """
    if made <= 0 or missing <= 0 or elapsed < ESTIMATE_AFTER:
        return ""
    minutes, seconds = divmod(round(elapsed / made * missing), 60)
    hours, minutes = divmod(minutes, 60)
    if not hours:
        return f"{minutes}:{seconds:02}"
    return f"{hours}:{minutes:02}:{seconds:02}"


class Bar:
    """One bar of ``total`` steps; `advance` it."""

    def __init__(self, title: str, total: int, done: int, bar: Progress | None) -> None:
        self.title = title
        self.total = max(total, 1)  # nothing to do is no division by 0
        self.done = done
        self._done_before = done
        self._began = time.monotonic()
        self._last_line = 0.0  # time of the last plain line
        self._bar = bar
        self._task = bar.add_task(title, total=self.total, completed=done) if bar else None

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count ``steps`` more; ``note`` (a loss, an epoch) is shown beside the bar."""
        self.done += steps
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=self.done, description=f"{self.title} {note}")
        elif self.title and self._is_due():
            self._last_line = time.monotonic()
            self._print_line(note or f"{self.done}/{self.total}")

    def _is_due(self) -> bool:
        return time.monotonic() - self._last_line >= LINE_EVERY or self.done >= self.total

    def _print_line(self, text: str) -> None:
        elapsed = time.monotonic() - self._began
        made = self.done - self._done_before
        left = time_left(elapsed, made, self.total - self.done)
        if left:
            text = f"{left} left, {text}"
        # flushed: a pipe's buffer would hold it back for minutes
        share = self.done / self.total
        print(f"progress: {share:.4f} {self.title}: {text}", flush=True)


@contextmanager
def bar(title: str, total: int, done: int = 0) -> Iterator[Bar]:
    """Yield a `Bar` titled ``title``, of which ``done`` steps were made before (a resumed run).

    Without a title nothing is shown.
    """
    if not title or not sys.stdout.isatty():
        yield Bar(title, total, done, None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console()) as display:
        yield Bar(title, total, done, display)


def log_line(text: str) -> None:
    """Print one line of a stage's log at once."""
    print(text, flush=True)


def picture(file: Path, caption: str) -> None:
    """Say that ``file``, a JPEG or PNG, shows how the stage comes along; it may be replaced later.

    `flows.artifacts` shows it while the stage goes on.
    """
    # JSON, for a path may have spaces
    print(f"picture: {json.dumps({'file': str(file), 'caption': caption})}", flush=True)
