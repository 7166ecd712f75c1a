"""Sheets of samples in Prefect: the newest is there while the stage runs, and no other."""

from __future__ import annotations

import base64
import io
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flow_runs import SCRIPT, flow
from mini import PATIENCE_S, started
from PIL import Image

from flows.artifacts import SHEET_SIDE, inline_picture, parse_picture

KEY = "samples-lips-pretrain"

# The stage's own end comes when the test has seen its second sheet.
STAGE = """
import pathlib, sys, time
import numpy as np
from beauty_models.makeup.sheets import SampleSheets
stage, family, source, target = sys.argv[1:]
out = pathlib.Path(target)
if (stage, family) == ("pretrain", "lips"):
    sheets = SampleSheets(out, "pretrain: generator", "tenth")
    for level, awaited in ((40, "first-seen"), (200, "second-seen")):
        sheets.add(np.full((1200, 900, 3), level, np.uint8))
        patience = time.monotonic() + 600
        while not pathlib.Path(awaited).exists() and time.monotonic() < patience:
            time.sleep(0.05)
    print("picture: {'no': 'JSON'}")
    print('picture: {"file": "/nowhere/x.jpg", "caption": "gone"}')
out.mkdir(parents=True)
(out / "x").write_text(stage)
if stage == "pretrain":
    metrics = pathlib.Path("metrics") / family
    metrics.mkdir(parents=True, exist_ok=True)
    (metrics / "pretrain.json").write_text("{}")
"""


def artifacts() -> list[Any]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    with get_client(sync_client=True) as client:
        mine = ArtifactFilter(key=ArtifactFilterKey(any_=[KEY]))
        return client.read_artifacts(artifact_filter=mine)


def inlined(markdown: str) -> Image.Image:
    """Return the picture that a page of Markdown holds."""
    address = markdown.partition("](data:image/webp;base64,")[2].partition(")")[0]
    return Image.open(io.BytesIO(base64.b64decode(address)))


def await_sheet(running: Callable[[], bool], caption: str) -> Any:
    """Return the only artifact once it bears ``caption``."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        assert running(), "the run ended before the sheet was seen"
        pages = artifacts()
        assert len(pages) <= 1
        if pages and pages[0].description == caption:
            return pages[0]
        time.sleep(0.1)
    raise AssertionError(f"{caption}: did not appear")


def test_the_newest_sheet_is_there_while_the_stage_runs(project: Path, prefect_server: str) -> None:
    (project / "work.py").write_text(STAGE)
    environment = {**os.environ, "PREFECT_API_URL": prefect_server}
    with started([sys.executable, "-c", SCRIPT], environment) as process:

        def running() -> bool:
            return process.poll() is None

        first = await_sheet(running, "pretrain: generator: tenth 1")
        assert inlined(first.data).size == (SHEET_SIDE * 3 // 4, SHEET_SIDE)
        assert inlined(first.data).getpixel((9, 9)) == (40, 40, 40)
        (project / "first-seen").touch()
        second = await_sheet(running, "pretrain: generator: tenth 2")
        assert second.id == first.id, "sheets pile up"
        assert second.flow_run_id and second.task_run_id
        assert inlined(second.data).getpixel((9, 9)) == (200, 200, 200)
        (project / "second-seen").touch()
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, errors
    # What is no picture ended nothing, and the last one stays.
    assert artifacts() == [second]
    assert flow()["pretrain@lips"] == "Skipped"
    assert artifacts() == [second]


@pytest.mark.parametrize(
    "size, enlarge, shown",
    [
        ((100, 60), True, (700, 420)),
        ((100, 60), False, (100, 60)),
        ((500, 700), True, (500, 700)),
        ((1536, 768), True, (768, 384)),
    ],
)
def test_pictures_fit_the_page(
    tmp_path: Path, size: tuple[int, int], enlarge: bool, shown: tuple[int, int]
) -> None:
    file = tmp_path / "x.png"
    Image.new("RGB", size).save(file)
    markdown = inline_picture(file, "x", SHEET_SIDE, enlarge=enlarge)
    assert inlined(markdown).size == shown


@pytest.mark.parametrize("line", ["picture: {", "picture: {}", "picture: [1]", "a picture: {}"])
def test_a_line_that_only_looks_like_a_picture_s_stays_a_line(line: str) -> None:
    assert parse_picture(line) is None


def test_a_path_with_spaces_is_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    from beauty_models import progress

    progress.picture(Path("a folder/x.jpg"), "epoch 1: «best»")
    line = capsys.readouterr().out.rstrip("\n")
    assert parse_picture(line) == (Path("a folder/x.jpg"), "epoch 1: «best»")
