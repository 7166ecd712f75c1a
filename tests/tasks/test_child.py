"""Children end with their parent, whoever kills it, and say what killed them.

Every kill here is a real one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from mini import gone, set_param, wait_for

from tasks.pipeline import child, command
from tasks.pipeline.graph import graph
from tasks.pipeline.update import update_stage

ROOT = Path(__file__).parents[2]
LONG = 120.0  # seconds; a loaded machine is slow, and a test that works does not wait

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
FAMILY = f"""
import pathlib, subprocess, sys, time
deaf = subprocess.Popen([sys.executable, "-c", {DEAF!r}])
pathlib.Path("deaf.pid").write_text(str(deaf.pid))
time.sleep(600)
"""
PARENT = f"""
import math, os, sys, threading
from tasks.pipeline import child
child.GRACE_S = 1.0
child.run([sys.executable, "-c", {FAMILY!r}], os.environ, print, math.inf, threading.Event())
"""


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a process whose child has a child of its own that ignores TERM (``deaf.pid``)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    process = subprocess.Popen([sys.executable, "-c", PARENT])
    family: list[psutil.Process] = []
    try:
        wait_for("deaf.pid", LONG)
        family = psutil.Process(process.pid).children(recursive=True)
        yield process
    finally:
        for one in [process, *family]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()


def test_kill_minus_nine_of_the_parent_ends_child_and_grandchild(
    parent: subprocess.Popen[bytes],
) -> None:
    family = psutil.Process(parent.pid).children(recursive=True)
    assert len(family) == 3  # the leash, the child, the grandchild
    parent.kill()
    parent.wait()
    assert all(gone(member.pid, LONG) for member in family)


def test_a_killed_leash_leaves_nothing_either(parent: subprocess.Popen[bytes]) -> None:
    family = psutil.Process(parent.pid).children(recursive=True)
    family[0].kill()
    parent.wait(LONG)
    assert all(gone(member.pid, LONG) for member in family)


def run(code: str) -> child.ExitStatus:
    lines: list[str] = []
    command = [sys.executable, "-c", code]
    return child.run(command, os.environ, lines.append, LONG, threading.Event())


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGXCPU", "SIGSEGV", "SIGABRT"])
def test_a_killed_child_names_the_signal(name: str) -> None:
    ended = run(f"import os, signal; os.kill(os.getpid(), signal.{name})")
    assert ended.code == -signal.Signals[name].value
    assert child.describe_exit(ended).startswith(f"was killed ({name}): ")


def test_a_limit_of_processor_time_is_told_as_such() -> None:
    ended = run(
        "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 5))\nwhile True: pass"
    )
    assert child.describe_exit(ended).startswith(
        "was killed (SIGXCPU): it reached its limit of processor"
    )


def test_an_exit_code_stays_one_and_nothing_is_on_standard_input() -> None:
    ended = run("import sys; assert sys.stdin.read() == ''; sys.exit(3)")
    assert child.describe_exit(ended) == "failed with exit code 3"
    assert run("pass").code == 0
    missing = child.run(["no-such-program"], os.environ, print, LONG, threading.Event())
    assert child.describe_exit(missing) == "failed with exit code 127"


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        ("error: no such file", ("no such file", False)),
        ("error: a: error: b", ("a: error: b", False)),
        ("ERROR: failed to pull", ("failed to pull", True)),
        ("error:glued", None),
        ("an error: within", None),
        ("ValueError: of Python", None),
        ("", None),
    ],
)
def test_error_lines_of_stages_and_of_dvc_are_told_from_others(
    line: str, parsed: tuple[str, bool] | None
) -> None:
    assert child.parse_error(line) == parsed


def test_a_failed_program_is_quoted_from_its_error_line_on() -> None:
    lines: list[str] = []
    said = "print('begun'); print('error: no such column'); print('try another'); "
    with pytest.raises(ValueError, match="^no such column\ntry another$"):
        command.run_python("-c", f"{said} raise SystemExit(1)", on_line=lines.append)
    assert lines == ["begun"], "the error is the exception's, not a line of the log"
    command.run_python("-c", said, on_line=lines.append)
    assert lines[1:] == ["begun", "error: no such column", "try another"], "all was well"
    with pytest.raises(RuntimeError, match="failed with exit code 3; it said last:\nbegun$"):
        command.run_python("-c", "print('begun'); raise SystemExit(3)", on_line=lines.append)


def test_memory_of_the_command_and_not_of_its_parent_is_told() -> None:
    assert 10 * 2**20 < run("pass").peak_bytes < 60 * 2**20
    assert 300 * 2**20 < run("x = b'x' * (300 * 2**20)").peak_bytes < 400 * 2**20


def test_the_kernel_s_kill_for_memory_is_recognised(tmp_path: Path) -> None:
    here = next(
        (line.split(":")[2] for line in Path("/proc/self/cgroup").read_text().splitlines()
         if "memory" in line.split(":")[1].split(",") or line.startswith("0::")), "/",
    )  # fmt: skip
    old = Path(f"/sys/fs/cgroup/memory{here}")
    group = (old if old.exists() else Path(f"/sys/fs/cgroup{here}")) / f"beauty-{uuid.uuid4().hex}"
    limit = "memory.limit_in_bytes" if old.exists() else "memory.max"
    try:
        group.mkdir()
        (group / limit).write_text(str(100 * 2**20))
    except OSError as error:
        pytest.skip(f"needs the right to make a memory cgroup: {error}")
    script = (
        "import os, pathlib, sys\n"
        f"pathlib.Path({str(group / 'cgroup.procs')!r}).write_text(str(os.getpid()))\n"
        "x = b'x' * (400 * 2**20)\n"
    )
    try:
        ended = run(script)
        assert ended.code == -signal.SIGKILL
        if not ended.out_of_memory:
            pytest.skip("this kernel does not count its kills for memory where they can be read")
        assert "the system ran out of memory" in child.describe_exit(ended)
    finally:
        group.rmdir()


def test_a_killed_stage_says_so_through_dvc(project: Path) -> None:
    set_param("lips", "ingest", sleep=600)
    errors: list[BaseException] = []

    def bring() -> None:
        try:
            update_stage(graph(["lips"])["ingest@lips"], LONG, lambda line: None)
        except BaseException as error:
            errors.append(error)

    runner = threading.Thread(target=bring)
    runner.start()
    wait_for("runs.txt", LONG)
    running = psutil.Process().children(recursive=True)
    work = [one for one in running if one.cmdline()[1:3] == ["work.py", "ingest"]]
    for one in work:
        one.kill()
    runner.join(LONG)
    assert work and isinstance(errors[0], RuntimeError)
    assert str(errors[0]).startswith("ingest@lips: was killed (SIGKILL): most often the system")


def test_what_yields_leaves_the_processor_to_what_does_not() -> None:
    said: list[str] = []
    for yields in (False, True):
        program = [sys.executable, "-c", "import os; print(os.getpriority(os.PRIO_PROCESS, 0))"]
        child.run(program, os.environ, said.append, 60, threading.Event(), yields=yields)
    own, yielding = map(int, said)
    assert own == os.getpriority(os.PRIO_PROCESS, 0)
    assert yielding == min(19, own + child.NICENESS)
