"""Pictures opened by several processes: the same bytes, whoever works, dies or is hostile."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from deadly import dies_of, fails
from PIL import Image
from processes import ROOT

from beauty_models.intake import parallel, pictures
from beauty_models.intake.images import encode
from beauty_models.intake.opening import LOST, open_file
from beauty_models.params import Pictures

RULES = Pictures(
    max_pixels=1_000_000,
    min_side=8,
    side=32,
    duplicate_hash_distance=2,
    duplicate_color_distance=1.0,
)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Write 70 pictures, two of them broken."""
    raw = tmp_path / "raw"
    raw.mkdir()
    rng = np.random.default_rng(3)
    for number in range(70):
        shapes = rng.integers(0, 256, (4, 4, 3), np.uint8)
        picture = Image.fromarray(shapes).resize((48, 64), Image.Resampling.BICUBIC)
        (raw / f"{number:02}.jpg").write_bytes(encode(picture))
    (raw / "20.jpg").write_bytes(b"no picture")
    (raw / "33.jpg").write_bytes((raw / "33.jpg").read_bytes()[:200])
    return sorted(raw.iterdir())


@pytest.fixture(autouse=True)
def nobody_said_who_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the environment of the tests says."""
    monkeypatch.delenv(parallel.WORKERS, raising=False)
    monkeypatch.delenv(parallel.SCHEDULER, raising=False)


def decoded(paths: list[Path], folder: Path) -> tuple[str, pictures.Decoded]:
    """Decode ``paths`` into two parts; return a digest of what was written, and what was told."""
    folder.mkdir()
    told = pictures.decode(paths, folder, RULES)
    keys = sorted(told.hashes)
    pictures.write_parts(folder, {"train": keys[::2], "test": keys[1::2]})
    written = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        written.update(file.name.encode() + file.read_bytes())
    return written.hexdigest(), told


def same(one: pictures.Decoded, other: pictures.Decoded) -> bool:
    """Return whether both say the same of the same pictures, in the same order."""
    for key in one.hashes:
        if one.hashes[key].bits != other.hashes[key].bits:
            return False
        if (one.hashes[key].colors != other.hashes[key].colors).any():
            return False
    in_order = list(one.keys.items()) == list(other.keys.items())
    return in_order and one.faults == other.faults and list(one.hashes) == list(other.hashes)


def test_the_number_of_processes_changes_no_byte(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for workers in ("1", "2", "3"):
        monkeypatch.setenv(parallel.WORKERS, workers)
        results.append(decoded(paths, tmp_path / workers))
    (first, told), *others = results
    assert [path.name for path in told.faults] == ["20.jpg", "33.jpg"]
    assert len(told.keys) == 68
    for digest, other in others:
        assert digest == first and same(told, other)


@pytest.mark.parametrize("workers", ["0", "many", "-1", "1.5"])
def test_a_number_of_processes_that_cannot_be_is_told(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    monkeypatch.setenv(parallel.WORKERS, workers)
    with pytest.raises(ValueError, match="BEAUTY_WORKERS is .*; it takes a number"):
        decoded(paths, tmp_path / "data")


NAMES = [f"picture {number}" for number in range(100)]


@pytest.mark.parametrize(("times", "lost"), [(1, False), (2, False), (99, True)])
def test_a_killed_process_loses_nothing_and_a_deadly_file_costs_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, lost: bool
) -> None:
    monkeypatch.setenv(parallel.WORKERS, "2")
    work = partial(dies_of, "picture 37", tmp_path / "note", times)
    found = list(parallel.outcomes(work, NAMES, Path, "LOST"))
    expected = [name.upper() for name in NAMES]
    if lost:
        expected[37] = "LOST"
    assert found == expected


def sleeps(seconds: str) -> None:
    time.sleep(float(seconds))


def test_what_ends_a_run_still_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(parallel.WORKERS, "2")
    with pytest.raises(FileNotFoundError, match="picture 0"):
        list(parallel.outcomes(fails, NAMES, Path, ""))
    # and leaves processes that go on working, also where what it cancelled is still on its way
    pool = parallel.LocalPool(2)
    slow = [pool.submit(sleeps, ["0.5"]) for _ in range(8)]
    for future in slow:
        future.cancel()
    assert list(parallel.outcomes(str.upper, ["a"], Path, "")) == ["A"]


class Counting:
    """An engine that works at once, and knows how much was under way at most."""

    deaths = (KeyError,)
    attempts = 1

    def __init__(self) -> None:
        self.under_way = 0
        self.most = 0

    def width(self) -> int:
        return 3

    def submit(self, work: Callable[[list[str]], str], part: list[str]) -> list[str]:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        return list(map(str.upper, part))

    def result(self, future: list[str]) -> list[str]:
        self.under_way -= 1
        return future

    def give_up(self, futures: Sequence[Any]) -> None:
        assert not futures, "all have been taken"


def test_what_is_under_way_does_not_grow_with_the_pictures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = Counting()
    monkeypatch.setattr(parallel, "_engine", lambda *_: nullcontext(engine))
    names = [str(number) for number in range(1000)]
    assert list(parallel.outcomes(str.upper, names, Path, "")) == names
    assert engine.most == engine.width()


INGEST = """
import sys, time
from pathlib import Path
from beauty_models.intake import parallel

