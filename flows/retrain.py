"""The retraining flow: the graph of dvc.yaml as Prefect tasks, with fetching before it and the registry after it.

Per family: fetch the raw data, bring each DVC stage up to date, register the model. A task whose stage is up to date
ends as ``Skipped``, one whose result DVC's run cache holds as ``Restored``. A failed stage fails what depends on it
and nothing else. Stages of different families run side by side, one at a time on the machine's GPU.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Collection
from concurrent.futures import wait
from contextlib import suppress
from typing import Any, cast

import httpx

from beauty_models import params
from flows.settings import STATE
from flows.turns import Turns
from flows.work import (
    OnEvent,
    Run,
    current,
    fetch_task,
    register_task,
    share_task,
    stage_task,
    watcher,
)
from tasks import child, registry, stage

# isort: split
from prefect import (
    Task,
    flow,
    get_run_logger,
)  # after flows.work, which has set what Prefect reads when it is imported
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException
from prefect.futures import PrefectConcurrentFuture
from prefect.logging.handlers import APILogHandler, PrefectConsoleHandler
from prefect.runtime import flow_run
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

Future = PrefectConcurrentFuture[Any]

STOP_S = child.GRACE + 10.0  # the longest that a stopped run waits for the end of its stages
CANCEL_EVERY = 5.0  # seconds between two looks whether the run was cancelled in the UI


class RetrainError(RuntimeError):
    """Some stage failed. The message has a line for each, ``outcome`` is what the run returns when all is well."""

    def __init__(self, message: str, outcome: dict[str, Any]) -> None:
        super().__init__(message)
        self.outcome = outcome


def _submit(work: Task[..., Any], *arguments: Any, wait_for: Collection[Future] = ()) -> Future:
    return cast(Future, work.submit(*arguments, wait_for=list(wait_for), return_state=False))


def _wait(futures: Collection[Future]) -> None:
    """Wait for all ``futures``; see now and then whether somebody cancelled the run."""
    pending = {future.wrapped_future for future in futures}
    while pending := wait(pending, timeout=CANCEL_EVERY).not_done:
        state = None
        with (
            suppress(httpx.HTTPError),
            get_client(sync_client=True) as client,
        ):  # a server that is away stops nothing
            state = client.read_flow_run(flow_run.id).state
        if state and (state.is_cancelling() or state.is_cancelled()):
            raise child.StoppedError("the flow run was cancelled")
    for future in futures:
        future.wait()


def _limited_tags() -> set[str]:
    """Return the tags whose tasks the server limits.

    Prefect asks its server for a slot for each tag of a task, limited or not, and a server that is slow then fails the
    run. So a task bears only tags that have a limit.
    """
    try:
        with get_client(sync_client=True) as client:
            limits = client.read_concurrency_limits(limit=200, offset=0)
    except (httpx.HTTPError, PrefectException) as error:
        get_run_logger().warning(
            "limits of tags are not kept: the server does not tell them: %s", error
        )
        return set()
    return {limit.tag for limit in limits}


def _submit_stages(
    stages: dict[str, stage.Stage], reasons: dict[str, list[str]]
) -> dict[str, Future]:
    futures: dict[str, Future] = {}
    limited = _limited_tags() if any(reasons.values()) else set()
    for name, what in stages.items():
        if what.source and not reasons[name]:
            continue  # raw data as DVC knows it
        tags = [tag for tag in what.tags if tag in limited] if reasons[name] else []
        ready = stage_task.with_options(name=what.verb, tags=tags, retries=what.retries)
        needs = [futures[need] for need in what.needs if need in futures]
        futures[name] = _submit(ready, name, reasons[name], wait_for=needs)
    return futures


def _row(what: stage.Stage, future: Future) -> dict[str, Any]:
    state = future.state
    result = future.result() if state.is_completed() else None
    name = result.state if result else "NotRun" if state.is_pending() else "Failed"
    return {
        "stage": what.verb,
        "family": what.family,
        "state": name,
        "seconds": round(result.seconds, 3) if result else 0.0,
    }


def _failures(futures: Collection[Future]) -> list[str]:
    failed = [future for future in futures if future.state.is_failed() or future.state.is_crashed()]
    return [str(future.result(raise_on_failure=False)).partition("\n")[0] for future in failed]


def _stop(run: Run) -> None:
    """End the stages that run now, with all their processes, and wait until they have ended."""
    run.stop.set()
    deadline = time.monotonic() + STOP_S
    while time.monotonic() < deadline:
        if all(record.state != "Running" for record in list(run.tasks.values())):
            return
        time.sleep(0.1)


def _tell_story(
    run: Run, families: list[str], began: float, error: BaseException | None = None
) -> None:
    from flows import story  # imports what a run with nothing to do spares until its end

    story.publish(run, families, time.monotonic() - began, error)


def carry_through(
    families: list[str], only_stages: bool = False, only_changed: bool = False, share: bool = False
) -> dict[str, Any]:
    """Fetch, bring up to date and register ``families`` inside a flow.

    ``only_stages`` neither fetches nor registers; ``only_changed`` goes on with families whose raw data is new; ``share``
    pulls other machines' results from the DVC remote first and pushes this one's at the end.

    Raises:
        RetrainError: anything failed; everything that did not depend on it was done.
    """
    logs = STATE / "logs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{flow_run.id[-8:]}"
    run = Run({}, logs, threading.Event(), watcher.get(), share, Turns(Counter()), {})
    current.set(run)
    began = time.monotonic()
    named: dict[str, Future] = {}
    try:
        if not only_stages:
            registry.check_reachable()  # now, and not after hours of training
        if share:
            _submit(share_task, "pull").result()
        fetched = {
            family: _submit(fetch_task, family) for family in ([] if only_stages else families)
        }
        _wait(fetched.values())
        done = {family for family, future in fetched.items() if future.state.is_completed()}
        ready = [
            f
            for f in families
            if only_stages or (f in done and (fetched[f].result() or not only_changed))
        ]
        stages, reasons = stage.survey(ready) if ready else ({}, {})
        run.stages.update(stages)
        run.turns.expect(
            [what.family for n, what in stages.items() if reasons[n] and "gpu" in what.tags]
        )
        staged = _submit_stages(stages, reasons)
        registered = {}
        for family in [] if only_stages else ready:
            own = [future for name, future in staged.items() if stages[name].family == family]
            registered[family] = _submit(register_task, family, wait_for=own)
        named = {
            **{f"fetch@{f}": v for f, v in fetched.items()},
            **staged,
            **{f"register@{f}": v for f, v in registered.items()},
        }
        _wait(named.values())
        if share:
            _submit(share_task, "push").result()
    except BaseException as error:
        _stop(run)
        _tell_story(run, families, began, error)
        raise
    _tell_story(run, families, began)
    versions = [future.result() for future in registered.values() if future.state.is_completed()]
    outcome = {
        "stages": [_row(run.stages[n], v) for n, v in staged.items()],
        "registered": [version for version in versions if version],
    }
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
        raise ValueError(
            f"{params.PARAMS_FILE}: no block families.{unknown[0]}; it has {', '.join(known)}"
        )
    return list(dict.fromkeys(families or known))


@flow(name="retrain")
def retrain(
    families: list[str] | None = None, only_stages: bool = False, share: bool = False
) -> dict[str, Any]:
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
    token = watcher.set(on_event)
    try:
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            return retrain(families, only_stages)
    finally:
        watcher.reset(token)
        APILogHandler().flush()  # before a temporary server ends: later lines would find nobody
