"""Ask the champion of a family, or another version.

Its model is downloaded once; then the family's own ``predict`` answers in a child process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.registry import connection, registry
from tasks.registry.lineage import folder_hashes
from tasks.state import STATE

VERDICTS: dict[bool | None, str] = {True: "passed the gate", False: "did not pass the gate"}


def _version_lines(family: str) -> list[str]:
    """Return a line per registered version, newest first: number, verdict, how to ask it."""
    lines = []
    for version in registry.versions(family):
        verdict = VERDICTS.get(version["gate"].get("passed"), "no verdict")
        aliases = "".join(f", {alias}" for alias in version["aliases"])
        number = version["version"]
        lines.append(
            f"  version {number}{aliases}: {verdict}; beauty predict {family} --version {number} …"
        )
    return lines


def resolve(family: str, version: str) -> int:
    """Return the number of a version: it is given as number or alias, such as champion.

    Raises:
        ValueError: there is no such version; the message lists those that can be asked, and how.
    """
    if version.isdecimal():
        number = int(version)
        if any(known["version"] == number for known in registry.versions(family)):
            return number
        problem = f"version {number} is not registered"
    else:
        aliased = registry.aliases(connection.client(), family).get(version)
        if aliased is not None:
            return aliased
        problem = f"there is no {version}"
    lines = _version_lines(family)
    if not lines:
        raise ValueError(
            f"{family}: {problem}, and no version at all; run `beauty retrain {family}`"
        )
    raise ValueError("\n".join([f"{family}: {problem}; these can be asked:", *lines]))


def model_folder(family: str, version: str = "champion") -> Path:
    """Return the folder of a version's model in `.beauty/models`.

    It is downloaded when it is not there whole.

    Raises:
        ValueError: there is no such version, see `resolve`.
    """
    number = resolve(family, version)
    folder = STATE / "models" / family / str(number)
    if folder_hashes(folder / "model") != registry.version_lineage(family, number)["files"]:
        registry.download_model(family, number, into=folder)
    return folder / "model"


def predict(
    family: str,
    arguments: Sequence[str],
    version: str = "champion",
) -> Any:
    """Return what ``python -m beauty_models predict`` answers to ``arguments``.

    Its standard error, with bars and their time left, is ours.

    Raises:
        ValueError: there is no such version, see `resolve`.
        SystemExit: the child failed, and has said why.
    """
    # The child loads torch while MLflow is loaded here: seconds of each. So it starts with "-" for
    # the model's folder, and reads that from standard input when it is known.
    command = [sys.executable, "-m", "beauty_models", "predict", family, "--model", "-", *arguments]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, encoding="utf-8", **pipes) as child:
        assert child.stdin and child.stdout
        try:
            child.stdin.write(f"{model_folder(family, version)}\n")
            child.stdin.flush()
            # Standard input stays open, as a leash: the child ends with it.
            answer = child.stdout.read()
            child.wait()
        except BrokenPipeError:
            # It has ended before it read the folder, and has said why.
            raise SystemExit(1) from None
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        raise SystemExit(1)
    return json.loads(answer)
