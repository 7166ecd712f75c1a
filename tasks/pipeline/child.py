"""Run a command in its own process group, line by line, and never leave any of its processes behind.

Whatever ends the caller's wait (time limit, stop, exception) ends the whole group; what ends the caller itself, such as
``kill -9``, ends the group as well, because the command runs on a leash (`tasks.pipeline.leash`).
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

GRACE = 10.0  # seconds between TERM and KILL, for a stage that writes a checkpoint
LOOK_EVERY = 0.2  # seconds between two looks at the clock and at `stop`
LEASH = Path(__file__).with_name("leash.py")


class StoppedError(Exception):
    """Somebody (a cancellation, Ctrl-C) asked for the end."""


class Ended(NamedTuple):
    """How a command ended."""

    code: int  # its exit code; -N when signal N killed it
    peak_bytes: int  # the most memory that one of its processes held; 0: not known
    out_of_memory: bool  # the system or its cgroup killed some process for memory meanwhile


class Leashed(NamedTuple):
    """A running command; its process number is also that of its process group."""

    process: subprocess.Popen[str]
    line: socket.socket  # closing it, which the kernel does when this process dies, ends the group

    def end(self, grace: float | None = None) -> None:
        """TERM for the whole group, KILL for what is left after ``grace`` (`GRACE`) seconds."""
        group = self.process.pid
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGTERM)
            until = time.monotonic() + (GRACE if grace is None else grace)
            while time.monotonic() < until and (self.process.poll() is None or _alive(group)):
                time.sleep(0.05)
            os.killpg(group, signal.SIGKILL)
        self.process.wait()


def start(
    command: list[str], env: Mapping[str, str], grace: float | None = None, **popen: Any
) -> Leashed:
    """Start ``command`` in a session and process group of its own, which end at the latest with this process."""
    ours, theirs = socket.socketpair()
    seconds = str(GRACE if grace is None else grace)
    held = [sys.executable, "-I", "-S", str(LEASH), seconds, *command]
    popen |= {"env": env, "stdin": theirs, "start_new_session": True}
    try:
        process: subprocess.Popen[str] = subprocess.Popen(held, **popen)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return Leashed(process, ours)


def _read(stream: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    with stream:
        for line in stream:
            lines.put(line.rstrip("\n"))
    lines.put(None)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def run(
    command: list[str],
    env: Mapping[str, str],
    on_line: OnLine,
    timeout_s: float,
    stop: threading.Event,
) -> Ended:
    """Run ``command``, give each line of its output to ``on_line``, and return how it ended.

    Whatever ends this function early, the process group of the command is gone when it does.

    Raises:
        TimeoutError: it ran longer than ``timeout_s`` seconds.
        StoppedError: ``stop`` was set.
    """
    deadline = time.monotonic() + timeout_s
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    kills = _memory_kills()
    leashed = start(
        command, env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, encoding="utf-8", errors="replace",
    )  # fmt: skip
    try:
        assert leashed.process.stdout
        threading.Thread(target=_read, args=(leashed.process.stdout, lines), daemon=True).start()
        while True:
            if stop.is_set():
                raise StoppedError("stopped")
            if time.monotonic() > deadline:
                raise TimeoutError(f"stopped after {timeout_s:g} s, its time limit")
            try:
                line = lines.get(timeout=LOOK_EVERY)
            except queue.Empty:
                if leashed.process.poll() == -signal.SIGKILL:
                    break  # its children may live, and hold the other end of the lines
                continue
            if line is None:
                break
            on_line(line)
        code = leashed.process.wait()
        if code == -signal.SIGKILL:  # perhaps the leash was killed, which leaves the rest
            leashed.end()
        return Ended(code, _peak(leashed.line), _memory_kills() > kills)
    except BaseException:
        leashed.end()
        raise
    finally:
        leashed.line.close()


def _peak(line: socket.socket) -> int:
    """Return what the leash wrote last: the bytes of memory that its command took at most."""
    line.setblocking(False)
    try:
        return int(line.recv(64) or 0)
    except (OSError, ValueError):
        return 0


def _memory_kills() -> int:
    """Return a count that grows when the kernel kills for memory, here or in this cgroup; 0 where that is not told."""
    counters = [Path("/proc/vmstat")]
    with suppress(OSError):
        for group in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = group.split(":", 2)
            if not controllers:
                counters.append(Path(f"/sys/fs/cgroup{path}/memory.events"))
            if "memory" in controllers.split(","):
                counters.append(Path(f"/sys/fs/cgroup/memory{path}/memory.oom_control"))
                counters.append(Path("/sys/fs/cgroup/memory/memory.oom_control"))  # in a container
    found = 0
    for counter in counters:
        with suppress(OSError, ValueError):
            words = counter.read_text(encoding="utf-8").split()
            if "oom_kill" in words:
                found += int(words[words.index("oom_kill") + 1])
    return found


REMEDIES = {
    signal.SIGTERM: "something asked it to end: a shutdown, a batch system's limit, or a person",
    signal.SIGXCPU: "it reached its limit of processor time; `ulimit -t` shows and lifts it",
    signal.SIGXFSZ: "it reached its limit of file size; `ulimit -f` shows and lifts it",
    signal.SIGBUS: "most often a full disk or a full /dev/shm; make room there",
    signal.SIGSEGV: "a fault in a native library; run it again, and with other versions if it stays",
    signal.SIGABRT: "a native library gave up, often for want of memory; its last lines say why",
    signal.SIGILL: "this processor lacks an instruction that a library was built for",
}


def how(ended: Ended, code: int | None = None) -> str:
    """Return in words how a command ended: its exit code, or what killed it and what to do.

    ``code`` is that of a process further down when the command itself passed on another one; 128 + N, as a shell says
    it, and -N both mean signal N.
    """
    code = ended.code if code is None else code
    number = -code if code < 0 else code - 128
    if number not in {known.value for known in signal.Signals}:
        return f"failed with exit code {code}"
    name = signal.Signals(number)
    held = f"; it held {ended.peak_bytes / 2**30:.1f} GiB at most" if ended.peak_bytes else ""
    if name != signal.SIGKILL:
        return f"was killed ({name.name}): {REMEDIES.get(name, 'by a signal from outside')}{held}"
    if ended.out_of_memory:
        why = "the system ran out of memory meanwhile and killed what held much of it"
    else:
        why = "most often the system had no memory left"
    remedy = "smaller batches, fewer programs beside it or a machine with more memory help"
    return f"was killed (SIGKILL): {why}{held}; {remedy}"
