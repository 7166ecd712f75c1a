"""The retraining flow: the graph of dvc.yaml as Prefect tasks, fetching before it, registry after.

Per family: fetch the raw data, bring each DVC stage up to date, register the model. A task whose
stage is up to date ends as ``Skipped``, one whose result DVC's run cache holds as ``Restored``. A
failed stage fails what depends on it and nothing else. Stages of different families run side by
side, one at a time on the machine's GPU.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import threading
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, wait
from functools import partial
from queue import SimpleQueue
from typing import Any, cast
from uuid import UUID

from beauty_models import params
from flows import local, story, worker
from flows.events import OnEvent, Outcome
from flows.outbox import outbox
from flows.prefect_api import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PrefectConcurrentFuture,
    PrefectConsoleHandler,
    Task,
    flow,
    flow_run,
    get_client,
    get_run_logger,
    temporary_settings,
)
from flows.prefect_tasks import fetch_task, register_task, stage_task, sync_task
from flows.run_context import RunContext, current_run, event_handler
from flows.turns import Turns
from tasks.pipeline import child, remote
from tasks.pipeline.graph import Stage
from tasks.pipeline.staleness import survey
from tasks.pipeline.update import StageRow
from tasks.registry import connection
from tasks.state import STATE

Future = PrefectConcurrentFuture[Any]

STOP_S = child.GRACE_S + 10.0  # the longest that a stopped run waits for the end of its stages
CANCEL_POLL_S = 5.0  # between two looks whether the run was cancelled in the UI
POLL_S = 0.5  # between two looks whether somebody, anybody, ended the run
TOGETHER_S = 1.0  # that a family whose data are there waits for others, to be looked at with them
LIMITS_S = 30.0  # that the server has to tell which tags it limits


class RetrainError(RuntimeError):
    """Some stage failed. The message has a line for each.

    ``outcome`` is what the run returns when all is well.
    """

    def __init__(self, message: str, outcome: Outcome) -> None:
        super().__init__(message)
        self.outcome = outcome


@flow(name="retrain")
def retrain(
    families: list[str] | None = None, only_stages: bool = False, share: bool = False
) -> Outcome:
    """Bring ``families`` (all, when none are named) up to date.

    The other arguments are those of `run_pipeline`.

    Raises:
        RetrainError, ValueError: as `run_pipeline` and `params.chosen`.
    """
    return run_pipeline(params.chosen(families), only_stages, share=share)


def run(families: list[str] | None, on_event: OnEvent, only_stages: bool = False) -> Outcome:
    """Run the flow `retrain` here and now for a command line that watches through ``on_event``.

    Prefect prints nothing, and sends no heartbeats, which only runs that a worker started need. Its
    server may stop answering at any moment: the run goes on, `flows.local` says how.

    Raises:
        RetrainError, ValueError: as `retrain`.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, PrefectConsoleHandler):
            handler.setLevel(logging.CRITICAL + 1)
    token = event_handler.set(on_event)
    try:
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            return local.run(
                partial(retrain, families, only_stages),
                PREFECT_API_URL.value(),
                lambda text: on_event("warning", "", "", text),
            )
    finally:
        event_handler.reset(token)


def run_pipeline(
    families: list[str], only_stages: bool = False, only_changed: bool = False, share: bool = False
) -> Outcome:
    """Fetch, bring up to date and register ``families`` inside a flow.

    ``only_stages`` neither fetches nor registers; ``only_changed`` goes on with families whose raw
    data is new; ``share`` pulls other machines' results from the DVC remote first and pushes this
    one's at the end.

    Nothing in here waits for Prefect's server, which may freeze or die while the stages run.

    Raises:
        RetrainError: anything failed; everything that did not depend on it was done.
    """
    handle = local.flow_handle.get(None)
    # A worker started the flow, and nobody else listens.
    if handle is None:
        handle = local.FlowHandle()
        local.flow_handle.set(handle)
    run = RunContext(
        stages={},
        logs=STATE / "logs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{flow_run.id[-8:]}",
        stop=threading.Event(),
        notify=event_handler.get(),
        pull=share,
        turns=Turns(families),
        tasks={},
        artifacts={},
    )
    current_run.set(run)
    worker.end_with_worker(get_run_logger().error)
    over = threading.Event()
    watch = (_watch_for_cancellation, UUID(flow_run.id), handle.cancelled, over)
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=watch, daemon=True).start()
    try:
        return handle.run_work(partial(_run_and_tell, run, families, only_stages, only_changed))
    finally:
        over.set()
        local.wait_while_healthy(outbox.flush, local.END_S, PREFECT_API_URL.value())


