"""Ask the champion of a family, or another version: download its model once, then let the family's own ``predict`` answer in a child process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.registry import registry
from tasks.registry.lineage import folder_hashes
from tasks.state import STATE


def _askable(family: str) -> list[str]:
    """Return a line per registered version, newest first: its number, what the gate said, and how to ask it."""
    told = []
    for known in registry.versions(family):
        passed = known["gate"].get("passed")
        verdict = {True: "passed the gate", False: "did not pass the gate"}.get(
            passed, "no verdict"
        )
        names = "".join(f", {alias}" for alias in known["aliases"])
        number = known["version"]
        told.append(
            f"  version {number}{names}: {verdict}; beauty predict {family} --version {number} …"
        )
    return told


def resolve(family: str, wanted: str) -> int:
    """Return the number of the version ``wanted``: a number or an alias, champion or challenger.

    Raises:
        ValueError: there is no such version; the message lists those that can be asked, and how.
    """
    if wanted.isdecimal():
        number = int(wanted)
        if any(known["version"] == number for known in registry.versions(family)):
            return number
        problem = f"version {number} is not registered"
    elif wanted in ("champion", "challenger"):
        found = registry.aliases(registry.client(), family).get(wanted)
        if found is not None:
            return found
        problem = f"there is no {wanted}"
    else:
        raise ValueError(f"--version {wanted}: give a number, champion or challenger")
    told = _askable(family)
    if not told:
        raise ValueError(
            f"{family}: {problem}, and no version at all; run `beauty retrain {family}`"
        )
    raise ValueError("\n".join([f"{family}: {problem}; these can be asked:", *told]))


def model_folder(family: str, wanted: str = "champion") -> Path:
    """Return the folder of a version's model in `.beauty/models`, downloaded when it is not there whole.

    Raises:
        ValueError: there is no such version, see `resolve`.
    """
    version = resolve(family, wanted)
    place = STATE / "models" / family / str(version)
    if folder_hashes(place / "model") != registry.lineage(family, version)["files"]:
        registry.champion(family, version, into=place)
    return place / "model"


def predict(
    family: str,
    arguments: Sequence[str],
    version: str = "champion",
) -> Any:
    """Return what ``python -m beauty_models predict`` answers to ``arguments``; its standard error, with bars and their time left, is ours.

    Raises:
        ValueError: there is no such version, see `resolve`.
        SystemExit: the child failed, and has said why.
    """
    # the child loads torch while MLflow is loaded here: seconds of each; it is told the folder when that is known
    command = [sys.executable, "-m", "beauty_models", "predict", family, "--model", "-", *arguments]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, encoding="utf-8", **pipes) as child:
        assert child.stdin and child.stdout
        try:
            child.stdin.write(f"{model_folder(family, version)}\n")
            child.stdin.flush()
            said = child.stdout.read()  # standard input stays open: its end would end the child
            child.wait()
        except BrokenPipeError:  # it has ended, and has said why
            raise SystemExit(1) from None
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        raise SystemExit(1)
    return json.loads(said)
