"""What this program uses of Prefect, imported when its settings stand.

Prefect reads its environment once, when it is imported, so everything else in `flows` that needs it
at its own import takes it from here.
"""

from __future__ import annotations

import gc

from flows.settings import configure

configure()
# Nothing that the import makes is garbage: looking for some is a fifth of a run with nothing to do.
gc.disable()

from prefect import Task, flow, get_run_logger, task  # noqa: E402
from prefect.cache_policies import NO_CACHE  # noqa: E402
from prefect.client.orchestration import get_client  # noqa: E402
from prefect.client.schemas.objects import State  # noqa: E402
from prefect.futures import PrefectConcurrentFuture  # noqa: E402
from prefect.logging import get_logger  # noqa: E402
from prefect.logging.handlers import PrefectConsoleHandler  # noqa: E402
from prefect.runtime import flow_run  # noqa: E402
from prefect.settings import (  # noqa: E402
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    temporary_settings,
)
from prefect.states import Completed  # noqa: E402

# Nor is it looked at later: it lives as long as the process.
gc.freeze()
gc.enable()

__all__ = [
    "NO_CACHE",
    "PREFECT_API_URL",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY",
    "Completed",
    "PrefectConcurrentFuture",
    "PrefectConsoleHandler",
    "State",
    "Task",
    "flow",
    "flow_run",
    "get_client",
    "get_logger",
    "get_run_logger",
    "task",
    "temporary_settings",
]