def slow(name):
    time.sleep(0.2)
    return name

for number, _ in enumerate(parallel.outcomes(slow, [str(n) for n in range(400)], Path, "")):
    print(number, flush=True)
"""


def test_processes_end_with_a_stage_that_is_killed() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), parallel.WORKERS: "2"}
    stage = subprocess.Popen(
        [sys.executable, "-c", INGEST], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert stage.stdout is not None
    assert stage.stdout.readline() == "0\n", "no guard for the main module is needed"
    children = descendants(stage.pid)
    assert len(children) >= 2
    stage.kill()
    stage.wait()
    stage.stdout.close()
    deadline = time.monotonic() + 60
    while any(map(runs, children)):
        assert time.monotonic() < deadline, "orphans"
        time.sleep(0.2)


def descendants(process: int) -> list[int]:
    """Return the processes below ``process``."""
    return [child.pid for child in psutil.Process(process).children(recursive=True)]


def runs(process: int) -> bool:
    """Return whether ``process`` is there and no zombie."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Yield the address of a Dask cluster with two worker processes."""
    script = Path(__file__).with_name("dask_cluster.py")
    running = subprocess.Popen(
        [sys.executable, str(script)],
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{script.parent}",
            # Two deaths in place of four: each costs the start of a process.
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdin is not None and running.stdout is not None
    yield running.stdout.readline().strip()
    running.stdin.close()  # it ends
    running.stdout.close()
    running.wait(60)


def test_a_cluster_writes_the_same_bytes(
    paths: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cluster: str,
) -> None:
    monkeypatch.setenv(parallel.WORKERS, "1")
    digest, told = decoded(paths, tmp_path / "here")
    monkeypatch.setenv(parallel.SCHEDULER, cluster)
    shared, other = decoded(paths, tmp_path / "shared")
    assert digest == shared and same(told, other)
    assert LOST not in other.faults.values()


@pytest.mark.parametrize(("times", "lost"), [(1, False), (99, True)])
def test_a_cluster_whose_workers_die_loses_nothing_but_what_kills_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cluster: str,
    times: int,
    lost: bool,
) -> None:
    monkeypatch.setenv(parallel.SCHEDULER, cluster)
    names = [f"picture {number}" for number in range(40)]
    # The work of a test stands in no module of ours.
    terms = parallel._terms(open_file, [])
    monkeypatch.setattr(parallel, "_terms", lambda work, files: terms)
    work = partial(dies_of, names[21], tmp_path / "note", times)
    found = list(parallel.outcomes(work, names, Path, "LOST"))
    expected = [name.upper() for name in names]
    if lost:
        expected[21] = "LOST"
    assert found == expected


def test_a_cluster_that_sees_other_files_is_refused(
    paths: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cluster: str,
) -> None:
    monkeypatch.setenv(parallel.SCHEDULER, cluster)
    terms = parallel._terms

    def others(work: object, files: object) -> parallel.Terms:
        here = terms(work, files)  # type: ignore[arg-type]
        return here._replace(files=((str(paths[0]), 1),))

    monkeypatch.setattr(parallel, "_terms", others)
    with pytest.raises(ValueError, match=r"sees another .*00\.jpg: [\d,]+ bytes, and not 1"):
        decoded(paths, tmp_path / "data")


def test_a_cluster_that_is_not_there_is_told(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "CONNECT_S", 2)
    monkeypatch.setenv(parallel.SCHEDULER, "tcp://127.0.0.1:9")
    with pytest.raises(OSError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        decoded(paths, tmp_path / "data")
