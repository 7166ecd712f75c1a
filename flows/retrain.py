"""The retraining flow: the graph of dvc.yaml as Prefect tasks, with fetching before it and the registry after it.

Per family: fetch the raw data, bring each DVC stage up to date, register the model. A task whose stage is up to date
ends as ``Skipped``, one whose result DVC's run cache holds as ``Restored``. A failed stage fails what depends on it
and nothing else. Stages of different families run side by side, one at a time on the machine's GPU.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import wait
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple, cast

import httpx

from beauty_models import params
from flows.settings import STATE, configure
from tasks import child, repro, stage

configure()  # before Prefect is imported: it reads the environment once

from prefect import Task, flow, get_run_logger, task  # noqa: E402
from prefect.cache_policies import NO_CACHE  # noqa: E402
from prefect.client.orchestration import get_client  # noqa: E402
from prefect.client.schemas.objects import State  # noqa: E402
from prefect.futures import PrefectConcurrentFuture  # noqa: E402
from prefect.logging.handlers import PrefectConsoleHandler  # noqa: E402
from prefect.runtime import flow_run  # noqa: E402
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings  # noqa: E402
from prefect.states import Completed  # noqa: E402

OnEvent = Callable[[str, str, str, Any], None]
"""``on_event(kind, stage, family, payload)``, called from several threads. ``stage`` is a stage without its family, or
fetch or register. Kinds: start (None), line (str), progress ({share: 0 to 1, text}), end ({state, seconds, error?})."""

Future = PrefectConcurrentFuture[Any]

LOG_LINES = 500  # of a stage that go to Prefect, which takes milliseconds for each; all of them are in the log file
CANCEL_EVERY = 5.0  # seconds between two looks whether the run was cancelled in the UI
CPU_SLOTS = threading.BoundedSemaphore(os.cpu_count() or 1)  # stages without the tag gpu, at once


class RetrainError(RuntimeError):
    """Some stage failed. The message has a line for each, ``outcome`` is what the run returns when all is well."""

    def __init__(self, message: str, outcome: dict[str, Any]) -> None:
        super().__init__(message)
        self.outcome = outcome


class _Run(NamedTuple):
    stages: dict[str, stage.Stage]
    logs: Path
    stop: threading.Event
    tell: OnEvent


_run: ContextVar[_Run] = ContextVar("run")  # Prefect hands a flow's context on to its tasks' threads
_on_event: ContextVar[OnEvent] = ContextVar("on_event", default=lambda kind, stage, family, payload: None)


def _listener(verb: str, family: str) -> Callable[[str], None]:
    """Return a function for the lines of a task: they go to Prefect, to a log file and to whoever watches."""
    from flows.artifacts import parse_progress, progress_bar

    run, logger, move, said = _run.get(), get_run_logger(), progress_bar(verb, family), 0
    file = run.logs / f"{verb.replace('/', '_')}@{family}.log"

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
    """Do ``action``, which returns the name of a state and a result; tell its start and its end."""
    tell, began = _run.get().tell, time.monotonic()
    tell("start", verb, family, None)
    try:
        name, result = action()
    except BaseException as error:
        tell("end", verb, family, {"state": "Failed", "seconds": time.monotonic() - began, "error": str(error)})
        raise
    tell("end", verb, family, {"state": name, "seconds": time.monotonic() - began})
    return Completed(name=name, data=result)


def _may_retry(task: Any, task_run: Any, state: State[Any]) -> bool:
    """A mistake of the user's stays one, and who stopped a run does not want it again."""
    return not isinstance(state.result(raise_on_failure=False), (ValueError, child.StoppedError))


@task(cache_policy=NO_CACHE, task_run_name="fetch@{family}", retries=2, retry_delay_seconds=10, retry_condition_fn=_may_retry)
def fetch_task(family: str) -> State[bool]:
    """Bring in the family's raw data; the result is whether it changed."""

    def action() -> tuple[str, bool]:
        from tasks.fetch import bring_in

        changed = bring_in(family, _listener("fetch", family))
        return "Completed" if changed else "Skipped", changed

    return _carry_out("fetch", family, action)


