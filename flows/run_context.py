"""What the tasks of one flow run share, and what they leave for its story."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from flows.events import OnEvent
from flows.turns import Turns
from tasks.pipeline.graph import Stage


class TaskRecord(NamedTuple):
    """What became of a task so far."""

    state: str  # Running, Completed, Restored, Skipped, Failed or Stopped
    seconds: float = 0.0
    error: str = ""
    result: Any = None


class RunContext(NamedTuple):
    """What the tasks of one flow run share."""

    stages: dict[str, Stage]
    logs: Path
    stop: threading.Event  # the stages that run end
    notify: OnEvent
    pull: bool  # take other machines' results from the DVC remote
    turns: Turns  # of the families on the GPU
    # (stage, fetch or register; family) → its last attempt
    tasks: dict[tuple[str, str], TaskRecord]
    artifacts: dict[str, UUID]  # key → what this run replaces in Prefect as it goes on

    def log_file(self, verb: str, family: str) -> Path:
        """Return the file that has every line of a task."""
        return self.logs / f"{verb.replace('/', '_')}@{family}.log"


def _ignore_event(kind: str, stage: str, family: str, payload: Any) -> None:
    """Take an event of a run that nobody watches."""


# Prefect hands a flow's context variables on to its tasks' threads.
current_run: ContextVar[RunContext] = ContextVar("current_run")
event_handler: ContextVar[OnEvent] = ContextVar("event_handler", default=_ignore_event)
