"""Reviews that do not fit into memory: the same data as from memory, within a limit."""

from __future__ import annotations

import csv
import random
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ROOT
from test_ingest import PARAMS

from beauty_models.intake import lines, tables
from beauty_models.sentiment import data
from bench.ingest import templated

WORDS = [f"{first}{second}" for first in ("ba", "lo", "mi", "tu") for second in ("rin", "sok", "v")]


def _reviews(file: Path, count: int) -> None:
    """Write ``count`` reviews, of which some are there twice, nearly twice, or are broken."""
    rng = random.Random(5)
    texts = []
    for number, (text, rating) in enumerate(templated(count)):
        if number % 10 == 3:
            text, rating = texts[-1]
        elif number % 10 == 5:
            text = f"{texts[-1][0]}ab"
        elif number % 50 == 7:
            text = ""
        elif number % 50 == 8:
            rating = "seventeen"
        texts.append((text, rating))
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "text", "rating", "product", "date"])
        for number, (text, rating) in enumerate(texts):
            date = f"{rng.randrange(1, 29):02}.{rng.randrange(1, 13):02}.2025"
            writer.writerow([number, text, rating, f"P{number % 40}", date])


def _content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("parallel", [False, True])
def test_batches_from_the_disk_give_the_bytes_of_the_whole_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parallel: bool
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    _reviews(raw / "a.csv", 400)
    _reviews(raw / "b.csv", 90)
    params = PARAMS.model_copy(update={"limit": 0, "near_duplicate_similarity": 0.9})
    figures = data.ingest(raw=raw, data=tmp_path / "whole", params=params)
    assert figures["near_duplicates"] and figures["duplicates"] and figures["rejected"]

    original = tables.batches
    monkeypatch.setattr(tables, "batches", lambda file, raw: original(file, raw, most=33))
    monkeypatch.setattr(lines, "LARGE", 0)
    monkeypatch.setattr(lines, "BLOCK", 1000)
    monkeypatch.setattr(data, "ROW_GROUP", 64 if parallel else data.ROW_GROUP)
    if parallel:
        monkeypatch.setattr(data, "PARALLEL_FROM", 0)
    assert data.ingest(raw=raw, data=tmp_path / "batches", params=params) == figures
    found = _content(tmp_path / "batches")
    expected = _content(tmp_path / "whole")
    if parallel:
        # In smaller row groups, so not the same bytes; but these are.
        for name in ("schema.json", "account.json", "rejected.parquet"):
            assert found[name] == expected[name]
        assert found.keys() == expected.keys()
    else:
        assert found == expected


MEMORY = 150_000_000  # bytes; the table has 27 million, each letter of a text twice in memory
LONG = """
import resource, sys
from pathlib import Path
from test_ingest import PARAMS
from beauty_models.intake import lines, tables
from beauty_models.sentiment import data

raw, out, limit, way = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
# Memory of the process's own, beyond what the libraries take: files that are mapped do not count.
if limit:
    status = Path("/proc/self/status").read_text()
    taken = 1024 * int(status.partition("VmData:")[2].split()[0])
    resource.setrlimit(resource.RLIMIT_DATA, (taken + limit, taken + limit))
original = tables.batches
if way == "whole":
    lines.LARGE = 10**12
    tables.batches = lambda file, raw: original(file, raw, most=None)
else:
    lines.LARGE = 0
    tables.batches = lambda file, raw: original(file, raw, most=100)
params = PARAMS.model_copy(update={"limit": 0, "near_duplicate_similarity": 1.0})
data.PARALLEL_FROM = 10**12
data.ROW_GROUP = 100
data.ingest(raw=raw, data=out, params=params)
"""


def _ingest_within(limit: int, raw: Path, out: Path, way: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LONG, str(raw), str(out), str(limit), way],
        env={
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}:{ROOT / 'tests/sentiment'}",
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "ARROW_DEFAULT_MEMORY_POOL": "system",  # the others reserve much at once
            "PATH": "",
        },
        cwd=raw.parent,
        capture_output=True,
        text=True,
    )


def test_a_table_larger_than_the_memory_is_ingested(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    rng = random.Random(1)
    with (raw / "long.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "rating"])
        for number in range(2_500):
            # 11 kB, in letters of two bytes each where Python keeps them
            text = " ".join(rng.choices(WORDS, k=40)) + f" 好{number} " + "sehr gut " * 1200
            writer.writerow([text, rng.choice(["1", "5"])])
    whole = _ingest_within(MEMORY, raw, tmp_path / "whole", "whole")
    assert whole.returncode and "MemoryError" in whole.stderr, whole.stderr[-2000:]
    assert not (tmp_path / "whole").exists()
    parts = _ingest_within(MEMORY, raw, tmp_path / "parts", "parts")
    assert parts.returncode == 0, parts.stderr[-2000:]
    unlimited = _ingest_within(0, raw, tmp_path / "whole", "whole")
    assert unlimited.returncode == 0, unlimited.stderr[-2000:]
    assert _content(tmp_path / "parts") == _content(tmp_path / "whole")
