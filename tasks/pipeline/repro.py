"""DVC's command line as a child: reproduce one stage, exchange results with other machines."""

from __future__ import annotations

import re
import sys
import threading
from collections import deque
from pathlib import Path

from tasks.pipeline import child
from tasks.pipeline.command import TAIL_LINES, environment
from tasks.state import OnLine

DVC = [sys.executable, "-m", "dvc", "--wait-for-lock"]
# DVC's advice to a person at a terminal; nothing of it concerns a run
ADVICE = re.compile(
    r"\s*$|To track the changes with git|\tgit add|To enable auto staging"
    r"|\tdvc config core.autostage|Use `dvc push`|Having any troubles\?"
)
STAGE_EXIT_CODE = re.compile(r"^ERROR: .*failed to run: .*, exited with (-?\d+)$", re.M)
SYNC_OPTIONS = {"pull": ["--run-cache", "--allow-missing"], "push": ["--run-cache"]}
SYNC_TIMEOUT_S = 24 * 3600.0


class Output:
    """What ``dvc repro`` or another command of DVC prints: its last lines, and what they mean.

    DVC tells by these sentences alone whether a stage ran, was restored or was up to date; they
    are those of DVC 3.67, and tests run a real DVC.
    """

    def __init__(self, on_line: OnLine, stage: str = "") -> None:
        self._on_line = on_line
        self._stage = stage
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.restored = False
        self.unchanged = False
        self.ran = False
        self.busy = False  # another DVC process uses a path of the stage

    def on_output(self, line: str) -> None:
        """Take the next line, and pass it on unless it is DVC's advice."""
        if ADVICE.match(line):
            return
        self.tail.append(line)
        cached = f"Stage '{self._stage}' is cached - skipping run, checking out outputs"
        # "Pulling data" comes with `--pull`: the run cache named the result, the remote has it
        if line == cached or line.startswith("Pulling data for"):
            self.restored = True
        elif line == f"Stage '{self._stage}' didn't change, skipping":
            self.unchanged = True
        elif line == f"Running stage '{self._stage}':":
            self.ran = True
        if "is busy, it is being blocked by" in line:
            self.busy = True
        self._on_line(line)


def _child_error(name: str, status: child.ExitStatus, output: Output) -> Exception:
    """Return the error of a failed child.

    It is a `ValueError` when the stage said ``error:``, so that a retry would not help.
    """
    lines = list(output.tail)
    stage_errors: list[str] = []
    dvc_errors: list[str] = []
    others: list[str] = []
    for line in lines:
        error = child.parse_error(line)
        if error and error.from_dvc:
            dvc_errors.append(line)
            continue
        others.append(line)
        if error:
            stage_errors.append(line)
    if stage_errors:
        return ValueError("\n".join([f"{name}: {stage_errors[-1]}", *lines]))
    # DVC itself ends with 255 whatever the stage did, and names the stage's code in a line
    stage_exit = STAGE_EXIT_CODE.search("\n".join(lines))
    exit_words = child.describe_exit(status, int(stage_exit[1]) if stage_exit else None)
    last_words = (others if stage_exit else dvc_errors) or lines or ["it said nothing"]
    last = last_words[-1].removeprefix(child.DVC_ERROR)
    return RuntimeError("\n".join([f"{name}: {exit_words}: {last}", *lines]))


def reproduce(
    name: str, timeout_s: float, on_line: OnLine, stop: threading.Event, pull: bool, yields: bool
) -> str | None:
    """Let DVC run the stage ``name``, if it finds it stale; setting ``stop`` ends it.

    ``pull`` looks in the DVC remote for a result that another machine made (`sync_remote` brings
    its list, not its files). ``yields``: as `child.run`.

    Returns:
        Skipped, Restored (from the run cache), Completed, or None when another DVC process is
        using the same paths.

    Raises:
        ValueError, RuntimeError, TimeoutError, child.StoppedError: as
            `tasks.pipeline.update.update_stage`.
    """
    output = Output(on_line, name)
    command = [*DVC, "repro", "--single-item"]
    if pull:
        command.append("--pull")
    command.append(name)
    try:
        status = child.run(command, environment(), output.on_output, timeout_s, stop, yields=yields)
    except (TimeoutError, child.StoppedError) as error:
        raise type(error)(f"{name}: {error}") from None
    # Busy before it began: nothing is lost, and asking again later is all it takes.
    if status.code and output.busy and not output.ran:
        return None
    if status.code:
        raise _child_error(name, status, output)
    if output.ran:
        return "Completed"
    if output.restored:
        return "Restored"
    # Neither ran nor restored nor skipped in words that are known: taken for the costliest.
    return "Skipped" if output.unchanged else "Completed"


def sync_remote(direction: str, on_line: OnLine, stop: threading.Event) -> None:
    """``pull`` what other machines made, run cache included, or ``push`` what this one made.

    Raises:
        RuntimeError: DVC failed; its last lines say why.
        child.StoppedError: ``stop`` was set.
    """
    _run([direction, *SYNC_OPTIONS[direction]], on_line, stop)


def add(folder: Path, on_line: OnLine, stop: threading.Event) -> None:
    """Put ``folder`` under DVC's care.

    Raises:
        RuntimeError, child.StoppedError: as `sync_remote`.
    """
    _run(["add", str(folder)], on_line, stop)


def _run(arguments: list[str], on_line: OnLine, stop: threading.Event) -> None:
    output = Output(on_line)
    command = [*DVC, *arguments]
    status = child.run(command, environment(), output.on_output, SYNC_TIMEOUT_S, stop)
    if status.code:
        raise _child_error(f"dvc {arguments[0]}", status, output)
