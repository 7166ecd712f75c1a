"""A process that works for another one ends with it, were that by ``kill -9``."""

from __future__ import annotations

import os
import threading
import time


def end_with(parent: int) -> None:
    """Have this process end when ``parent``, the process that started it, is gone.

    The initializer of a pool: its processes would wait for work for ever.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
