"""What Prefect's pages are told on the side, sent by a thread that nobody waits for.

A request to a server that is frozen takes Prefect's client seven minutes. So progress, metrics and
pictures are put here, and the stage goes on at once. What is told again under the same key, such as
a bar that moved on, takes the place of what was not sent yet; so a server that is away for hours
costs a bounded amount of memory.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from functools import partial

LIMIT = 1000  # calls that wait; a run of ten families makes some hundred


class Outbox:
    """Calls that one daemon thread makes, in the order in which they came.

    Safe to use from many threads.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._changed = threading.Condition()
        self._waiting: dict[str, Callable[[], object]] = {}
        self._sending = False
        self._sender: threading.Thread | None = None
        self.lost = 0  # calls that found no room

    def put(self, key: str, call: Callable[[], object]) -> None:
        """Have ``call``, which raises nothing, made soon.

        It takes the place of one that still waits under ``key``.
        """
        # Prefect knows by the context which run an artifact belongs to.
        context = contextvars.copy_context()
        with self._changed:
            # Full: the server is away. What is dropped is a picture of the run, not the run.
            if key not in self._waiting and len(self._waiting) >= self._limit:
                self.lost += 1
                return
            self._waiting[key] = partial(context.run, call)
            # A thread is made with the first call: importing this module starts none.
            if self._sender is None or not self._sender.is_alive():
                self._sender = threading.Thread(target=self._send_all, daemon=True, name="outbox")
                self._sender.start()
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until all is sent, at most ``seconds``; return whether it is."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not (self._waiting or self._sending), timeout=seconds
            )

    def _send_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                call = self._waiting.pop(next(iter(self._waiting)))
                self._sending = True
            try:
                call()
            finally:
                with self._changed:
                    self._sending = False
                    self._changed.notify_all()


outbox = Outbox()