def _watch_for_cancellation(
    run_id: UUID, cancelled: threading.Event, over: threading.Event
) -> None:
    """Set ``cancelled`` when somebody cancels the run in the UI.

    It is the function of a thread that nobody waits for, since each look may take minutes.
    """
    while not over.wait(CANCEL_POLL_S):
        try:
            with get_client(sync_client=True) as client:
                state = client.read_flow_run(run_id).state
        except Exception:
            # A server that is away, or talks nonsense, stops nothing; it may come back.
            continue
        if state and (state.is_cancelling() or state.is_cancelled()):
            cancelled.set()
            return


def _run_and_tell(
    run: RunContext, families: list[str], only_stages: bool, only_changed: bool
) -> Outcome:
    """Do what `run_pipeline` promises and publish its story, however it ends."""
    start = time.monotonic()
    try:
        outcome = _run_families(run, families, only_stages, only_changed)
    except RetrainError:
        # Its tasks have told what failed.
        story.publish(run, families, time.monotonic() - start)
        raise
    except BaseException as error:
        _stop(run)
        story.publish(run, families, time.monotonic() - start, error)
        raise
    story.publish(run, families, time.monotonic() - start)
    return outcome


def _stop(run: RunContext) -> None:
    """End the stages that run now, with all their processes, and wait until they have ended."""
    run.stop.set()
    deadline = time.monotonic() + STOP_S
    while time.monotonic() < deadline:
        # A copy: the tasks' threads still write their records.
        if all(record.state != "Running" for record in list(run.tasks.values())):
            return
        time.sleep(0.1)


def _run_families(
    run: RunContext, families: list[str], only_stages: bool, only_changed: bool
) -> Outcome:
    """Submit all tasks and wait for them."""
    if not only_stages:
        # Now, and not after hours of training.
        connection.check_reachable()
    if run.pull:
        remote.check()
        pulled = _submit(sync_task, "pull")
        _wait_for([pulled])
        pulled.result()
    fetched: dict[str, Future] = {}
    staged: dict[str, Future] = {}
    registered: dict[str, Future] = {}
    if only_stages:
        staged = _submit_stages(run, families)
    else:
        fetched = {family: _submit(fetch_task, family) for family in families}
        # The first family trains while the data of others are still fetched.
        for ready in _as_fetched(run, fetched, only_changed):
            own = _submit_stages(run, ready)
            staged |= own
            registered |= _submit_registrations(run, ready, own)
    futures = [*fetched.values(), *staged.values(), *registered.values()]
    _wait_for(futures)
    # Also when something failed: what was finished is not lost.
    if run.pull:
        pushed = _submit(sync_task, "push")
        _wait_for([pushed])
        futures.append(pushed)
    versions = [future.result() for future in registered.values() if future.state.is_completed()]
    outcome: Outcome = {
        "stages": [_stage_row(run.stages[name], future) for name, future in staged.items()],
        "registered": [version for version in versions if version],
    }
    if failures := _failures(futures):
        raise RetrainError("\n".join(failures), outcome)
    return outcome


def _submit(work: Task[..., Any], *arguments: Any, wait_for: Collection[Future] = ()) -> Future:
    return cast(Future, work.submit(*arguments, wait_for=list(wait_for), return_state=False))


def _as_fetched(
    run: RunContext, fetched: dict[str, Future], only_changed: bool
) -> Iterator[list[str]]:
    """Yield the families whose raw data is there, and new where ``only_changed``, as they come.

    Those that come at nearly the same time come together: each group costs a look of DVC.
    """
    waiting = dict(fetched)
    while waiting:
        _wait_for(waiting.values(), FIRST_COMPLETED)
        _wait_for(waiting.values(), seconds=TOGETHER_S)
        ready = []
        for family, future in list(waiting.items()):
            if not future.wrapped_future.done():
                continue
            # It may have come since `_wait_for` looked, and its state is not taken yet.
            future.wait()
            del waiting[family]
            if future.state.is_completed() and (future.result() or not only_changed):
                ready.append(family)
            else:
                run.turns.expect(family, 0)
        if ready:
            yield ready


