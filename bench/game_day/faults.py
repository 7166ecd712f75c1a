"""The faults: each hurts a fresh copy of the scratch project, and returns in words what it saw.

A fault that this machine cannot play (no root, no tool) raises `SkippedError`; one after which the
project is not whole raises `FaultError`.
"""

from __future__ import annotations

import os
import pty
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from bench.game_day.project import (
    FAMILY,
    FaultError,
    Finished,
    Project,
    check_message,
    check_nothing_runs,
    check_registry,
    check_whole,
    copy,
)

DAY_S = 24 * 3600


class SkippedError(Exception):
    """This machine cannot play the fault."""


class Game:
    """What the faults share: a template, the weights of an undisturbed run, a folder, a seed."""

    def __init__(
        self, template: Project, weights: dict[str, str], folder: Path, seed: int, kills: int
    ) -> None:
        self.template, self.weights, self.folder, self.kills = template, weights, folder, kills
        self.random = random.Random(seed)

    def fresh(self, name: str, **extra: str) -> Project:
        """Return a new copy of the template."""
        return copy(self.template, self.folder / name, extra)


# --- disks -------------------------------------------------------------------------------------


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[None]:
    """Mount an empty file system of ``size`` at ``place``.

    What is written to it stays when it grows, not afterwards.
    """
    place.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], capture_output=True
    )
    if mounted.returncode:
        raise SkippedError("may not mount a small disk (needs root)")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _disk_full(game: Game, name: str, where: str, size: str) -> str:
    project = game.fresh(name)
    place = project.folder / where
    if where == "TMPDIR":
        place = game.folder / f"{name}.tmp"
        project.extra["TMPDIR"] = str(place)
    with small_disk(place, size):
        hurt = project.run("retrain")
        check_message(hurt, "space")
        check_nothing_runs(project)
        subprocess.run(["mount", "-o", "remount,size=2g", str(place)], check=True)
        check_whole(project, game.weights)
    return "failed with the system's words, whole once there was room"


def disk_full_build(game: Game) -> str:
    """The disk of build/ is full."""
    return _disk_full(game, "disk-build", "build", "24k")


def disk_full_cache(game: Game) -> str:
    """The disk of DVC's cache is full."""
    return _disk_full(game, "disk-cache", ".dvc/cache", "32k")


def disk_full_state(game: Game) -> str:
    """The disk of .beauty is full."""
    return _disk_full(game, "disk-state", ".beauty", "600k")


def disk_full_tmp(game: Game) -> str:
    """The disk of TMPDIR is full."""
    return _disk_full(game, "disk-tmp", "TMPDIR", "4k")


@contextmanager
def read_only(place: Path) -> Iterator[None]:
    """Make the folder ``place`` read-only, for root too."""
    place.mkdir(parents=True, exist_ok=True)
    bind = ["mount", "--bind", str(place), str(place)]
    if subprocess.run(bind, capture_output=True).returncode:
        raise SkippedError("may not mount read-only (needs root)")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _read_only(game: Game, name: str, where: str) -> str:
    project = game.fresh(name)
    with read_only(project.folder / where):
        hurt = project.run("retrain")
        check_message(hurt, "read-only")
        check_nothing_runs(project)
    check_whole(project, game.weights)
    return "said that it is read-only"


def read_only_build(game: Game) -> str:
    """build/ cannot be written."""
    return _read_only(game, "ro-build", "build")


def read_only_state(game: Game) -> str:
    """.beauty cannot be written."""
    return _read_only(game, "ro-state", ".beauty")


def read_only_cache(game: Game) -> str:
    """DVC's cache cannot be written."""
    return _read_only(game, "ro-cache", ".dvc/cache")


# --- memory and signals ------------------------------------------------------------------------


def out_of_memory(game: Game) -> str:
    """The stage may allocate no more."""
    gate = game.folder / "memory.gate"
    gate.touch()
    project = game.fresh("memory", BEAUTY_GAME_GATE=str(gate))
    run = project.start("retrain")
    stage = project.wait_for_stage("finetune", run)
    try:
        limit = _settled_size(stage) + 1_000_000
        stage.rlimit(resource.RLIMIT_AS, (limit, limit))
    except psutil.AccessDenied:
        project.kill_all()
        raise SkippedError("may not limit another process's memory") from None
    finally:
        gate.unlink()
    finished = project.finish(run)
    if "memory" not in finished.output.lower():
        raise FaultError(f"does not say memory: {finished.last_lines()}")
    check_nothing_runs(project)
    check_whole(project, game.weights)
    return "said that memory ran out" + (
        "" if finished.code else "; tried again by itself and resumed"
    )


