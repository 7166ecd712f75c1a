"""Stages in processes that begin with their libraries loaded.

A stage on toy data trains for a second or two, after three of imports. So a server that has
imported what the stages import forks a process for each: of its own, to be killed, with the `main`
of ``python -m beauty_models``. That command itself is run as well, once a stage of a family
(test_training), and what is forked must end with the same bytes.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import NamedTuple

from beauty_models import families
from beauty_models.__main__ import main

CONTEXT = get_context("forkserver")


class Finished(NamedTuple):
    """A stage that ended: its exit code and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def load(chosen: Iterable[str]) -> None:
    """Have the server import the stages of the families ``chosen``, when the first one is run."""
    stages = [
        families.module(stage, family) for family in chosen for stage in families.stages(family)
    ]
    CONTEXT.set_forkserver_preload(["beauty_models.__main__", *stages])


def _stage(arguments: list[str], folder: str, printed: tuple[str, str]) -> None:
    os.chdir(folder)
    for descriptor, file in enumerate(printed, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.exit(main(arguments))


@contextmanager
def started(
    arguments: list[str], folder: Path, printed: tuple[str, str] = (os.devnull, os.devnull)
) -> Iterator[ForkServerProcess]:
    """Run ``python -m beauty_models`` with ``arguments`` in ``folder`` beside the block.

    When the block ends it is gone. ``printed`` are the files for its output and its errors.
    """
    process = CONTEXT.Process(target=_stage, args=(arguments, str(folder), printed))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def run(arguments: list[str], folder: Path, timeout_s: float) -> Finished:
    """Run ``python -m beauty_models`` with ``arguments`` in ``folder`` to its end."""
    with tempfile.TemporaryDirectory() as place:
        out, errors = Path(place) / "out", Path(place) / "errors"
        with started(arguments, folder, (str(out), str(errors))) as process:
            process.join(timeout_s)
            code = process.exitcode
        assert code is not None, f"after {timeout_s:g} s it still runs: {out.read_text()[-2000:]}"
        return Finished(code, out.read_text(encoding="utf-8"), errors.read_text(encoding="utf-8"))
