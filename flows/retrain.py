"""The retraining flow: the graph of dvc.yaml as Prefect tasks, with fetching before it and the registry after it.

Per family: fetch the raw data, bring each DVC stage up to date, register the model. A task whose stage is up to date
ends as ``Skipped``, one whose result DVC's run cache holds as ``Restored``. A failed stage fails what depends on it
and nothing else. Stages of different families run side by side, one at a time on the machine's GPU.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections import Counter
from collections.abc import Collection
from concurrent.futures import wait
from functools import partial
from queue import SimpleQueue
from typing import Any, cast
from uuid import UUID

from beauty_models import params
from flows import local, worker
from flows.events import OnEvent
from flows.outbox import outbox
from flows.turns import Turns
from flows.work import (
    Run,
    current,
    fetch_task,
    register_task,
    share_task,
    stage_task,
    watcher,
)
from tasks.pipeline import child, remote
from tasks.pipeline.graph import Stage
from tasks.pipeline.staleness import survey
from tasks.registry import connection
from tasks.state import STATE

# isort: split
from prefect import (
    Task,
    flow,
    get_run_logger,
)  # after flows.work, which has set what Prefect reads when it is imported
from prefect.client.orchestration import get_client
from prefect.futures import PrefectConcurrentFuture
from prefect.logging.handlers import PrefectConsoleHandler
from prefect.runtime import flow_run
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    temporary_settings,
)

Future = PrefectConcurrentFuture[Any]

STOP_S = child.GRACE_S + 10.0  # the longest that a stopped run waits for the end of its stages
CANCEL_EVERY = 5.0  # seconds between two looks whether the run was cancelled in the UI
LOOK_EVERY = 0.5  # seconds between two looks whether somebody, anybody, ended the run
LIMITS_S = 30.0  # seconds that the server has to tell which tags it limits


class RetrainError(RuntimeError):
    """Some stage failed. The message has a line for each, ``outcome`` is what the run returns when all is well."""

    def __init__(self, message: str, outcome: dict[str, Any]) -> None:
        super().__init__(message)
        self.outcome = outcome


def _submit(work: Task[..., Any], *arguments: Any, wait_for: Collection[Future] = ()) -> Future:
    return cast(Future, work.submit(*arguments, wait_for=list(wait_for), return_state=False))


def _watch_for_cancellation(
    run_id: UUID, cancelled: threading.Event, over: threading.Event
) -> None:
    """Set ``cancelled`` when somebody cancels the run in the UI; the function of a thread that nobody waits for."""
    while not over.wait(CANCEL_EVERY):
        try:
            with get_client(sync_client=True) as client:
                state = client.read_flow_run(run_id).state
        except (
            Exception
        ):  # a server that is away, or talks nonsense, stops nothing; it may come back
            continue
        if state and (state.is_cancelling() or state.is_cancelled()):
            cancelled.set()
            return


def _wait(futures: Collection[Future]) -> None:
    """Wait for all ``futures``, or until the run is cancelled in the UI or by Ctrl-C."""
    caller = local.caller.get()
    pending = {future.wrapped_future for future in futures}
    while pending:
        try:
            pending = wait(pending, timeout=LOOK_EVERY).not_done
        except asyncio.CancelledError:
            # Prefect ends a run whose place under its deployment's limit it could not renew. A server
            # that is away would so end a training; the places are for it to give, not to take back.
            get_run_logger().warning(
                "the Prefect server did not renew this run's place under its deployment's limit; "
                "the run goes on, another one may begin beside it"
            )
        if caller.cancelled.is_set():
            raise child.StoppedError("the flow run was cancelled")
        if caller.interrupted.is_set():
            raise KeyboardInterrupt
    for future in futures:
        future.wait()


def _limited_tags() -> set[str]:
    """Return the tags whose tasks the server limits.

    Prefect asks its server for a slot for each tag of a task, limited or not, and a server that is slow then fails the
    run. So a task bears only tags that have a limit.
    """
    answer: SimpleQueue[set[str] | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            with get_client(sync_client=True) as client:
                limits = client.read_concurrency_limits(limit=200, offset=0)
            answer.put({limit.tag for limit in limits})
        except Exception as error:  # whatever it is, the stages do not fail for it
            answer.put(error)

    inside = contextvars.copy_context()
    asking = threading.Thread(target=inside.run, args=(ask,), daemon=True)
    asking.start()

    def answered(seconds: float) -> bool:
        asking.join(seconds)
        return not asking.is_alive()

    given = local.while_answering(answered, LIMITS_S, PREFECT_API_URL.value())
    tags = answer.get() if given else TimeoutError("it does not answer")
    if isinstance(tags, Exception):
        get_run_logger().warning(
            "limits of tags are not kept: the server does not tell them: %s", tags
        )
        return set()
    return tags


def _submit_stages(stages: dict[str, Stage], reasons: dict[str, list[str]]) -> dict[str, Future]:
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


def _row(what: Stage, future: Future) -> dict[str, Any]:
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

    Nothing in here waits for Prefect's server, which may freeze or die while the stages run.

    Raises:
        RetrainError: anything failed; everything that did not depend on it was done.
    """
    caller = local.caller.get(None)
    if caller is None:  # a worker started the flow, and nobody else listens
        caller = local.Caller()
        local.caller.set(caller)
    logs = STATE / "logs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{flow_run.id[-8:]}"
    run = Run({}, logs, threading.Event(), watcher.get(), share, Turns(Counter()), {}, {})
    current.set(run)
    worker.end_with_worker(get_run_logger().error)
    over = threading.Event()
    looking = threading.Thread(
        target=contextvars.copy_context().run,
        args=(_watch_for_cancellation, UUID(flow_run.id), caller.cancelled, over),
        daemon=True,
    )
    looking.start()
    try:
        return caller.carry(partial(_told, run, families, only_stages, only_changed))
    finally:
        over.set()
        local.while_answering(outbox.flush, local.END_S, PREFECT_API_URL.value())


