"""Raw data comes in whole, read-only and versioned, or not at all."""

from __future__ import annotations

import json
import os
import re
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.pipeline import child, repro
from tasks.sources import fetch

RAW = Path("data/raw/sentiment")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty DVC project the current folder, and reviews.csv lie beside it."""
    root = tmp_path / "project"
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (tmp_path / "reviews.csv").write_text("text,label\ngood,1\nbad,0\n")
    monkeypatch.chdir(root)
    return root


def source(value: str, license: str = "") -> None:
    Path("params.yaml").write_text(
        yaml.safe_dump({"families": {"sentiment": {"source": value, "license": license}}})
    )


def dvc_hash() -> str:
    return str(yaml.safe_load(RAW.with_name("sentiment.dvc").read_text())["outs"][0]["md5"])


def manifest() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RAW / "manifest.json").read_text())
    return content


def test_file_comes_in_read_only_and_versioned(project: Path) -> None:
    source("../reviews.csv", "CC0")
    assert fetch.fetch("sentiment") is True
    assert (RAW / "reviews.csv").read_text() == (project.parent / "reviews.csv").read_text()
    assert {stat.S_IMODE(file.stat().st_mode) for file in RAW.iterdir()} == {0o444}
    assert manifest()["license"] == "CC0" and [entry["bytes"] for entry in manifest()["files"]] == [
        24
    ]
    before = dvc_hash()
    start = time.monotonic()
    assert fetch.fetch("sentiment") is False
    assert time.monotonic() - start < 0.3, "asking again must not start a process"
    (project.parent / "reviews.csv").write_text("text,label\ngood,0\nbad,1\n")  # of the same size
    assert fetch.fetch("sentiment") is True
    assert dvc_hash() != before


def test_same_delivery_has_the_same_hash(project: Path) -> None:
    source("../reviews.csv")
    fetch.fetch("sentiment")
    first = dvc_hash()
    os.utime("../reviews.csv", (1, 1))
    assert fetch.fetch("sentiment") is False
    (RAW / "reviews.csv").unlink()  # a damaged snapshot is made again
    assert fetch.fetch("sentiment") is True
    assert dvc_hash() == first


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("../revews.csv", r"no such file or folder; did you mean .*reviews\.csv"),
        ("../nowhere/x.csv", "no such file or folder"),
        ("../empty.csv", "the file is empty"),
        ("../folder", "no file is there"),
        ("../*.parquet", "no file is there"),
        ("ftp://host/x", "give starter, a file"),
        ("", "give starter, a file"),
    ],
)
def test_a_source_that_gives_nothing_is_explained_and_the_snapshot_stays(
    project: Path, value: str, message: str
) -> None:
    (project.parent / "folder").mkdir()
    (project.parent / "empty.csv").touch()
    RAW.mkdir(parents=True)
    (RAW / "old.csv").write_text("old")
    source(value)
    with pytest.raises(ValueError, match=message):
        fetch.fetch("sentiment")
    assert (RAW / "old.csv").read_text() == "old"
    assert not list(RAW.parent.glob(".*.tmp"))


def test_a_fetch_that_fails_in_the_middle_leaves_the_snapshot(project: Path) -> None:
    source("../reviews.csv")
    fetch.fetch("sentiment")
    first = dvc_hash()
    source("../pair")
    (project.parent / "pair").mkdir()
    (project.parent / "pair/a.csv").write_text("text\nnew\n")
    (project.parent / "pair/LICENSE.json").write_text("[]")
    with pytest.raises(ValueError, match="LICENSE.json"):
        fetch.fetch("sentiment")
    assert [entry["path"] for entry in manifest()["files"]] == [
        "reviews.csv"
    ] and dvc_hash() == first


def test_an_interrupted_dvc_add_is_made_up_for(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    source("../reviews.csv")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(repro, "add", killed)
        fetch.fetch("sentiment")
    assert (RAW / "reviews.csv").exists() and not RAW.with_name("sentiment.dvc").exists()
    assert fetch.fetch("sentiment") is True
    assert dvc_hash()
    assert fetch.fetch("sentiment") is False


def take(value: str, folder: Path, lines: list[str] | None = None) -> list[str]:
    folder.mkdir()
    made = fetch.take_snapshot(
        "sentiment",
        value,
        "",
        folder,
        folder.with_name("downloads"),
        (lines if lines is not None else []).append,
    )
    return [entry["path"] for entry in made["files"]]


def test_globs_and_folders_keep_paths_and_leave_out_what_is_hidden_or_empty(tmp_path: Path) -> None:
    for name, content in {
        "a/x.csv": "1",
        "a/b/y.csv": "2",
        "a/.z.csv": "3",
        ".git/w.csv": "4",
        "_SUCCESS": "",
        "manifest.json": "{}",
    }.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text(content)
    assert take(str(tmp_path / "in"), tmp_path / "1") == ["a/b/y.csv", "a/x.csv"]
    assert take(str(tmp_path / "in/*/*.csv"), tmp_path / "2") == ["a/x.csv"]
    assert take(str(tmp_path / "in/**/*.csv"), tmp_path / "3") == ["a/b/y.csv", "a/x.csv"]
    assert (tmp_path / "in/a/x.csv").stat().st_mode & 0o200, "the source stays as it was"


def test_what_ingest_would_not_see_is_not_fetched(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for name in ("a/x.jpg", "a/@eaDir/x.jpg/thumb.jpg", "__MACOSX/a/._x.jpg", "Thumbs.db"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("1")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/y.jpg").write_text("1")
    (folder / "inside").symlink_to(folder / "a")
    (folder / "outside").symlink_to(tmp_path / "elsewhere")
    told: list[str] = []
    assert take(str(folder), tmp_path / "1", told) == ["a/x.jpg", "inside/x.jpg"]
    assert not (tmp_path / "1/inside").is_symlink()
    assert any(f"{folder / 'outside'} is a link out of the delivery" in line for line in told)


def test_files_beside_a_lone_one_are_pointed_out(tmp_path: Path) -> None:
    for name in ("r.csv", "r_aspects.csv", "rest.csv"):
        (tmp_path / name).write_text("x")
    lines: list[str] = []
    assert take(str(tmp_path / "r.csv"), tmp_path / "1", lines) == ["r.csv"]
    assert any(
        "r_aspects.csv" in line and "r*.csv" in line and "rest.csv" not in line for line in lines
    )


def test_a_file_that_grows_while_it_is_copied_is_noticed(tmp_path: Path) -> None:
    file, stop = tmp_path / "growing.csv", threading.Event()
    file.write_bytes(b"x" * 20_000_000)

    def grow() -> None:
        with file.open("ab", buffering=0) as target:
            while not stop.wait(0.0005):
                target.write(b"y")

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        with pytest.raises(ValueError, match="changed while it was copied"):
            take(str(file), tmp_path / "1")
    finally:
        stop.set()
        writer.join()


def test_the_toy_set_is_made_once_until_its_code_changes(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    source("toy")
    assert fetch.fetch("sentiment") is True
    first = dvc_hash()
    assert (
        manifest()["kind"] == "toy"
        and manifest()["license"]
        and manifest()["commercial_use"] is True
    )
    with monkeypatch.context() as patch:
        patch.setattr(
            child, "run", lambda *a, **k: pytest.fail("a process was started for nothing")
        )
        assert fetch.fetch("sentiment") is False
    file = RAW / "manifest.json"
    file.chmod(0o644)
    file.write_text(
        re.sub(
            '"starter_sha256": "[0-9a-f]+"', '"starter_sha256": "of older code"', file.read_text()
        )
    )
    assert fetch.fetch("sentiment") is True
    assert dvc_hash() == first


def test_a_clone_keeps_the_snapshot_of_a_source_it_does_not_have(project: Path) -> None:
    source("../reviews.csv")
    fetch.fetch("sentiment")
    Path("../reviews.csv").unlink()
    with pytest.raises(ValueError, match="no such file"):
        fetch.fetch("sentiment")
    (project / ".beauty/fetched/sentiment.json").unlink()  # as on another machine
    lines: list[str] = []
    assert fetch.fetch("sentiment", lines.append) is False
    assert "not on this machine" in lines[0]


def test_two_at_once_fetch_once(project: Path) -> None:
    source("../reviews.csv")
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda: results.append(fetch.fetch("sentiment"))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False, False, True]