@contextmanager
def _slot(tags: Collection[str], on_line: Callable[[str], None]) -> Iterator[None]:
    """Hold the machine's GPU, or one of its CPU slots, while the block runs."""
    stop = _run.get().stop
    if "gpu" in tags:
        with stage.hold("gpu", stop, on_line):
            yield
        return
    while not CPU_SLOTS.acquire(timeout=0.5):
        if stop.is_set():
            raise child.StoppedError("stopped while waiting")
    try:
        yield
    finally:
        CPU_SLOTS.release()


@task(cache_policy=NO_CACHE, task_run_name="{name}", retry_delay_seconds=10, retry_condition_fn=_may_retry)
def stage_task(name: str, because: list[str]) -> State[stage.Result]:
    """Bring the stage ``name`` up to date; ``because`` are the reasons why it may be stale, none if it is not."""
    run = _run.get()
    what = run.stages[name]

    def action() -> tuple[str, stage.Result]:
        if not because:
            return "Skipped", stage.Result(name, what.family, "Skipped", 0.0)
        on_line = _listener(what.verb, what.family)
        for reason in because:
            on_line(f"because {reason}")
        with _slot(what.tags, on_line):
            result = stage.bring_up_to_date(what, what.timeout_hours * 3600, on_line, run.stop)
        if result.state != "Skipped":
            _show(what)
        return result.state, result

    return _carry_out(what.verb, what.family, action)


def _show(what: stage.Stage) -> None:
    from beauty_models.families import STAGES
    from flows import artifacts

    artifacts.publish_metrics(what.verb, what.family)
    if STAGES.get(what.verb) == "report":
        artifacts.publish_pictures(what.family)


@task(cache_policy=NO_CACHE, task_run_name="register@{family}", retries=1, retry_delay_seconds=10, retry_condition_fn=_may_retry)
def register_task(family: str) -> State[dict[str, Any] | None]:
    """Register the family's model unless it is registered; the result is what `tasks.register.register` returns."""

    def action() -> tuple[str, dict[str, Any] | None]:
        from tasks.register import register

        registered = register(family, flow_run=str(flow_run.id))
        if registered:
            from flows import artifacts

            artifacts.publish_registration(registered)
        return "Completed" if registered else "Skipped", registered

    return _carry_out("register", family, action)


@task(cache_policy=NO_CACHE, task_run_name="{verb}", retries=2, retry_delay_seconds=30, retry_condition_fn=_may_retry)
def share_task(verb: str) -> State[None]:
    """``pull`` what other machines made, or ``push`` what this one made."""

    def action() -> tuple[str, None]:
        repro.share(verb, _listener(verb, "all"), _run.get().stop)
        return "Completed", None

    return _carry_out(verb, "all", action)


def _submit(work: Task[..., Any], *arguments: Any, wait_for: Collection[Future] = ()) -> Future:
    return cast(Future, work.submit(*arguments, wait_for=list(wait_for), return_state=False))


def _wait(futures: Collection[Future]) -> None:
    """Wait for all ``futures``; see now and then whether somebody cancelled the run."""
    pending = {future.wrapped_future for future in futures}
    while pending := wait(pending, timeout=CANCEL_EVERY).not_done:
        state = None
        with suppress(httpx.HTTPError), get_client(sync_client=True) as client:  # a server that is away stops nothing
            state = client.read_flow_run(flow_run.id).state
        if state and (state.is_cancelling() or state.is_cancelled()):
            raise child.StoppedError("the flow run was cancelled")
    for future in futures:
        future.wait()


def _submit_stages(run: _Run) -> dict[str, Future]:
    futures: dict[str, Future] = {}
    reasons = stage.stale(run.stages)
    for name, what in run.stages.items():
        if what.source and not reasons[name]:
            continue  # raw data as DVC knows it
        tags = list(what.tags) if reasons[name] else []  # Prefect asks its server for each tag's limit; nothing to do needs no slot
        ready = stage_task.with_options(name=what.verb, tags=tags, retries=what.retries)
        needs = [futures[need] for need in what.needs if need in futures]
        futures[name] = _submit(ready, name, reasons[name], wait_for=needs)
    return futures


