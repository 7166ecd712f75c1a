"""The Prefect tasks that the flows are made of: fetch, bring a stage up to date, register, share."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from flows.events import OnEvent
from flows.settings import configure
from flows.turns import Turns
from tasks.pipeline import child
from tasks.pipeline.graph import Stage
from tasks.pipeline.locks import machine_lock
from tasks.pipeline.update import Result, sync_remote, update_stage
from tasks.registry.register import Registration

configure()  # before Prefect is imported: it reads the environment once
gc.disable()  # no looking for garbage among what the import makes: that is a fifth of a run with nothing to do

from prefect import get_run_logger, task  # noqa: E402
from prefect.cache_policies import NO_CACHE  # noqa: E402
from prefect.client.schemas.objects import State  # noqa: E402
from prefect.runtime import flow_run  # noqa: E402
from prefect.states import Completed  # noqa: E402

gc.freeze()
gc.enable()

LOG_LINES = 500  # of a stage that go to Prefect, which takes milliseconds for each; all of them are in the log file
CPU_SLOTS = threading.BoundedSemaphore(os.cpu_count() or 1)  # stages without the tag gpu, at once


class Record(NamedTuple):
    """What became of a task so far."""

    state: str  # Running, Completed, Restored, Skipped, Failed or Stopped
    seconds: float = 0.0
    error: str = ""
    result: Any = None


class Run(NamedTuple):
    """What the tasks of one flow run share."""

    stages: dict[str, Stage]
    logs: Path
    stop: threading.Event  # the stages that run end
    tell: OnEvent
    pull: bool  # take other machines' results from the DVC remote
    turns: Turns  # of the families on the GPU
    tasks: dict[tuple[str, str], Record]  # (stage, fetch or register; family) → its last attempt
    bars: dict[str, UUID]  # family → its progress bar in Prefect

    def log(self, verb: str, family: str) -> Path:
        """Return the file that has every line of a task."""
        return self.logs / f"{verb.replace('/', '_')}@{family}.log"


current: ContextVar[Run] = ContextVar(
    "run"
)  # Prefect hands a flow's context on to its tasks' threads
watcher: ContextVar[OnEvent] = ContextVar(
    "on_event", default=lambda kind, stage, family, payload: None
)


def _listener(verb: str, family: str) -> Callable[[str], None]:
    """Return a function for the lines of a task: they go to Prefect, to a log file and to whoever watches."""
    from flows.artifacts import parse_progress, progress_bar

    run, logger, said = current.get(), get_run_logger(), 0
    move = progress_bar(verb, family, run.bars)
    file = run.log(verb, family)

    def on_line(line: str) -> None:
        nonlocal said
        run.logs.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as log:
            log.write(line + "\n")
        if progress := parse_progress(line):
            move(*progress)
            run.tell("progress", verb, family, {"share": progress[0], "text": progress[1]})
            return
        run.tell("line", verb, family, line)
        said += 1
        if said <= LOG_LINES:
            logger.info(line if said < LOG_LINES else f"further lines only in {file}")

    return on_line


def _carry_out(verb: str, family: str, action: Callable[[], tuple[str, Any]]) -> State[Any]:
    """Do ``action``, which returns the name of a state and a result; tell its start and its end, and keep a record."""
    run, began = current.get(), time.monotonic()
    run.tasks[verb, family] = Record("Running")
    run.tell("start", verb, family, None)
    try:
        name, result = action()
    except BaseException as error:
        state = "Stopped" if isinstance(error, child.StoppedError) else "Failed"
        record = Record(state, time.monotonic() - began, str(error))
        end = {"state": state, "seconds": record.seconds, "error": record.error}
        raise
    else:
        record = Record(name, time.monotonic() - began, result=result)
        end = {"state": name, "seconds": record.seconds}
    finally:
        run.tasks[verb, family] = record
        run.tell("end", verb, family, end)
    return Completed(name=name, data=result)


def _may_retry(task: Any, task_run: Any, state: State[Any]) -> bool:
    """A mistake of the user's stays one, and who stopped a run does not want it again."""
    return not isinstance(state.result(raise_on_failure=False), (ValueError, child.StoppedError))


@task(
    cache_policy=NO_CACHE,
    task_run_name="fetch@{family}",
    retries=2,
    retry_delay_seconds=10,
    retry_condition_fn=_may_retry,
)
def fetch_task(family: str) -> State[bool]:
    """Bring in the family's raw data; the result is whether it changed."""

    def action() -> tuple[str, bool]:
        from tasks.sources.fetch import fetch

        changed = fetch(family, _listener("fetch", family))
        return "Completed" if changed else "Skipped", changed

    return _carry_out("fetch", family, action)


@contextmanager
def _slot(what: Stage, on_line: Callable[[str], None]) -> Iterator[None]:
    """Hold the machine's GPU, or one of its CPU slots, while the block runs."""
    stop = current.get().stop
    if "gpu" in what.tags:
        with current.get().turns.turn(what.family, stop), machine_lock("gpu", stop, on_line):
            yield
        return
    while not CPU_SLOTS.acquire(timeout=0.5):
        if stop.is_set():
            raise child.StoppedError("stopped while waiting")
    try:
        yield
    finally:
        CPU_SLOTS.release()


@task(
    cache_policy=NO_CACHE,
    task_run_name="{name}",
    retry_delay_seconds=10,
    retry_condition_fn=_may_retry,
)
def stage_task(name: str, because: list[str]) -> State[Result]:
    """Bring the stage ``name`` up to date; ``because`` are the reasons why it may be stale, none if it is not."""
    run = current.get()
    what = run.stages[name]

    def action() -> tuple[str, Result]:
        if not because:
            return "Skipped", Result(name, what.family, "Skipped", 0.0)
        on_line = _listener(what.verb, what.family)
        for reason in because:
            on_line(f"because {reason}")
        with _slot(what, on_line):
            result = update_stage(what, what.timeout_hours * 3600, on_line, run.stop, run.pull)
        return result.state, result

    return _carry_out(what.verb, what.family, action)


@task(
    cache_policy=NO_CACHE,
    task_run_name="register@{family}",
    retries=1,
    retry_delay_seconds=10,
    retry_condition_fn=_may_retry,
)
def register_task(family: str) -> State[Registration | None]:
    """Register the family's model unless it is registered; the result is what `tasks.registry.register.register` returns."""

    def action() -> tuple[str, Registration | None]:
        from tasks.registry.register import register

        registered = register(family, flow_run=str(flow_run.id))
        if registered:
            from flows import artifacts

            artifacts.publish_registration(registered)
        return "Completed" if registered else "Skipped", registered

    return _carry_out("register", family, action)


@task(
    cache_policy=NO_CACHE,
    task_run_name="{verb}",
    retries=2,
    retry_delay_seconds=30,
    retry_condition_fn=_may_retry,
)
def share_task(verb: str) -> State[None]:
    """``pull`` what other machines made, or ``push`` what this one made."""

    def action() -> tuple[str, None]:
        sync_remote(verb, _listener(verb, "all"), current.get().stop)
        return "Completed", None

    return _carry_out(verb, "all", action)
