"""A flow that a Prefect worker started ends with its worker, however that died.

A worker that is stopped ends its flows; one that is killed (``kill -9``, memory) leaves them
behind. The flow would go on with dvc and the stage, on a GPU that the next worker believes to be
free, and nobody could cancel it. So the flow's process looks at its parent: when that is gone it
ends itself as TERM would have ended it. The stages write their last checkpoint and end, Prefect
notes the run as Crashed, and the next run goes on from the checkpoint.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

POLL_S = 1.0  # between two looks at the parent
EXIT_S = 60.0  # for the stages' checkpoints and for Prefect; then the process ends in any case


def end_with_worker(warn: Callable[[str], None]) -> None:
    """Have this process end when the worker that started it does.

    Nothing happens where no worker did.
    """
    # Private to Prefect: its workers tell the process of a flow by it which run it is.
    if "PREFECT__FLOW_RUN_ID" not in os.environ:
        return
    parent = os.getppid()

    def watch() -> None:
        # An orphan is given another parent. PR_SET_PDEATHSIG was not taken: it is Linux's own, and
        # follows a thread.
        while os.getppid() == parent:
            time.sleep(POLL_S)
        try:
            warn("the worker that started this run is gone, so the run ends; the next one goes on")
        finally:
            # Prefect ends a flow on it, and notes it Crashed.
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(EXIT_S)
        # Whatever is left of the stages ends with this process, see tasks.pipeline.leash.
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="worker").start()