def _settled_size(process: psutil.Process) -> int:
    """Return how many bytes of addresses ``process`` holds once it takes no more."""
    before, now = -1, process.memory_info().vms
    while now != before:
        time.sleep(3)
        before, now = now, process.memory_info().vms
    return now


def killed_stage(game: Game) -> str:
    """The stage alone is killed, as the system's out-of-memory killer does."""
    gate = game.folder / "killed.gate"
    gate.touch()
    project = game.fresh("killed-stage", BEAUTY_GAME_GATE=str(gate))
    run = project.start("retrain")
    stage = project.wait_for_stage("finetune", run)
    stage.kill()
    gate.unlink()
    finished = project.finish(run)
    output = finished.output.lower()
    if "kill" not in output or "memory" not in output:
        raise FaultError(
            f"says neither killed nor what may have killed it: {finished.last_lines()}"
        )
    check_nothing_runs(project)
    check_whole(project, game.weights)
    return "said killed, and that memory is the usual reason" + (
        "" if finished.code else "; tried again by itself and resumed"
    )


def terminated(game: Game) -> str:
    """SIGTERM while a stage runs."""
    project = game.fresh("term")
    run = project.start("retrain")
    project.wait_for_stage("finetune", run)
    run.send_signal(signal.SIGTERM)
    finished = project.finish(run)
    if finished.code == 0:
        raise FaultError("a terminated run claims success")
    check_nothing_runs(project)
    check_whole(project, game.weights)
    return f"ended with exit code {finished.code}"


def ctrl_c(game: Game) -> str:
    """Ctrl-C through a terminal while a stage runs."""
    project = game.fresh("ctrl-c")
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(
            signal.SIGINT, signal.SIG_DFL
        )  # `make game-day &` passes on that it is ignored
        os.chdir(project.folder)
        os.execvpe(sys.executable, project.command("retrain"), project.environment())
    seen = b""
    until, pressed = time.monotonic() + 600, False
    while time.monotonic() < until:
        try:
            seen += os.read(terminal, 65536)
        except OSError:  # the other side has closed the terminal: the run has ended
            break
        if not pressed and b"beauty_models finetune" in seen:
            os.write(terminal, b"\x03")
            pressed = True
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    project.log.write_bytes(seen)
    if not pressed:
        raise FaultError("fine-tuning was never shown on the terminal")
    if status == 0:
        raise FaultError(f"an interrupted run claims success; its output is in {project.log}")
    check_nothing_runs(project)
    check_whole(project, game.weights)
    return "ended, nothing left running"


def stop_and_go_on(game: Game) -> str:
    """STOP for everything for ten seconds, then CONT."""
    project = game.fresh("stop-cont")
    run = project.start("retrain")
    project.wait_for_stage("pretrain", run)
    everything = project.processes()
    for process in everything:
        with suppress(psutil.Error):
            process.suspend()
    time.sleep(10)
    for process in everything:
        with suppress(psutil.Error):
            process.resume()
    finished = project.finish(run)
    if finished.code:
        raise FaultError(f"did not go on: {finished.last_lines()}")
    check_whole(project, game.weights)
    return "went on"


def clock_jumps(game: Game) -> str:
    """The clock jumps a year ahead while a stage runs, and back for the next run."""
    compiler = shutil.which("cc")
    if not compiler:
        raise SkippedError(
            "there is no C compiler to build the clock (Debian: apt-get install gcc)"
        )
    library, clock = game.folder / "clock.so", game.folder / "clock.txt"
    command = [
        compiler,
        "-shared",
        "-fPIC",
        "-O1",
        "-o",
        library,
        Path(__file__).with_name("clock.c"),
    ]
    subprocess.run([*command, "-ldl"], check=True)
    clock.write_text("0")
    project = game.fresh("clock", LD_PRELOAD=str(library), SHIFTED_CLOCK=str(clock))
    run = project.start("retrain")
    project.wait_for_stage("pretrain", run)
    clock.write_text(str(365 * DAY_S))
    ahead = project.finish(run)
    clock.write_text(str(-30 * DAY_S))
    check_whole(project, game.weights)
    if ahead.code:
        return f"the run ended ({ahead.last_lines(1)[:80]}), the next one was whole"
    return "went on"


# --- state -------------------------------------------------------------------------------------


def state_deleted_between(game: Game) -> str:
    """.beauty is deleted between two runs: a new registry, the model is not trained again."""
    project = game.fresh("state-between")
    if project.run("retrain").code:
        raise FaultError("the first run failed")
    shutil.rmtree(project.folder / ".beauty")
    again = project.run("retrain")
    if "Running stage" in again.output:
        raise FaultError("a stage ran again")
    check_whole(project, game.weights)
    return "registered anew, nothing trained again"


