"""What the tests share: one Prefect server for the session, a miniature project.

Its stages take milliseconds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from mini import kill_all_in

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # tests run side by side; torch's threads would only wait for each other
# Before anything imports Prefect. It goes with the object at the interpreter's end.
PREFECT_HOME = tempfile.TemporaryDirectory(prefix="beauty-prefect-", ignore_cleanup_errors=True)
os.environ["PREFECT_HOME"] = PREFECT_HOME.name
os.environ["PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW"] = "ignore"
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
# DVC as it comes, whatever the settings of who runs the tests; and it calls nobody.
DVC_HOME = tempfile.TemporaryDirectory(prefix="beauty-dvc-", ignore_cleanup_errors=True)
Path(DVC_HOME.name, "config").write_text(
    "[core]\n    analytics = false\n    check_update = false\n"
)
os.environ["DVC_GLOBAL_CONFIG_DIR"] = DVC_HOME.name
ROOT = Path(__file__).parent.parent

PARAMS = """\
families:
  lips:
    ingest: {n: 1, sleep: 0}
    pretrain: {n: 1, sleep: 0}
  nails:
    ingest: {n: 1, sleep: 0}
    pretrain: {n: 1, sleep: 0}
"""

DVC = """\
stages:
  ingest:
    foreach: ${families}
    do:
      cmd: python work.py ingest ${key} data/raw/${key} build/${key}/data
      deps:
        - data/raw/${key}
        - work.py
      params:
        - families.${key}.ingest
      outs:
        - build/${key}/data
      meta: {tags: [cpu], retries: 0, timeout_hours: 1}
  pretrain:
    foreach: ${families}
    do:
      cmd: python work.py pretrain ${key} build/${key}/data build/${key}/pretrained
      deps:
        - build/${key}/data
        - work.py
      params:
        - families.${key}.pretrain
      outs:
        - build/${key}/pretrained
      metrics:
        - metrics/${key}/pretrain.json
      meta: {tags: [gpu], retries: 0, timeout_hours: 1}
"""

WORK = '''\
"""A stage: copies its input, adds a letter `n` times, and notes in runs.txt that it ran."""
import json, pathlib, subprocess, sys, time, yaml
stage, family, source, target = sys.argv[1:]
params = yaml.safe_load(open("params.yaml"))["families"][family][stage]
if "grandchild" in params:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", deaf])
    pathlib.Path("grandchild.pid").write_text(str(child.pid))
with open("runs.txt", "a") as runs:
    runs.write(f"{stage}@{family}\\n")
print(f"progress: 0.5000 {stage}: half", flush=True)
time.sleep(params["sleep"])
patience = time.monotonic() + 600
awaited = pathlib.Path(params["until"]) if "until" in params else None
while awaited and not awaited.exists() and time.monotonic() < patience:
    time.sleep(0.05)
if "mistake" in params:
    sys.exit("error: " + params["mistake"])
if "crash" in params:
    print("\\n".join(f"line {i}" for i in range(30)), flush=True)
    sys.exit(3)
out = pathlib.Path(target)
out.mkdir(parents=True)
(out / "x").write_text((pathlib.Path(source) / "x").read_text() + "a" * params["n"])
if stage == "pretrain":
    metrics = pathlib.Path("metrics") / family
    metrics.mkdir(parents=True, exist_ok=True)
    (metrics / "pretrain.json").write_text(json.dumps({"loss": 1.5, "majority/loss": 2.0}))
'''


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """Run a Prefect server on a new database; yield the address of its API."""
    from flows.settings import configure

    configure()
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=600):
        yield str(PREFECT_API_URL.value())


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the miniature project once: two families, two stages each, nothing run."""
    project = tmp_path_factory.mktemp("mini")
    for name, text in {"params.yaml": PARAMS, "dvc.yaml": DVC, "work.py": WORK}.items():
        (project / name).write_text(text)
    for family in ("lips", "nails"):
        (project / "data/raw" / family).mkdir(parents=True)
        (project / "data/raw" / family / "x").write_text(family)
    for command in (
        ["git", "init", "-q"],
        [*DVC_COMMAND, "init", "-q"],
        [*DVC_COMMAND, "add", "-q", "data/raw/lips", "data/raw/nails"],
    ):
        subprocess.run(command, cwd=project, check=True, capture_output=True)
    return project


DVC_COMMAND = [sys.executable, "-m", "dvc"]


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Copy the miniature project and make the copy the current folder.

    Nothing that a test started there outlives it, also when it fails.
    """
    copy = tmp_path / "project"
    shutil.copytree(template, copy)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    yield copy
    kill_all_in(copy)
