"""Run a command in its own process group, line by line, and leave none of its processes behind.

Whatever ends the caller's wait (time limit, stop, exception) ends the whole group. What ends the
caller itself, such as ``kill -9``, ends the group as well, because the command runs on a leash
(`tasks.pipeline.leash`).
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from tasks.state import OnLine

GRACE_S = 10.0  # between TERM and KILL, for a stage that writes a checkpoint
POLL_S = 0.2  # between two looks at the clock and at `stop`
NICENESS = 10  # of what yields: beside a training it gets a tenth of the processor
LEASH = Path(__file__).with_name("leash.py")
STAGE_ERROR = "error: "  # how a stage's own command begins its last message
DVC_ERROR = "ERROR: "  # how DVC's command line does


class StoppedError(Exception):
    """Somebody (a cancellation, Ctrl-C) asked for the end."""


class ErrorLine(NamedTuple):
    """A line by which a child says why it fails."""

    message: str  # without the word that begins the line
    from_dvc: bool  # DVC says it, and not the stage that it runs


def parse_error(line: str) -> ErrorLine | None:
    """Return what a child's error line says, or None for any other line."""
    if line.startswith(STAGE_ERROR):
        return ErrorLine(line.removeprefix(STAGE_ERROR), from_dvc=False)
    if line.startswith(DVC_ERROR):
        return ErrorLine(line.removeprefix(DVC_ERROR), from_dvc=True)
    return None


class ExitStatus(NamedTuple):
    """How a command ended."""

    code: int  # its exit code; -N when signal N killed it
    peak_bytes: int  # the most memory that one of its processes held; 0: not known
    out_of_memory: bool  # the system or its cgroup killed some process for memory meanwhile


class LeashedProcess(NamedTuple):
    """A running command; its process number is also that of its process group."""

    process: subprocess.Popen[str]
    leash: socket.socket  # closing it, which the kernel does when this process dies, ends the group

    def terminate(self, grace_s: float | None = None) -> None:
        """TERM for the whole group, KILL for what is left after ``grace_s`` (`GRACE_S`) seconds."""
        group = self.process.pid
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGTERM)
            deadline = time.monotonic() + (GRACE_S if grace_s is None else grace_s)
            while time.monotonic() < deadline:
                if self.process.poll() is not None and not _group_alive(group):
                    break
                time.sleep(0.05)
            os.killpg(group, signal.SIGKILL)
        self.process.wait()


def start(
    command: list[str], env: Mapping[str, str], grace_s: float | None = None, **popen: Any
) -> LeashedProcess:
    """Start ``command`` in a session and process group of its own.

    They end at the latest with this process. ``popen`` are further arguments of `subprocess.Popen`.
    """
    parent_end, child_end = socket.socketpair()
    grace = str(GRACE_S if grace_s is None else grace_s)
    # -I -S: no site-packages and no PYTHON* variables, so the leash starts in milliseconds
    leashed_command = [sys.executable, "-I", "-S", str(LEASH), grace, *command]
    popen |= {"env": env, "stdin": child_end, "start_new_session": True}
    try:
        process: subprocess.Popen[str] = subprocess.Popen(leashed_command, **popen)
    except BaseException:
        parent_end.close()
        raise
    finally:
        child_end.close()
    return LeashedProcess(process, parent_end)


def _queue_lines(stream: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    """Put each line of ``stream`` into ``lines``, and None at its end; a thread's function."""
    with stream:
        for line in stream:
            lines.put(line.rstrip("\n"))
    lines.put(None)


def _group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)  # signal 0 only asks
    except ProcessLookupError:
        return False
    return True


def run(
    command: list[str],
    env: Mapping[str, str],
    on_line: OnLine,
    timeout_s: float,
    stop: threading.Event,
    *,
    yields: bool = False,
) -> ExitStatus:
    """Run ``command``, give each line of its output to ``on_line``, and return how it ended.

    With ``yields`` it leaves the processor to what does not, such as a training beside it. Whatever
    ends this function early, the process group of the command is gone when it does.

    Raises:
        TimeoutError: it ran longer than ``timeout_s`` seconds.
        StoppedError: ``stop`` was set.
    """
    deadline = time.monotonic() + timeout_s
    oom_kills_before = _oom_kills()
    if yields:
        command = ["nice", "-n", str(NICENESS), *command]
    leashed = start(
        command, env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, encoding="utf-8", errors="replace",
    )  # fmt: skip
    try:
        _pass_lines(leashed.process, on_line, deadline, timeout_s, stop)
        code = leashed.process.wait()
        # Perhaps the leash itself was killed, by the kernel for memory; that leaves the rest.
        if code == -signal.SIGKILL:
            leashed.terminate()
        return ExitStatus(code, _peak_bytes(leashed.leash), _oom_kills() > oom_kills_before)
    except BaseException:
        leashed.terminate()
        raise
    finally:
        leashed.leash.close()


