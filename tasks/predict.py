"""Ask the champion of a family: download its model once, then let the family's own ``predict`` answer in a child process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tasks import registry
from tasks.lineage import folder_hashes


def model_folder(family: str) -> Path:
    """Return the folder of the champion's model in `.beauty/models`, downloaded when it is not there whole.

    Raises:
        ValueError: there is no champion.
    """
    version = registry.champion_version(family)
    place = registry.STATE / "models" / family / str(version)
    if folder_hashes(place / "model") != registry.lineage(family, version)["files"]:
        registry.champion(family, version, into=place)
    return place / "model"


def predict(family: str, arguments: Sequence[str], on_progress: Callable[[str], None]) -> Any:
    """Return what ``python -m beauty_models predict`` answers to ``arguments``; its standard error is ours.

    Raises:
        ValueError: there is no champion.
        SystemExit: the child failed, and has said why.
    """
    command = [
        sys.executable,
        "-m",
        "beauty_models",
        "predict",
        family,
        "--model",
        str(model_folder(family)),
        *arguments,
    ]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as child:
        try:
            assert child.stdout
            for line in child.stdout:
                if line.startswith("progress: "):
                    on_progress(line.rstrip("\n"))
                else:
                    lines.append(line)
        except BaseException:
            child.terminate()
            raise
    if child.returncode:
        raise SystemExit(1)
    return json.loads("".join(lines))
