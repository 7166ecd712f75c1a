"""Run a flow here and now for a command line that does not wait for a Prefect server that hangs.

Prefect's engine asks its server in the thread that runs the flow: when the run begins, and when it
ends. A server that is frozen makes each of these requests last seven minutes, and at the end of the
process Prefect sends what is left of its events, two minutes each. So the engine has a thread of
its own here. The command line takes the outcome from the flow itself as soon as it is known, gives
Prefect the time it needs to write it down while the server answers, and goes when it does not. It
then has to end its process by ``os._exit``, see `prefect_is_stuck`.

A flow that a Prefect worker started knows nothing of this: there the engine may be as patient as it
likes, the work is done by then (docs/decisions/2026-11-26-server-and-schedules.md).
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar

from flows import servers
from flows.events import Outcome
from tasks.secrets import redact

BEGIN_S = 30.0  # for the first requests of a run, before the server's health is looked at
END_S = 10.0  # and for the last ones
POLL_S = 0.5  # between two looks whether Ctrl-C was pressed

prefect_is_stuck = threading.Event()
"""Set when Prefect was left waiting for its server: the end of this process would wait for it."""


class FlowHandle:
    """What a flow and the command line that runs it tell each other.

    A worker's flow has one that nobody listens to.
    """

    def __init__(self) -> None:
        self.begun = threading.Event()  # the flow's own code runs
        self.interrupted = threading.Event()  # by Ctrl-C
        self.cancelled = threading.Event()  # in Prefect's pages
        self.ended = threading.Event()  # the flow's own code has ended
        self.recorded = threading.Event()  # and Prefect has told its server so, or given up
        self.outcome: Outcome | None = None
        self.failure: BaseException | None = None  # of the flow's own code
        self.engine_failure: BaseException | None = None  # of Prefect, or the same

    def run_work(self, work: Callable[[], Outcome]) -> Outcome:
        """Do the flow's ``work`` and keep how it ended.

        Prefect may not be able to say it any more.
        """
        self.begun.set()
        try:
            self.outcome = work()
            return self.outcome
        except BaseException as error:
            self.failure = error
            raise
        finally:
            self.ended.set()

    def run_engine(self, flow: Callable[[], Outcome]) -> None:
        """Have Prefect run ``flow``; the thread's function."""
        try:
            flow()
        except BaseException as error:
            self.engine_failure = error
        finally:
            # Also where Prefect let nothing begin: somebody waits for these.
            self.begun.set()
            self.ended.set()
            # What cannot be sent is Prefect's own loss.
            with suppress(Exception):
                _send_what_is_left()
            self.recorded.set()

    def wait_for_end(self) -> None:
        """Wait until the flow's own code has ended, and notice Ctrl-C meanwhile."""
        # In steps: the kernel may give a signal to another thread, and Python's handler runs when
        # the main thread does. A wait without limit then never hears of it; seen once under load.
        while not self.ended.wait(POLL_S):
            pass


flow_handle: ContextVar[FlowHandle] = ContextVar("flow_handle")


def _send_what_is_left() -> None:
    """Have Prefect send its last log lines and events: later a temporary server is gone."""
    # Neither is documented; Prefect itself calls them when the process ends.
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogHandler

    APILogHandler().flush()
    EventsWorker.drain_all()


def wait_while_healthy(wait: Callable[[float], bool], seconds: float, url: str | None) -> bool:
    """Call ``wait(seconds)`` until it returns True.

    Returns:
        False when the Prefect API ``url`` no longer answers.
    """
    while not wait(seconds):
        if url and servers.api_problem(url):
            # What was awaited may have come while the server was asked.
            return wait(0)
    return True


def run(flow: Callable[[], Outcome], api: str | None, warn: Callable[[str], None]) -> Outcome:
    """Run ``flow``, whose own code goes through `FlowHandle.run_work`; return what it returned.

    ``api`` is the address of Prefect's server, ``warn`` is told in a sentence when it missed a part
    of the run. Ctrl-C is handed on to the flow, which ends its stages.

    Raises:
        ValueError: the server stopped answering before the flow could begin.
        BaseException: what the flow raised, or Prefect when it let nothing begin.
    """
    handle = FlowHandle()
    # The flow finds its handle in its context, which the thread would not inherit.
    context = contextvars.copy_context()
    context.run(flow_handle.set, handle)
    engine = (handle.run_engine, flow)
    threading.Thread(target=context.run, args=engine, daemon=True, name="flow").start()
    try:
        if not wait_while_healthy(handle.begun.wait, BEGIN_S, api):
            prefect_is_stuck.set()
            raise ValueError(
                f"the Prefect server at {redact(str(api))} stopped answering before the run began: "
                "start it anew, or take its address away, and the run brings a server of its own"
            )
        handle.wait_for_end()
    except KeyboardInterrupt:
        handle.interrupted.set()
        if handle.begun.is_set():
            handle.wait_for_end()
        _await_record(handle, api, warn)
        raise
    _await_record(handle, api, warn)
    if handle.outcome is not None:
        return handle.outcome
    failure = handle.failure or handle.engine_failure
    assert failure is not None
    raise failure


def _await_record(handle: FlowHandle, api: str | None, warn: Callable[[str], None]) -> None:
    """Let Prefect write down the run's end while its server answers."""
    if not wait_while_healthy(handle.recorded.wait, END_S, api):
        prefect_is_stuck.set()
        warn(
            f"the Prefect server at {redact(str(api))} does not answer any more, and its pages do "
            "not show how this run ended; what was made and registered is not touched by that"
        )
    elif handle.outcome is not None and handle.engine_failure is not None:
        problem = redact(str(handle.engine_failure))
        warn(f"Prefect could not write down how this run ended: {problem}")