def _submit_stages(run: RunContext, families: list[str]) -> dict[str, Future]:
    """Submit a task for each stage of ``families``, with the edges of dvc.yaml between them."""
    if not families:
        return {}
    stages, reasons = survey(families)
    run.stages.update(stages)
    for family in families:
        own = [stage for stage in stages.values() if stage.family == family]
        on_gpu = [stage for stage in own if "gpu" in stage.tags and reasons[stage.name]]
        run.turns.expect(family, len(on_gpu))
    limited_tags = _limited_tags() if any(reasons.values()) else set()
    futures: dict[str, Future] = {}
    for name, stage in stages.items():
        # Raw data as DVC knows it: there is nothing to do, and nothing to show.
        if stage.source and not reasons[name]:
            continue
        tags = []
        if reasons[name]:
            tags = [tag for tag in stage.tags if tag in limited_tags]
        options = stage_task.with_options(name=stage.verb, tags=tags, retries=stage.retries)
        needs = [futures[need] for need in stage.needs if need in futures]
        futures[name] = _submit(options, name, reasons[name], wait_for=needs)
    return futures


def _submit_registrations(
    run: RunContext, families: list[str], staged: dict[str, Future]
) -> dict[str, Future]:
    """Submit the registration of each family, which waits for all its stages."""
    registered = {}
    for family in families:
        own = [future for name, future in staged.items() if run.stages[name].family == family]
        registered[family] = _submit(register_task, family, wait_for=own)
    return registered


def _limited_tags() -> set[str]:
    """Return the tags whose tasks the server limits.

    Prefect asks its server for a slot for each tag of a task, limited or not, and a server that is
    slow then fails the run. So a task bears only tags that have a limit.
    """
    answer: SimpleQueue[set[str] | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            with get_client(sync_client=True) as client:
                limits = client.read_concurrency_limits(limit=200, offset=0)
            answer.put({limit.tag for limit in limits})
        except Exception as error:
            # Whatever it is, the stages do not fail for it.
            answer.put(error)

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(ask,), daemon=True)
    thread.start()

    def answered(seconds: float) -> bool:
        thread.join(seconds)
        return not thread.is_alive()

    in_time = local.wait_while_healthy(answered, LIMITS_S, PREFECT_API_URL.value())
    tags = answer.get() if in_time else TimeoutError("it does not answer")
    if isinstance(tags, Exception):
        get_run_logger().warning(
            "limits of tags are not kept: the server does not tell them: %s", tags
        )
        return set()
    return tags


def _wait_for(
    futures: Collection[Future], until: str = ALL_COMPLETED, seconds: float = math.inf
) -> None:
    """Wait for all ``futures``, or ``until`` the first; at most ``seconds``.

    Raises:
        child.StoppedError, KeyboardInterrupt: the run was cancelled in the UI, or by Ctrl-C.
    """
    handle = local.flow_handle.get()
    # Not documented by Prefect: the `concurrent.futures.Future` inside. Its own `wait` hears of
    # neither Ctrl-C nor a cancellation.
    pending = {future.wrapped_future for future in futures}
    deadline = time.monotonic() + seconds
    while pending and time.monotonic() < deadline:
        try:
            done, pending = wait(pending, min(POLL_S, seconds), return_when=until)
            if done and until == FIRST_COMPLETED:
                break
        except asyncio.CancelledError:
            # Prefect ends a run whose place under its deployment's limit it could not renew. A
            # server that is away would so end a training; the places are for it to give, not to
            # take back.
            get_run_logger().warning(
                "the Prefect server did not renew this run's place under its deployment's limit; "
                "the run goes on, another one may begin beside it"
            )
        if handle.cancelled.is_set():
            raise child.StoppedError("the flow run was cancelled")
        if handle.interrupted.is_set():
            raise KeyboardInterrupt
    for future in futures:
        # Of one that is done this takes the state.
        if future.wrapped_future.done():
            future.wait()


def _stage_row(stage: Stage, future: Future) -> StageRow:
    """Return what became of a stage."""
    row: StageRow = {
        "stage": stage.verb,
        "family": stage.family,
        "state": "Failed",
        "seconds": 0.0,
    }
    state = future.state
    if state.is_completed():
        result = future.result()
        row["state"] = result.state
        row["seconds"] = round(result.seconds, 3)
    elif state.is_pending():
        # What it needs has failed.
        row["state"] = "NotRun"
    return row


def _failures(futures: Collection[Future]) -> list[str]:
    """Return the first line of each error."""
    lines = []
    for future in futures:
        if future.state.is_failed() or future.state.is_crashed():
            error = str(future.result(raise_on_failure=False))
            lines.append(error.partition("\n")[0])
    return lines
