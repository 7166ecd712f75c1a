"""Checkpoints that survive ``kill -9``: saved whole beside a stage's output.

A checkpoint belongs to one fingerprint: the stage's params, the bytes of its inputs and the code
that it runs. When any of them changed, the old checkpoint is not used. Stages draw randomness from
(seed, step), so a step number is all the state that random generators need, and a resumed run ends
with the weights of an undisturbed one.

A file begins with the digest of all that follows, so that a truncated or flipped one is known
before it is unpickled. The last two checkpoints are kept: a damaged one costs the minutes between
two, not the run. What is not finite is not saved.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import Any

import torch

from beauty_models import code, progress
from beauty_models.files import new_file
from beauty_models.params import Section
from beauty_models.training.finite import NotFiniteError, not_finite

DIGEST_LENGTH = 64  # hexadecimal digits of SHA-256, then a newline
DAMAGED_KEPT = 2  # files set aside in one folder; each is as large as a checkpoint


def fingerprint(module: str, params: Section, *inputs: Path) -> str:
    """Return a hash of ``params``, every file under ``inputs``, torch's version and the code.

    ``module`` is the ``__name__`` of the module that holds the stage's function.
    """
    # another torch may compute other bits, and a resumed run must end with the same ones
    digest = hashlib.sha256(params.model_dump_json().encode() + torch.__version__.encode())
    digest.update(code.text(module).encode())
    for path in inputs:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in filter(Path.is_file, files):
            with file.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").digest()
            digest.update(file.name.encode() + content)
    return digest.hexdigest()


def _digest(stream: BufferedReader | BufferedRandom) -> str:
    """Return the digest of what follows in ``stream``."""
    return hashlib.file_digest(stream, "sha256").hexdigest()


def _flaw(file: Path) -> str | None:
    """Return what is wrong with a checkpoint's bytes, or None."""
    if not file.is_file():
        return "it is not a file"
    with file.open("rb") as stream:
        stated = stream.read(DIGEST_LENGTH + 1)
        if not stated:
            return "it is empty"
        if len(stated) <= DIGEST_LENGTH or not re.fullmatch(rb"[0-9a-f]{64}\n", stated):
            return "it does not begin with a digest"
        if _digest(stream).encode() + b"\n" != stated:
            return "its content is not what its digest says"
    return None


class Checkpoint:
    """The checkpoints of the run that writes ``output``, ``minutes`` apart.

    ``identity`` is the run's `fingerprint`.
    """

    def __init__(self, output: Path, identity: str, minutes: float) -> None:
        # beside the output and not in it: DVC deletes outputs before a stage runs
        self.file = output.with_name(output.name + ".checkpoint") / "state.pt"
        self.output = output
        self._identity = identity
        self._interval = minutes * 60  # seconds
        self._saved = time.monotonic()
        self._own = False  # whether `file` is of this run

    @property
    def previous(self) -> Path:
        """Where the checkpoint before the last one lies."""
        return self.file.with_name(f"{self.file.stem}.previous{self.file.suffix}")

    def load(self) -> dict[str, Any] | None:
        """Return the state last saved by a run with the same identity, or None.

        A damaged file is set aside with a line, and the one before it is tried.
        """
        # half a file of a run that was killed while it saved
        for half in self.file.parent.glob(f".{self.file.name}.*.tmp"):
            half.unlink()
        exists = False
        for file in (self.file, self.previous):
            # lexists: a link that leads nowhere is a flaw, not nothing
            if not os.path.lexists(file):
                continue
            exists = True
            flaw = _flaw(file)
            if flaw is not None:
                self._set_aside(file, flaw)
                continue
            with file.open("rb") as stream:
                stream.seek(DIGEST_LENGTH + 1)
                state: dict[str, Any] = torch.load(stream, weights_only=True, map_location="cpu")
            if state.pop("identity") == self._identity:
                self._own = True
                return state
        if exists:
            progress.log_line(
                f"checkpoint: none in {self.file.parent} fits these params, data and code; "
                "starting from the beginning"
            )
        return None

    def _set_aside(self, file: Path, flaw: str) -> None:
        """Rename a damaged ``file`` and tell of it; delete the oldest that was set aside before."""
        # not deleted: a damaged file is a sign that the disk is failing
        aside = file.with_name(f"{file.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
        file.replace(aside)
        progress.log_line(f"checkpoint: {file} is damaged ({flaw}); set aside as {aside.name}")
        # by the time in the name: `file` and `previous` may both have been set aside
        by_age = sorted(self._aside(), key=lambda path: path.name.rpartition("-")[2])
        for old in by_age[:-DAMAGED_KEPT]:
            with suppress(OSError):
                old.unlink()

    def _aside(self) -> Iterator[Path]:
        return self.file.parent.glob("*.damaged-*")

    def due(self) -> bool:
        """Return whether the time between two checkpoints has passed."""
        return time.monotonic() - self._saved >= self._interval

    def save(self, state: dict[str, Any]) -> None:
        """Save ``state``, whole or not at all; the last one stays beside it.

        Args:
            state: tensors, numbers, strings and containers of them.

        Raises:
            OSError: the disk is full; the checkpoint before this one is still there.
            NotFiniteError: something in ``state`` is NaN or infinite; the checkpoint before this
                one is still there.
        """
        name = not_finite(state)
        if name is not None:
            raise NotFiniteError(
                f"{name} is not finite, so nothing was saved; {self.last_good()}. "
                "Lower the learning rate, or set precision: float32"
            )
        try:
            self._write(state)
        except OSError:
            if not self.previous.exists():
                raise
            # a disk that has no room for three has room for two
            self.previous.unlink()
            self._write(state)
        self._own = True
        self._saved = time.monotonic()

    def _write(self, state: dict[str, Any]) -> None:
        with new_file(self.file) as temporary:
            with temporary.open("w+b") as stream:
                # the digest's place, until what follows is known
                stream.write(b"0" * DIGEST_LENGTH + b"\n")
                torch.save(state | {"identity": self._identity}, stream)
                stream.seek(DIGEST_LENGTH + 1)
                digest = _digest(stream)
                stream.seek(0)
                stream.write(digest.encode())
            if self.file.exists():
                self.file.replace(self.previous)

    def last_good(self) -> str:
        """Return, for a message, which checkpoint is left when a run ends before its time."""
        return f"the last good checkpoint is {self.file}" if self._own else "there is no checkpoint"

    def clear(self) -> None:
        """Remove the checkpoints, once the output they led to is written.

        Damaged ones that were set aside stay.
        """
        aside = set(self._aside())
        for file in self.file.parent.glob("*"):
            if file not in aside:
                file.unlink()
        with suppress(OSError):
            self.file.parent.rmdir()
