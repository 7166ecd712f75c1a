"""Whose turn it is on the machine's GPU within one flow run.

A family that has begun finishes before the next one begins. The lock of the machine goes to whoever
asks at the right moment: three families took turns, stage by stage, and the first champion was
there when all of them were nearly done.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tasks.pipeline import child

IDLE_S = 30.0  # without a stage, after which a family loses its turn: it may never come back
POLL_S = 0.5  # between two looks whether the run was stopped


class Turns:
    """The families' turns; ``to_come`` says how many stages each will ask for.

    Safe to use from many threads.
    """

    def __init__(self, to_come: Counter[str], idle_s: float = IDLE_S) -> None:
        self._to_come = to_come
        self._idle_s = idle_s
        self._changed = threading.Condition()
        self._family: str | None = None  # whose turn it is
        self._running = False
        self._ended_at = 0.0  # when the family's last stage ended

    def expect(self, families: Iterable[str]) -> None:
        """Count one more stage to come for each of ``families``."""
        with self._changed:
            self._to_come.update(families)

    @contextmanager
    def turn(self, family: str, stop: threading.Event) -> Iterator[None]:
        """Run the block, one stage of ``family``, when it is that family's turn.

        The turn ends with the family's last stage, or when one fails.

        Raises:
            child.StoppedError: ``stop`` was set while waiting.
        """
        with self._changed:
            # `wait` gives the lock back meanwhile; whoever ends a turn wakes all who wait.
            while not self._is_free_for(family):
                if stop.is_set():
                    raise child.StoppedError("stopped while waiting for another family's stages")
                self._changed.wait(POLL_S)
            self._family = family
            self._running = True
        succeeded = False
        try:
            yield
            succeeded = True
        finally:
            with self._changed:
                self._to_come[family] -= 1
                self._running = False
                self._ended_at = time.monotonic()
                # After a failure the family's other stages are not run.
                if not succeeded or self._to_come[family] <= 0:
                    self._family = None
                self._changed.notify_all()

    def _is_free_for(self, family: str) -> bool:
        if self._running:
            return False
        # Its next stage failed before it asked for the GPU, or never comes for another reason.
        idle = time.monotonic() - self._ended_at > self._idle_s
        return self._family in (None, family) or idle