def _told(run: Run, families: list[str], only_stages: bool, only_changed: bool) -> dict[str, Any]:
    """Do the work and tell its story, however it ends."""
    began = time.monotonic()
    try:
        outcome = _carry(run, families, only_stages, only_changed)
    except RetrainError:  # its tasks have told what failed
        _tell_story(run, families, began)
        raise
    except BaseException as error:
        _stop(run)
        _tell_story(run, families, began, error)
        raise
    _tell_story(run, families, began)
    return outcome


def _carry(run: Run, families: list[str], only_stages: bool, only_changed: bool) -> dict[str, Any]:
    """Do what `carry_through` promises."""
    if not only_stages:
        connection.check_reachable()  # now, and not after hours of training
    if run.pull:
        remote.check()
        pulled = _submit(share_task, "pull")
        _wait([pulled])
        pulled.result()
    fetched = {family: _submit(fetch_task, family) for family in families if not only_stages}
    _wait(fetched.values())
    ready = families if only_stages else _to_go_on_with(fetched, only_changed)
    stages, reasons = survey(ready) if ready else ({}, {})
    run.stages.update(stages)
    run.turns.expect(
        [what.family for n, what in stages.items() if reasons[n] and "gpu" in what.tags]
    )
    staged = _submit_stages(stages, reasons)
    registered = {}
    for family in [] if only_stages else ready:
        own = [future for name, future in staged.items() if stages[name].family == family]
        registered[family] = _submit(register_task, family, wait_for=own)
    named = [*fetched.values(), *staged.values(), *registered.values()]
    _wait(named)
    if run.pull:  # also when something failed: what was finished is not lost
        pushed = _submit(share_task, "push")
        _wait([pushed])
        named.append(pushed)
    versions = [future.result() for future in registered.values() if future.state.is_completed()]
    outcome = {
        "stages": [_row(run.stages[n], v) for n, v in staged.items()],
        "registered": [version for version in versions if version],
    }
    if failures := _failures(named):
        raise RetrainError("\n".join(failures), outcome)
    return outcome


def _to_go_on_with(fetched: dict[str, Future], only_changed: bool) -> list[str]:
    """Return the families whose raw data is there, and new where ``only_changed``."""
    done = {family: future for family, future in fetched.items() if future.state.is_completed()}
    return [family for family, future in done.items() if future.result() or not only_changed]


@flow(name="retrain")
def retrain(
    families: list[str] | None = None, only_stages: bool = False, share: bool = False
) -> dict[str, Any]:
    """Bring ``families`` (all, when none are named) up to date; the other arguments are those of `carry_through`.

    Returns:
        ``{"stages": [{"stage", "family", "state", "seconds"}], "registered": [what register returned]}``.

    Raises:
        RetrainError, ValueError: as `carry_through` and `params.chosen`.
    """
    return carry_through(params.chosen(families), only_stages, share=share)


def run(families: list[str] | None, on_event: OnEvent, only_stages: bool = False) -> dict[str, Any]:
    """Run the flow `retrain` here and now for a command line that watches through ``on_event``.

    Prefect prints nothing, and sends no heartbeats, which only runs that a worker started need. Its server may stop
    answering at any moment: the run goes on, `flows.local` says how.

    Raises:
        RetrainError, ValueError: as `retrain`.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, PrefectConsoleHandler):
            handler.setLevel(logging.CRITICAL + 1)
    watching = watcher.set(on_event)
    try:
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            return local.run(
                partial(retrain, families, only_stages),
                PREFECT_API_URL.value(),
                lambda text: on_event("warning", "", "", text),
            )
    finally:
        watcher.reset(watching)
