"""Every benchmark begins in a fresh clone: it runs, or says in one line what it needs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ROOT

from beauty_models import families, params
from bench.game_day.project import FAMILY, make_template
from tasks.registry import gate

# Small enough for a test where a benchmark makes its own data; the others need a family's data.
SMALL = {
    "index": ["--products", "300", "--width", "16"],
    "ingest": ["--reviews", "200", "--templates"],
    "loader": ["--pictures", "200", "--size", "32"],
}
NEEDS = {"throughput": "sentiment", "clip_throughput": "recommend"}
NAMES = sorted(
    path.stem if path.is_file() else path.name
    for path in (ROOT / "bench").iterdir()
    if (path.suffix == ".py" and "__main__" in path.read_text(encoding="utf-8"))
    or (path / "__main__.py").is_file()
)


def bench(folder: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a benchmark in a fresh clone, of which it needs params.yaml."""
    shutil.copy(ROOT / "params.yaml", folder)
    return subprocess.run(
        [sys.executable, "-m", f"bench.{name}", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=900,
    )


def test_all_benchmarks_are_known_here() -> None:
    assert {*SMALL, *NEEDS} < set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_explains_itself(tmp_path: Path, name: str) -> None:
    done = bench(tmp_path, name, "--help")
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


@pytest.mark.parametrize("name", NEEDS)
def test_a_benchmark_without_its_data_says_what_makes_it(tmp_path: Path, name: str) -> None:
    done = bench(tmp_path, name)
    family = NEEDS[name]
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: build/{family}/data/train.parquet is missing")
    assert f"`beauty retrain {family}`" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_that_makes_its_data_runs(tmp_path: Path, name: str) -> None:
    done = bench(tmp_path, name, *SMALL[name])
    assert done.returncode == 0, done.stderr
    assert "─" in done.stdout  # its table


def test_the_family_of_game_day_passes_its_gate_with_the_code_of_today(tmp_path: Path) -> None:
    project = make_template(tmp_path / "project")
    for stage in ("starter", *families.STAGES):
        done = subprocess.run(
            [sys.executable, "-m", "beauty_models", stage, FAMILY],
            cwd=project.folder,
            env=project.environment(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    metrics = json.loads((project.folder / f"metrics/{FAMILY}/evaluate.json").read_text())
    asked = params.read(project.folder / "params.yaml")[FAMILY]["gate"]
    judged = gate.judge(params.Gate.model_validate(asked), metrics, None, None)
    assert judged["passed"], judged
