"""The Prefect tasks that the flows are made of: fetch, update a stage, register, sync."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flows import words
from flows.artifacts import (
    parse_picture,
    parse_progress,
    progress_bar,
    publish_registration,
    sample_sheet,
)
from flows.prefect_api import NO_CACHE, Completed, State, flow_run, get_run_logger, task
from flows.run_context import TaskRecord, current_run
from tasks.pipeline import child
from tasks.pipeline.graph import Stage
from tasks.pipeline.locks import machine_lock
from tasks.pipeline.update import Result, sync_remote, update_stage
from tasks.registry.register import Registration, register
from tasks.sources.fetch import fetch

# Of a stage's lines, those that go to Prefect, which takes milliseconds for each. All are in the
# log file.
LOG_LINES = 500
CPU_SLOTS = threading.BoundedSemaphore(os.cpu_count() or 1)  # stages without the tag gpu, at once
# Fetches at once. The GPU waits for the first family's data; drawing all families' starters side by
# side made that wait twice as long.
FETCH_SLOTS = threading.BoundedSemaphore(2)


def _line_handler(verb: str, family: str) -> Callable[[str], None]:
    """Return a function for the lines of a task.

    They go to Prefect, to a log file and to whoever watches.
    """
    run = current_run.get()
    logger = get_run_logger()
    move_bar = progress_bar(verb, family, run.artifacts)
    show_picture = sample_sheet(verb, family, run.artifacts)
    file = run.log_file(verb, family)
    logged = 0

    def on_line(line: str) -> None:
        nonlocal logged
        run.logs.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as log:
            log.write(line + "\n")
        if progress := parse_progress(line):
            move_bar(*progress)
            run.notify("progress", verb, family, {"share": progress[0], "text": progress[1]})
            return
        if picture := parse_picture(line):
            show_picture(*picture)
            return
        run.notify("line", verb, family, line)
        logged += 1
        if logged < LOG_LINES:
            logger.info(line)
        elif logged == LOG_LINES:
            logger.info(f"further lines only in {file}")

    return on_line


def _as_prefect_state(verb: str, family: str, action: Callable[[], tuple[str, Any]]) -> State[Any]:
    """Do ``action``, which returns the name of a state and a result, and return Prefect's state.

    Its start and its end are told, and a record is kept for the run's story.
    """
    run = current_run.get()
    start = time.monotonic()
    run.tasks[verb, family] = TaskRecord("Running")
    run.notify("start", verb, family, None)
    try:
        name, result = action()
    except BaseException as error:
        state = "Stopped" if isinstance(error, child.StoppedError) else "Failed"
        record = TaskRecord(state, time.monotonic() - start, str(error))
        end = {"state": state, "seconds": record.seconds, "error": record.error}
        raise
    else:
        record = TaskRecord(name, time.monotonic() - start, result=result)
        end = {"state": name, "seconds": record.seconds}
    finally:
        run.tasks[verb, family] = record
        run.notify("end", verb, family, end)
    # Prefect shows the name, and takes any name of the type Completed for a success.
    return Completed(name=name, data=result)


def _may_retry(task: Any, task_run: Any, state: State[Any]) -> bool:
    """A mistake of the user's stays one, and who stopped a run does not want it again."""
    return not isinstance(state.result(raise_on_failure=False), (ValueError, child.StoppedError))


@contextmanager
def _slot(slots: threading.BoundedSemaphore) -> Iterator[None]:
    """Hold one of ``slots`` while the block runs.

    Raises:
        child.StoppedError: the run was stopped while it waited for one.
    """
    # Twice a second it is seen whether the run was stopped.
    while not slots.acquire(timeout=0.5):
        if current_run.get().stop.is_set():
            raise child.StoppedError("stopped while waiting")
    try:
        yield
    finally:
        slots.release()


@task(
    cache_policy=NO_CACHE,
    task_run_name="fetch@{family}",
    retries=2,
    retry_delay_seconds=10,
    retry_condition_fn=_may_retry,
)
def fetch_task(family: str) -> State[bool]:
    """Fetch the family's raw data; the result is whether it changed."""

    def action() -> tuple[str, bool]:
        with _slot(FETCH_SLOTS):
            changed = fetch(family, _line_handler("fetch", family))
        return "Completed" if changed else "Skipped", changed

    return _as_prefect_state("fetch", family, action)


@contextmanager
def _device_slot(stage: Stage, on_line: Callable[[str], None]) -> Iterator[None]:
    """Hold the machine's GPU, or one of its CPU slots, while the block runs."""
    run = current_run.get()
    if "gpu" in stage.tags:
        # The turn is among the families of this run, the lock among all runs of this machine.
        with run.turns.turn(stage.family, run.stop), machine_lock("gpu", run.stop, on_line):
            yield
        return
    with _slot(CPU_SLOTS):
        yield


@task(
    cache_policy=NO_CACHE,
    task_run_name="{name}",
    retry_delay_seconds=10,
    retry_condition_fn=_may_retry,
)
def stage_task(name: str, reasons: list[str]) -> State[Result]:
    """Bring the stage ``name`` up to date.

    ``reasons`` are why it may be stale; without any it is not looked at again.
    """
    run = current_run.get()
    stage = run.stages[name]

    def action() -> tuple[str, Result]:
        # The look that gave the reasons is seconds old; DVC is not asked again.
        if not reasons:
            return "Skipped", Result(name, stage.family, "Skipped", 0.0)
        on_line = _line_handler(stage.verb, stage.family)
        for reason in words.because(reasons, stage.family):
            on_line(f"because {reason}")
        with _device_slot(stage, on_line):
            result = update_stage(stage, stage.timeout_s, on_line, run.stop, run.pull)
        return result.state, result

    return _as_prefect_state(stage.verb, stage.family, action)


@task(
    cache_policy=NO_CACHE,
    task_run_name="register@{family}",
    retries=1,
    retry_delay_seconds=10,
    retry_condition_fn=_may_retry,
)
def register_task(family: str) -> State[Registration | None]:
    """Register the family's model unless it is registered.

    The result is that of `tasks.registry.register.register`.
    """

    def action() -> tuple[str, Registration | None]:
        registered = register(family, flow_run=str(flow_run.id))
        if registered:
            publish_registration(registered)
        return "Completed" if registered else "Skipped", registered

    return _as_prefect_state("register", family, action)


@task(
    cache_policy=NO_CACHE,
    task_run_name="{direction}",
    retries=2,
    retry_delay_seconds=30,
    retry_condition_fn=_may_retry,
)
def sync_task(direction: str) -> State[None]:
    """``pull`` what other machines made, or ``push`` what this one made."""

    def action() -> tuple[str, None]:
        sync_remote(direction, _line_handler(direction, "all"), current_run.get().stop)
        return "Completed", None

    return _as_prefect_state(direction, "all", action)
