"""The scratch project that is hurt, a clone whose only family is `swatch`, and what must hold."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

ROOT = Path(__file__).parents[2]
FAMILY = "swatch"
MARK = "BEAUTY_GAME_DAY"  # an environment variable by which everything a project started is found
RUN_S = (
    600.0  # a whole run takes half a minute on an idle machine; a run that takes this long hangs
)


class FaultError(AssertionError):
    """The project did not come back as promised."""


@dataclass
class Finished:
    """A command that ended: its exit code and everything it printed."""

    code: int
    output: str

    def last_lines(self, count: int = 4) -> str:
        """Return the last lines of the output, for a message."""
        return " | ".join(self.output.strip().splitlines()[-count:])


WAIT_AT_GATE = """
import os, time
while Path(os.environ.get("BEAUTY_GAME_GATE", "")).is_file():
    time.sleep(0.05)
"""
"""Added to the module of fine-tuning: it begins when the file is gone.

So a fault that must come before memory is needed, or while the stage runs for certain, can be
prepared.
"""

SHARING = """
from flows import servers

with servers.api():
    from flows.retrain import retrain

    print(retrain(share=True))
"""


@dataclass
class Project:
    """A scratch project in ``folder``; ``extra`` are environment variables of all that it runs."""

    folder: Path
    extra: dict[str, str] = field(default_factory=dict)
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def environment(self) -> dict[str, str]:
        """Return the environment: ours without what would point a run at somebody's servers."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PREFECT_", "MLFLOW_", "BEAUTY_"))
        }
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
        ours = {"PATH": path, "PYTHONPATH": str(self.folder), MARK: self.mark}
        return {**kept, **ours, **self.extra}

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start ``beauty`` with ``arguments``; its output goes to `log`."""
        return self._start(self.command(*arguments), **options)

    def run_sharing(self) -> Finished:
        """Run the flow as a deployment with ``share`` does: with pull and push."""
        return self.finish(self._start([sys.executable, "-c", SHARING]))

    def _start(self, command: list[str], **options: Any) -> subprocess.Popen[str]:
        with self.log.open("w", encoding="utf-8") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
                **options,
            )

    @property
    def log(self) -> Path:
        """Where the output of the last command lies: beside the project, not on its disk."""
        return self.folder.with_name(self.folder.name + ".log")

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of ``beauty`` with ``arguments``."""
        return [sys.executable, "-c", "from cli.main import main; main()", *arguments]

    def finish(self, process: subprocess.Popen[str]) -> Finished:
        """Wait for ``process``; a run that hangs is killed and is a fault."""
        try:
            code = process.wait(RUN_S)
        except subprocess.TimeoutExpired:
            self.kill_all()
            raise FaultError(f"hung for {RUN_S:.0f} s: {self._tail()}") from None
        return Finished(code, self.log.read_text(encoding="utf-8", errors="replace"))

    def _tail(self) -> str:
        return Finished(0, self.log.read_text(encoding="utf-8", errors="replace")).last_lines()

    def run(self, *arguments: str) -> Finished:
        """Run ``beauty`` with ``arguments`` to its end."""
        return self.finish(self.start(*arguments))

    def processes(self) -> list[psutil.Process]:
        """Return every living process that this project started, whoever its parent is now."""
        processes = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if (
                    process.environ().get(MARK) == self.mark
                    and process.status() != psutil.STATUS_ZOMBIE
                ):
                    processes.append(process)
        return processes

    def wait_for_stage(self, verb: str, process: subprocess.Popen[str]) -> psutil.Process:
        """Return the process of the stage ``verb`` once it runs.

        Raises:
            FaultError: the run ended before.
        """
        while process.poll() is None:
            for candidate in self.processes():
                with suppress(psutil.Error):
                    words = candidate.cmdline()
                    if words[1:4] == ["-m", "beauty_models", verb]:
                        return candidate
            time.sleep(0.05)
        raise FaultError(f"the run ended before {verb} was seen: {self._tail()}")

    def kill_all(self) -> None:
        """End everything this project started."""
        for process in self.processes():
            with suppress(psutil.Error):
                process.send_signal(signal.SIGCONT)
                process.kill()

    def weights(self) -> dict[str, str]:
        """Return path → SHA-256 of every file of weights below build/."""
        files = sorted((self.folder / "build").rglob("*.safetensors"))
        return {
            str(file.relative_to(self.folder)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in files
        }

    def versions(self) -> list[dict[str, Any]]:
        """Return what `beauty models` lists."""
        listed = self.run("models", FAMILY, "--json")
        if listed.code:
            raise FaultError(f"beauty models: {listed.last_lines()}")
        return list(json.loads(listed.output[listed.output.index("[") :]))

    def dvc_status(self) -> str:
        """Return what ``dvc status`` says."""
        return subprocess.run(
            [sys.executable, "-m", "dvc", "status"],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
        ).stdout.strip()

    def change(self, stage: str, key: str, value: Any) -> None:
        """Set a value of the family's block in params.yaml.

        It is not checked: this process does not know the family.
        """
        file = self.folder / "params.yaml"
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        content["families"][FAMILY][stage][key] = value
        file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def scratch_params() -> dict[str, Any]:
    """Return the content of params.yaml: `swatch` alone.

    With a checkpoint after every step, so that a kill meets one often.
    """
    content = yaml.safe_load((ROOT / f"tests/{FAMILY}.yaml").read_text(encoding="utf-8"))
    for stage in ("pretrain", "finetune"):
        content[FAMILY][stage]["checkpoint_minutes"] = 1e-6
    return {"stages": {"export": []}, "families": content}


def clone_checkout(place: Path) -> None:
    """Clone this checkout to ``place``, and copy its uncommitted changes over it."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(place)], check=True)
    listed = subprocess.run(
        ["git", "ls-files", "-m", "-o", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place / name)


def commit_all(place: Path, message: str) -> None:
    """Commit whatever changed in the clone ``place``, be it nothing."""
    commit = ["git", "-c", "user.name=game", "-c", "user.email=game@localhost", "commit"]
    subprocess.run(["git", "add", "-A"], cwd=place, check=True)
    subprocess.run([*commit, "--allow-empty", "-qm", message], cwd=place, check=True)


def make_template(place: Path) -> Project:
    """Clone this checkout with its uncommitted changes to ``place``, with `swatch` alone."""
    clone_checkout(place)
    package = place / "beauty_models" / FAMILY
    bytecode = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "tests" / FAMILY, package, ignore=bytecode)
    with (package / "finetune.py").open("a", encoding="utf-8") as file:
        file.write(WAIT_AT_GATE)
    (place / "params.yaml").write_text(yaml.safe_dump(scratch_params()), encoding="utf-8")
    commit_all(place, "The scratch family")
    return Project(place)


def copy(template: Project, place: Path, extra: dict[str, str] | None = None) -> Project:
    """Return a fresh copy of ``template`` at ``place``."""
    shutil.copytree(template.folder, place, symlinks=True)
    return Project(place, extra or {})


def check_message(finished: Finished, *words: str) -> None:
    """Require that a failed run said what failed in words for a person.

    That is an ``error:``, no traceback, and all of ``words``.
    """
    if finished.code == 0:
        raise FaultError("the run claims success")
    if "Traceback (most recent call last)" in finished.output:
        raise FaultError(f"a traceback: {finished.last_lines(6)}")
    if "error: " not in finished.output.lower():
        raise FaultError(f"no `error:` line: {finished.last_lines()}")
    for word in words:
        if word.lower() not in finished.output.lower():
            raise FaultError(f"does not say {word!r}: {finished.last_lines()}")


def check_whole(project: Project, weights: dict[str, str], champions: Sequence[int] = (1,)) -> None:
    """Require what must hold after every fault and one more run to the end.

    One champion and no other version beside ``champions``; the weights of an undisturbed run, bit
    by bit; a clean ``dvc status``; no process left.
    """
    last = project.run("retrain")
    if last.code:
        raise FaultError(f"the run after the fault failed: {last.last_lines(6)}")
    if project.weights() != weights:
        raise FaultError("the weights are not those of an undisturbed run")
    status = project.dvc_status()
    if status != "Data and pipelines are up to date.":
        raise FaultError(f"dvc status: {status}")
    check_registry(project, champions)
    check_nothing_runs(project)


def check_registry(project: Project, numbers: Sequence[int]) -> None:
    """Require that exactly the versions ``numbers`` are registered, one of them champion."""
    versions = project.versions()
    registered = sorted(version["version"] for version in versions)
    if registered != sorted(numbers):
        raise FaultError(f"registered are versions {registered}, not {sorted(numbers)}")
    champions = [version for version in versions if "champion" in version["aliases"]]
    if len(champions) != 1:
        raise FaultError(f"{len(champions)} champions")


def check_nothing_runs(project: Project, seconds: float = 60.0) -> None:
    """Require that everything the project started ends within ``seconds``."""
    until = time.monotonic() + seconds
    while left := project.processes():
        if time.monotonic() > until:
            names = [" ".join(process.cmdline()[:6]) for process in left if process.is_running()]
            project.kill_all()
            raise FaultError(f"still running after {seconds:.0f} s: {names}")
        time.sleep(0.2)