def state_deleted_during(game: Game) -> str:
    """.beauty is deleted while a stage runs."""
    project = game.fresh("state-during")
    run = project.start("retrain")
    project.wait_for_stage("finetune", run)
    shutil.rmtree(project.folder / ".beauty", ignore_errors=True)
    hurt = project.finish(run)
    if hurt.code:
        check_message(hurt)
    check_nothing_runs(project)
    check_whole(project, game.weights)
    return "went on" if hurt.code == 0 else f"ended ({hurt.last_lines(1)[:80]})"


def kills(game: Game) -> str:
    """kill -9 of the run's parent at random moments, until all kills are used.

    Evaluate and register are among what is hit.
    """
    done, cycle, moments = 0, 0, []
    while done < game.kills:
        cycle += 1
        project = game.fresh(f"kills-{cycle}")
        whole = _timed(project)
        project = game.fresh(f"kills-{cycle}-hurt")
        while done < game.kills:
            run = project.start("retrain")
            after = game.random.uniform(0.02, 1.0) * whole
            try:
                run.wait(after)
                break  # it came to its end before the kill: this cycle is over
            except subprocess.TimeoutExpired:
                run.kill()
                run.wait()
                done += 1
                moments.append(round(after, 1))
                check_nothing_runs(project)
        check_whole(project, game.weights)
    return f"{done} kills after {min(moments)} to {max(moments)} s in {cycle} whole runs"


def _timed(project: Project) -> float:
    began = time.monotonic()
    finished = project.run("retrain")
    if finished.code:
        raise FaultError(f"an undisturbed run failed: {finished.last_lines()}")
    return time.monotonic() - began


# --- two machines ------------------------------------------------------------------------------


def two_clones(game: Game) -> str:
    """Two clones, one DVC remote, one MLflow server: both register at once, five times."""
    remote = game.folder / "remote"
    with _mlflow(game.folder / "mlflow") as address:
        clones = [game.fresh(f"clone-{name}", MLFLOW_TRACKING_URI=address) for name in "ab"]
        for clone in clones:
            _dvc(clone, "remote", "add", "-d", "shared", str(remote))
        versions = 0
        for round_ in range(5):
            for number, clone in enumerate(clones):
                clone.change("finetune", "seed", 10 + 2 * round_ + number)
            runs = [clone.start("retrain") for clone in clones]
            for clone, run in zip(clones, runs, strict=True):
                finished = clone.finish(run)
                if finished.code:
                    raise FaultError(f"round {round_ + 1}: {finished.last_lines()}")
                _dvc(clone, "push", "-q", "--run-cache")
            versions += 2
            check_registry(clones[0], range(1, versions + 1))
            _check_champion_is_best(clones[0])
        clones[1].change("finetune", "seed", 10)  # what the other clone trained in round 1
        restored = clones[1].run_sharing()
        if "Running stage" in restored.output or restored.code:
            raise FaultError(f"the other clone's model was not restored: {restored.last_lines()}")
        for clone in clones:
            check_nothing_runs(clone)
    return f"{versions} versions, one champion, never a worse one"


def _check_champion_is_best(project: Project) -> None:
    versions = project.versions()
    champion = next(version for version in versions if "champion" in version["aliases"])
    best = max(version["gate"]["value"] for version in versions)
    if champion["gate"]["value"] < best:
        raise FaultError(f"the champion has {champion['gate']['value']}, another version {best}")


def _dvc(project: Project, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=project.folder,
        env=project.environment(),
        capture_output=True,
        text=True,
    )
    if done.returncode and "--allow-missing" not in arguments:
        raise FaultError(f"dvc {arguments[0]}: {done.stderr.strip().splitlines()[-1]}")


@contextmanager
def _mlflow(folder: Path) -> Iterator[str]:
    """Serve MLflow from ``folder`` on a free port; yield its address."""
    import socket
    import urllib.request

    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "files")]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 300
        while time.monotonic() < until:
            with suppress(OSError):
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            time.sleep(0.5)
        yield address
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


FAULTS: list[Callable[[Game], str]] = [
    disk_full_build,
    disk_full_cache,
    disk_full_state,
    disk_full_tmp,
    read_only_build,
    read_only_cache,
    read_only_state,
    out_of_memory,
    killed_stage,
    terminated,
    ctrl_c,
    stop_and_go_on,
    clock_jumps,
    state_deleted_between,
    state_deleted_during,
    two_clones,
    kills,
]
__all__ = ["FAMILY", "FAULTS", "Finished", "Game", "SkippedError"]
