"""docs/adding-a-family.md is true.

Its commands, run as they stand there, make a family that goes from ingest to champion.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mini import kill_all_in

from beauty_models import params
from bench.game_day.project import clone_checkout, commit_all

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/adding-a-family.md"


def blocks() -> list[str]:
    """Return what the page tells people to type."""
    found = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert len(found) == 2
    return found


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a checkout of this project as it is now, with its uncommitted changes, and nothing run
    in it.
    """
    place = tmp_path_factory.mktemp("checkout") / "project"
    clone_checkout(place)
    commit_all(place, "start")
    return place


def typed(commands: str, place: Path) -> str:
    """Run ``commands`` in ``place`` as a person would, each of which must succeed.

    Return what was printed.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    kept.pop("MLFLOW_TRACKING_URI", None)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-ec", commands],
        cwd=place,
        env={**kept, "PATH": path, "PYTHONPATH": str(place)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    kill_all_in(place)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_the_page_makes_a_champion_that_keeps_all_contracts(checkout: Path) -> None:
    make, test = blocks()
    assert "it is the champion (version 1)" in typed(make, checkout)
    [answer] = json.loads(typed("beauty predict swatch --shine 0.9 --depth 0.1 --json", checkout))
    assert answer["finish"] == "glossy"
    [version] = json.loads(typed("beauty models swatch --json", checkout))
    assert version["aliases"] == ["champion"] and version["gate"]["passed"]
    assert "swatch" not in typed("dvc status", checkout)
    assert " failed" not in typed(test, checkout)


def test_a_new_family_touches_no_other_file(checkout: Path) -> None:
    changed = typed("git status --porcelain", checkout).split("\n")
    touched = {line[3:].split("/")[0] for line in changed if line} - {"metrics"}
    assert touched <= {"beauty_models", "params.yaml", "profiles", "dvc.lock", "data"}
    assert "swatch" in params.read(checkout / "params.yaml")
