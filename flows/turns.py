"""Whose turn it is on the machine's GPU within one flow run.

A family that has begun finishes before the next one begins, and they begin in the order in which
the run was asked for them, params.yaml's if it names none. The lock of the machine goes to whoever
asks at the right moment: three families took turns, stage by stage, and the first champion was
there when all of them were nearly done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tasks.pipeline import child

IDLE_S = 60.0  # without a stage, after which whoever asks has the GPU: others may never come
POLL_S = 0.5  # between two looks whether the run was stopped


class Turns:
    """The turns of ``families``, the first one first.

    Each may still come until `expect` tells how many stages it will ask for. Safe to use from many
    threads.
    """

    def __init__(self, families: Iterable[str] = (), idle_s: float = IDLE_S) -> None:
        self._order = list(families)  # those that may still ask for the GPU
        self._to_come: dict[str, int] = {}  # family → stages that it will still ask for
        self._idle_s = idle_s
        self._changed = threading.Condition()
        self._family: str | None = None  # whose turn it is
        self._running = False
        self._ended_at = time.monotonic()  # when the last stage ended, or the run began

    def expect(self, family: str, stages: int) -> None:
        """Say how many ``stages`` of ``family`` will ask; one with none is not waited for."""
        with self._changed:
            self._to_come[family] = stages
            if not stages:
                self._leave(family)
            self._changed.notify_all()

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
                self._to_come[family] = self._to_come.get(family, 0) - 1
                self._running = False
                self._ended_at = time.monotonic()
                # After a failure the family's other stages are not run.
                if not succeeded or self._to_come[family] <= 0:
                    self._family = None
                    self._leave(family)
                self._changed.notify_all()

    def _leave(self, family: str) -> None:
        if family in self._order:
            self._order.remove(family)

    def _is_free_for(self, family: str) -> bool:
        if self._running:
            return False
        if time.monotonic() - self._ended_at > self._idle_s:
            # Whose turn it would be has failed before it asked for the GPU, or is long in coming.
            return True
        if self._family:
            return self._family == family
        # One that tries again after a failure has left the order: those that are in it go first.
        return not self._order or self._order[0] == family