def _pass_lines(
    process: subprocess.Popen[str],
    on_line: OnLine,
    deadline: float,
    timeout_s: float,
    stop: threading.Event,
) -> None:
    """Give each line of ``process`` to ``on_line`` until its output ends.

    A thread reads, since a blocked read would notice neither ``stop`` nor the deadline.
    """
    assert process.stdout
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_queue_lines, args=(process.stdout, lines), daemon=True).start()
    while True:
        if stop.is_set():
            raise StoppedError("stopped")
        if time.monotonic() > deadline:
            raise TimeoutError(f"stopped after {timeout_s:g} s, its time limit")
        try:
            line = lines.get(timeout=POLL_S)
        except queue.Empty:
            # The leash was killed: its children may live, and hold the other end of the lines.
            if process.poll() == -signal.SIGKILL:
                return
            continue
        if line is None:
            return
        on_line(line)


def _peak_bytes(leash: socket.socket) -> int:
    """Return what the leash wrote last: the bytes of memory that its command took at most."""
    leash.setblocking(False)
    try:
        return int(leash.recv(64) or 0)
    except (OSError, ValueError):
        return 0


def _oom_counters() -> list[Path]:
    """Return the kernel's files that may count kills for memory, machine-wide and in our cgroup."""
    counters = [Path("/proc/vmstat")]
    with suppress(OSError):
        for group in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = group.split(":", 2)
            if not controllers:  # cgroup v2
                counters.append(Path(f"/sys/fs/cgroup{path}/memory.events"))
            if "memory" in controllers.split(","):  # cgroup v1
                counters.append(Path(f"/sys/fs/cgroup/memory{path}/memory.oom_control"))
                # a container sees its own group at the root, under whatever path it is listed
                counters.append(Path("/sys/fs/cgroup/memory/memory.oom_control"))
    return counters


def _oom_kills() -> int:
    """Return a count that grows when the kernel kills for memory, here or in this cgroup.

    It is 0 where no file tells; only its growth means something.
    """
    kills = 0
    for counter in _oom_counters():
        with suppress(OSError, ValueError):
            words = counter.read_text(encoding="utf-8").split()
            if "oom_kill" in words:
                kills += int(words[words.index("oom_kill") + 1])
    return kills


REMEDIES = {
    signal.SIGTERM: "something asked it to end: a shutdown, a batch system's limit, or a person",
    signal.SIGXCPU: "it reached its limit of processor time; `ulimit -t` shows and lifts it",
    signal.SIGXFSZ: "it reached its limit of file size; `ulimit -f` shows and lifts it",
    signal.SIGBUS: "most often a full disk or a full /dev/shm; make room there",
    signal.SIGSEGV: (
        "a fault in a native library; run it again, and with other versions if it stays"
    ),
    signal.SIGABRT: "a native library gave up, often for want of memory; its last lines say why",
    signal.SIGILL: "this processor lacks an instruction that a library was built for",
}


def describe_exit(status: ExitStatus, code: int | None = None) -> str:
    """Return in words how a command ended: its exit code, or what killed it and what to do.

    ``code`` is that of a process further down when the command itself passed on another one;
    128 + N, as a shell says it, and -N both mean signal N.
    """
    code = status.code if code is None else code
    # DVC passes on what a shell says of a killed stage, and a shell knows no negative codes.
    number = -code if code < 0 else code - 128
    try:
        killer = signal.Signals(number)
    except ValueError:
        return f"failed with exit code {code}"
    memory = ""
    if status.peak_bytes:
        memory = f"; it held {status.peak_bytes / 2**30:.1f} GiB at most"
    if killer != signal.SIGKILL:
        remedy = REMEDIES.get(killer, "by a signal from outside")
        return f"was killed ({killer.name}): {remedy}{memory}"
    if status.out_of_memory:
        reason = "the system ran out of memory meanwhile and killed what held much of it"
    else:
        reason = "most often the system had no memory left"
    remedy = "smaller batches, fewer programs beside it or a machine with more memory help"
    return f"was killed (SIGKILL): {reason}{memory}; {remedy}"
