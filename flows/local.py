"""Run a flow here and now for a command line that does not wait for a Prefect server that has stopped answering.

Prefect's engine asks its server in the thread that runs the flow: when the run begins, and when it ends. A server that is
frozen makes each of these requests last seven minutes, and at the end of the process Prefect sends what is left of its
events, two minutes each. So the engine has a thread of its own here. The command line takes the outcome from the flow
itself as soon as it is known, gives Prefect the time it needs to write it down while the server answers, and goes when it
does not. It then has to end its process by ``os._exit``, see `left_behind`.

A flow that a Prefect worker started knows nothing of this: there the engine may be as patient as it likes, the work is
done by then.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from flows import servers
from tasks.secrets import redact

BEGIN_S = 30.0  # seconds for the first requests of a run before the server's health is looked at
END_S = 10.0  # and for the last ones

Outcome = dict[str, Any]

left_behind = threading.Event()
"""Set when Prefect was left waiting for its server: the end of this process would wait for it too."""


class Caller:
    """What a flow and the command line that runs it tell each other; a worker's flow has one that nobody listens to."""

    def __init__(self) -> None:
        self.begun = threading.Event()  # the flow's own code runs
        self.interrupted = threading.Event()  # by Ctrl-C
        self.cancelled = threading.Event()  # in Prefect's pages
        self.ended = threading.Event()  # the flow's own code has ended
        self.recorded = threading.Event()  # and Prefect has told its server so, or given up
        self.outcome: Outcome | None = None
        self.failure: BaseException | None = None  # of the flow's own code
        self.engine_failure: BaseException | None = None  # of Prefect, or the same

    def carry(self, work: Callable[[], Outcome]) -> Outcome:
        """Do the flow's ``work`` and keep how it ended, which Prefect may not be able to say any more."""
        self.begun.set()
        try:
            self.outcome = work()
            return self.outcome
        except BaseException as error:
            self.failure = error
            raise
        finally:
            self.ended.set()

    def engine(self, flow: Callable[[], Outcome]) -> None:
        """Have Prefect run ``flow``; the thread's function."""
        try:
            flow()
        except BaseException as error:
            self.engine_failure = error
        finally:
            self.begun.set()  # also where Prefect let nothing begin
            self.ended.set()
            with suppress(Exception):  # what cannot be sent is Prefect's own loss
                _send_what_is_left()
            self.recorded.set()


caller: ContextVar[Caller] = ContextVar("caller")


def _send_what_is_left() -> None:
    """Have Prefect send its last log lines and events: later a temporary server is gone."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogHandler

    APILogHandler().flush()
    EventsWorker.drain_all()


def while_answering(wait: Callable[[float], bool], seconds: float, url: str | None) -> bool:
    """Call ``wait(seconds)`` until it returns True; return False when the Prefect API ``url`` no longer answers."""
    while not wait(seconds):
        if url and servers.why_not_well(url):
            return wait(0)
    return True


def run(flow: Callable[[], Outcome], api: str | None, warn: Callable[[str], None]) -> Outcome:
    """Run ``flow``, whose own code goes through `Caller.carry`; return what that code returned.

    ``api`` is the address of Prefect's server, ``warn`` is told in a sentence when it missed a part of the run. Ctrl-C is
    handed on to the flow, which ends its stages.

    Raises:
        ValueError: the server stopped answering before the flow could begin.
        BaseException: what the flow raised, or Prefect when it let nothing begin.
    """
    mine = Caller()
    inside = contextvars.copy_context()
    inside.run(caller.set, mine)
    threading.Thread(target=inside.run, args=(mine.engine, flow), daemon=True, name="flow").start()
    try:
        if not while_answering(mine.begun.wait, BEGIN_S, api):
            left_behind.set()
            raise ValueError(
                f"the Prefect server at {redact(str(api))} stopped answering before the run began: start it anew, "
                "or take its address away, and the run brings a server of its own"
            )
        mine.ended.wait()
    except KeyboardInterrupt:
        mine.interrupted.set()
        if mine.begun.is_set():
            mine.ended.wait()
        _record(mine, api, warn)
        raise
    _record(mine, api, warn)
    if mine.outcome is not None:
        return mine.outcome
    failure = mine.failure or mine.engine_failure
    assert failure is not None
    raise failure


def _record(mine: Caller, api: str | None, warn: Callable[[str], None]) -> None:
    """Let Prefect write down the run's end while its server answers."""
    if not while_answering(mine.recorded.wait, END_S, api):
        left_behind.set()
        warn(
            f"the Prefect server at {redact(str(api))} does not answer any more, and its pages do not show how this run "
            "ended; what was made and registered is not touched by that"
        )
    elif mine.outcome is not None and mine.engine_failure is not None:
        warn(f"Prefect could not write down how this run ended: {redact(str(mine.engine_failure))}")
