"""Checkpoints that survive ``kill -9``: saved whole beside a stage's output, found again by what the stage was fed.

A checkpoint belongs to one fingerprint: the stage's params, the bytes of its inputs and the code. When any of them
changed, the old checkpoint is not used. Stages draw randomness from (seed, step), so a step number is all the state
that random generators need, and a resumed run ends with the weights of an undisturbed one.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from pathlib import Path
from typing import Any

import torch

from beauty_models.common.files import new_file
from beauty_models.params import Section


def fingerprint(params: Section, *inputs: Path) -> str:
    """Return a hash of ``params``, of every file under ``inputs``, of torch's version and of this package's code."""
    digest = hashlib.sha256(params.model_dump_json().encode() + torch.__version__.encode())
    code = sorted(Path(__file__).parent.rglob("*.py"))
    for file in [
        *code,
        *(
            f
            for place in inputs
            for f in (sorted(place.rglob("*")) if place.is_dir() else [place])
            if f.is_file()
        ),
    ]:
        with file.open("rb") as stream:
            digest.update(file.name.encode() + hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


class Checkpoint:
    """The checkpoint of the run that writes ``output``; it lies in ``<output>.checkpoint``, outside what DVC deletes."""

    def __init__(self, output: Path, identity: str, minutes: float) -> None:
        self.file = output.with_name(output.name + ".checkpoint") / "state.pt"
        self._identity, self._every, self._saved = identity, minutes * 60, time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """Return the state last saved by a run with the same identity, or None."""
        if not self.file.exists():
            return None
        state: dict[str, Any] = torch.load(self.file, weights_only=True, map_location="cpu")
        return state if state.pop("identity") == self._identity else None

    def due(self) -> bool:
        """Return whether the time between two checkpoints has passed."""
        return time.monotonic() - self._saved >= self._every

    def save(self, state: dict[str, Any]) -> None:
        """Save ``state`` (tensors, numbers, strings and containers of them), whole or not at all.

        Raises:
            OSError: the disk is full; the checkpoint before this one is still there.
        """
        with new_file(self.file) as temporary:
            torch.save(state | {"identity": self._identity}, temporary)
        self._saved = time.monotonic()

    def clear(self) -> None:
        """Remove the checkpoint, once the output it led to is written."""
        shutil.rmtree(self.file.parent, ignore_errors=True)