def _row(what: stage.Stage, future: Future) -> dict[str, Any]:
    state = future.state
    result = future.result() if state.is_completed() else None
    name = result.state if result else "NotRun" if state.is_pending() else "Failed"
    return {"stage": what.verb, "family": what.family, "state": name, "seconds": round(result.seconds, 3) if result else 0.0}


def _failures(futures: Collection[Future]) -> list[str]:
    failed = [future for future in futures if future.state.is_failed() or future.state.is_crashed()]
    return [str(future.result(raise_on_failure=False)).partition("\n")[0] for future in failed]


def carry_through(families: list[str], only_stages: bool = False, only_changed: bool = False, share: bool = False) -> dict[str, Any]:
    """Fetch, bring up to date and register ``families`` inside a flow.

    ``only_stages`` neither fetches nor registers; ``only_changed`` goes on with families whose raw data is new; ``share``
    pulls other machines' results from the DVC remote first and pushes this one's at the end.

    Raises:
        RetrainError: anything failed; everything that did not depend on it was done.
    """
    logs = STATE / "logs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{flow_run.id[-8:]}"
    run = _Run({}, logs, threading.Event(), _on_event.get())
    _run.set(run)
    named: dict[str, Future] = {}
    try:
        if share:
            _submit(share_task, "pull").result()
        fetched = {family: _submit(fetch_task, family) for family in ([] if only_stages else families)}
        _wait(fetched.values())
        done = {family for family, future in fetched.items() if future.state.is_completed()}
        ready = [f for f in families if only_stages or (f in done and (fetched[f].result() or not only_changed))]
        run.stages.update(stage.graph(ready) if ready else {})
        staged = _submit_stages(run) if ready else {}
        registered = {}
        for family in [] if only_stages else ready:
            stages = [future for name, future in staged.items() if run.stages[name].family == family]
            registered[family] = _submit(register_task, family, wait_for=stages)
        named = {**{f"fetch@{f}": v for f, v in fetched.items()}, **staged, **{f"register@{f}": v for f, v in registered.items()}}
        _wait(named.values())
        if share:
            _submit(share_task, "push").result()
    except BaseException:
        run.stop.set()  # the stages that run now end, with all their processes
        raise
    versions = [future.result() for future in registered.values() if future.state.is_completed()]
    outcome = {"stages": [_row(run.stages[n], v) for n, v in staged.items()], "registered": [version for version in versions if version]}
    if failures := _failures(named.values()):
        raise RetrainError("\n".join(failures), outcome)
    return outcome


def chosen(families: list[str] | None) -> list[str]:
    """Return ``families``, or all of params.yaml's when there are none.

    Raises:
        ValueError: params.yaml has no block of that name.
    """
    known = list(params.read())
    if unknown := sorted(set(families or []) - set(known)):
        raise ValueError(f"{params.PARAMS_FILE}: no block families.{unknown[0]}; it has {', '.join(known)}")
    return list(dict.fromkeys(families or known))


@flow(name="retrain")
def retrain(families: list[str] | None = None, only_stages: bool = False, share: bool = False) -> dict[str, Any]:
    """Bring ``families`` (all, when none are named) up to date; the other arguments are those of `carry_through`.

    Returns:
        ``{"stages": [{"stage", "family", "state", "seconds"}], "registered": [what register returned]}``.

    Raises:
        RetrainError, ValueError: as `carry_through` and `chosen`.
    """
    return carry_through(chosen(families), only_stages, share=share)


def run(families: list[str] | None, on_event: OnEvent, only_stages: bool = False) -> dict[str, Any]:
    """Run the flow `retrain` here and now for a command line that watches through ``on_event``.

    Prefect prints nothing, and sends no heartbeats, which only runs that a worker started need.

    Raises:
        RetrainError, ValueError: as `retrain`.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, PrefectConsoleHandler):
            handler.setLevel(logging.CRITICAL + 1)
    token = _on_event.set(on_event)
    try:
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            return retrain(families, only_stages)
    finally:
        _on_event.reset(token)
