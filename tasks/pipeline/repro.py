"""DVC's command line as a child: reproduce one stage, exchange results with other machines."""

from __future__ import annotations

import re
import sys
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from tasks.pipeline import child
from tasks.pipeline.command import TAIL, environment
from tasks.state import OnLine

DVC = [sys.executable, "-m", "dvc", "--wait-for-lock"]
BUSY = "is busy, it is being blocked by"  # DVC's words for a path that another DVC process uses
CHATTER = re.compile(
    r"\s*$|To track the changes with git|\tgit add|To enable auto staging|\tdvc config core.autostage|Use `dvc push`"
    r"|Having any troubles\?"
)
STAGE_CODE = re.compile(r"^ERROR: .*failed to run: .*, exited with (-?\d+)$", re.M)
SHARE = {"pull": ["--run-cache", "--allow-missing"], "push": ["--run-cache"]}
SHARE_S = 24 * 3600.0


def _failure(name: str, ended: child.Ended, tail: Iterable[str]) -> Exception:
    """Return the error of a failed child; a `ValueError` when it said ``error:``, so that a retry would not help."""
    lines = list(tail)
    said = [line for line in lines if line.startswith("error: ")]
    dvc_said = [line for line in lines if line.startswith("ERROR: ")]
    others = [line for line in lines if line not in dvc_said]
    stage = STAGE_CODE.search("\n".join(lines))  # DVC itself ends with 255 whatever the stage did
    how = child.how(ended, int(stage[1]) if stage else None)
    last = (others if stage else dvc_said) or lines or ["it said nothing"]
    first = said[-1] if said else f"{how}: {last[-1].removeprefix('ERROR: ')}"
    return (ValueError if said else RuntimeError)("\n".join([f"{name}: {first}", *lines]))


def reproduce(
    name: str, timeout_s: float, on_line: OnLine, stop: threading.Event, pull: bool
) -> str | None:
    """Let DVC run the stage ``name``, if it finds it stale, within ``timeout_s`` seconds; setting ``stop`` ends it.

    ``pull`` looks in the DVC remote for a result that another machine made (`share` brings its list, not its files).

    Returns:
        Skipped, Restored (from the run cache), Completed, or None when another DVC process is using the same paths.

    Raises:
        ValueError, RuntimeError, TimeoutError, child.StoppedError: as `tasks.pipeline.stage.bring_up_to_date`.
    """
    tail: deque[str] = deque(maxlen=TAIL)
    heard = {"cached": False, "unchanged": False, "ran": False, "busy": False}

    def hear(line: str) -> None:
        if CHATTER.match(line):
            return
        tail.append(line)
        heard["cached"] |= (
            line == f"Stage '{name}' is cached - skipping run, checking out outputs"
            or line.startswith("Pulling data for")
        )
        heard["unchanged"] |= line == f"Stage '{name}' didn't change, skipping"
        heard["ran"] |= line == f"Running stage '{name}':"
        heard["busy"] |= BUSY in line
        on_line(line)

    command = [*DVC, "repro", "--single-item", *(["--pull"] if pull else []), name]
    try:
        ended = child.run(command, environment(), hear, timeout_s, stop)
    except (TimeoutError, child.StoppedError) as error:
        raise type(error)(f"{name}: {error}") from None
    if ended.code and heard["busy"] and not heard["ran"]:
        return None
    if ended.code:
        raise _failure(name, ended, tail)
    if heard["ran"]:
        return "Completed"
    return "Restored" if heard["cached"] else "Skipped" if heard["unchanged"] else "Completed"


def share(verb: str, on_line: OnLine, stop: threading.Event) -> None:
    """``pull`` what other machines made from the DVC remote, run cache included, or ``push`` what this one made.

    Raises:
        RuntimeError: DVC failed; its last lines say why.
        child.StoppedError: ``stop`` was set.
    """
    _run([verb, *SHARE[verb]], on_line, stop)


def add(folder: Path, on_line: OnLine, stop: threading.Event) -> None:
    """Put ``folder`` under DVC's care.

    Raises:
        RuntimeError, child.StoppedError: as `share`.
    """
    _run(["add", str(folder)], on_line, stop)


def _run(arguments: list[str], on_line: OnLine, stop: threading.Event) -> None:
    tail: deque[str] = deque(maxlen=TAIL)

    def hear(line: str) -> None:
        if CHATTER.match(line):
            return
        tail.append(line)
        on_line(line)

    ended = child.run([*DVC, *arguments], environment(), hear, SHARE_S, stop)
    if ended.code:
        raise _failure(f"dvc {arguments[0]}", ended, tail)
