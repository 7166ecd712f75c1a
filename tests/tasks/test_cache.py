"""Objects of DVC's cache and files of the workspace that a disk damaged, unseen by DVC.

They are told, deleted and made anew.
"""

from __future__ import annotations

import os
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from mini import dvc, runs, set_param

from tasks import evaluate
from tasks.pipeline import cache
from tasks.pipeline.graph import graph
from tasks.pipeline.staleness import stale_reasons
from tasks.pipeline.update import sync_remote, update_stage

FAMILIES = ["lips", "nails"]
OBJECTS = Path(".dvc/cache/files/md5")


def bring(name: str, lines: list[str], pull: bool = False) -> str:
    return update_stage(graph(FAMILIES)[name], 600, lines.append, pull=pull).state


def locked(name: str) -> str:
    """Return the hash of the first output of a stage in dvc.lock."""
    content = yaml.safe_load(Path("dvc.lock").read_text())
    return str(content["stages"][name]["outs"][0]["md5"])


def object_of(oid: str) -> Path:
    return OBJECTS / oid[:2] / oid[2:]


def file_object(name: str) -> Path:
    """Return the cache object of the file x in a stage's output."""
    (entry,) = yaml.safe_load(object_of(locked(name)).read_text())
    return object_of(entry["md5"])


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def hurt(file: Path, how: Callable[[Path], None]) -> None:
    """Damage ``file`` as a disk does: its mode and, in nanoseconds, its time stay."""
    before = file.stat()
    file.chmod(0o644)
    how(file)
    file.chmod(stat.S_IMODE(before.st_mode))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("how", [truncate, flip, empty])
@pytest.mark.parametrize("what", [file_object, lambda name: object_of(locked(name))])
@pytest.mark.parametrize("way", ["lock", "run cache"])
def test_a_damaged_object_is_not_restored(
    project: Path,
    what: Callable[[str], Path],
    how: Callable[[Path], None],
    way: str,
) -> None:
    bring("ingest@lips", [])
    file = what("ingest@lips")
    assert stat.S_IMODE(file.stat().st_mode) == 0o444, "DVC trusts it"
    if way == "lock":
        shutil.rmtree("build/lips")
    else:
        set_param("lips", "ingest", n=2)
        bring("ingest@lips", [])
        set_param("lips", "ingest", n=1)
    hurt(file, how)
    lines: list[str] = []
    before = len(runs())
    assert bring("ingest@lips", lines) == "Completed"
    assert len(runs()) == before + 1
    assert Path("build/lips/data/x").read_text() == "lipsa"
    assert [line for line in lines if line.startswith("cache: ")] == [
        f"cache: {file.resolve()} is damaged (its content is not what its hash says); deleted"
    ]
    assert dvc("status", "ingest@lips").strip() == "Data and pipelines are up to date."
    shutil.rmtree("build/lips")
    assert bring("ingest@lips", []) == "Restored", "the cache is whole again"
    assert Path("build/lips/data/x").read_text() == "lipsa"


@pytest.mark.parametrize("left", ["cut off", "being written", "nothing"])
def test_a_run_that_a_full_disk_did_not_let_be_noted_is_run_again(project: Path, left: str) -> None:
    bring("ingest@lips", [])
    (entry,) = Path(".dvc/cache/runs").glob("*/*/*")
    # what DVC had begun to write when the disk was full, under either of its names
    half = entry.read_text()[: entry.stat().st_size // 2]
    entry.unlink()
    if left == "cut off":
        entry.write_text(half)
    if left == "being written":
        entry.with_name(".b7aTbMHh2GkvE6UsPGx9zw.tmp").write_text(half)
    Path("dvc.lock").unlink()
    shutil.rmtree("build/lips")
    assert bring("ingest@lips", []) == "Completed"
    assert len(runs()) == 2
    shutil.rmtree("build/lips")
    assert bring("ingest@lips", []) == "Restored"


def test_a_damaged_metrics_file_is_not_restored(project: Path) -> None:
    for name in ("ingest@lips", "pretrain@lips"):
        bring(name, [])
    content = yaml.safe_load(Path("dvc.lock").read_text())["stages"]["pretrain@lips"]
    oid = next(o["md5"] for o in content["outs"] if o["path"].startswith("metrics/"))
    hurt(object_of(oid), flip)
    Path("metrics/lips/pretrain.json").unlink()
    lines: list[str] = []
    assert bring("pretrain@lips", lines) == "Completed"
    assert sum("is damaged" in line for line in lines) == 1


@pytest.mark.parametrize("how", [truncate, flip])
def test_an_input_that_was_restored_damaged_is_made_anew_before_it_is_used(
    project: Path, how: Callable[[Path], None]
) -> None:
    bring("ingest@lips", [])
    hurt(file_object("ingest@lips"), how)
    shutil.rmtree("build/lips")
    dvc("checkout", "ingest@lips")  # DVC by itself restores it as good
    assert Path("build/lips/data/x").read_text() != "lipsa"
    assert stale_reasons(["ingest@lips"]) == {"ingest@lips": []}
    lines: list[str] = []
    assert bring("pretrain@lips", lines) == "Completed"
    assert Path("build/lips/pretrained/x").read_text() == "lipsaa"
    assert runs() == ["ingest@lips", "ingest@lips", "pretrain@lips"]
    assert any(line.startswith("build/lips/data is damaged") for line in lines)
    assert dvc("status").count("lips") == 0


def test_an_input_damaged_in_the_workspace_is_restored_from_the_whole_cache(project: Path) -> None:
    bring("ingest@lips", [])
    assert stale_reasons(["ingest@lips"]) == {"ingest@lips": []}  # DVC has looked at its time
    hurt(Path("build/lips/data/x"), flip)
    lines: list[str] = []
    assert bring("pretrain@lips", lines) == "Completed"
    assert Path("build/lips/pretrained/x").read_text() == "lipsaa"
    assert runs() == ["ingest@lips", "pretrain@lips"]
    assert not any(line.startswith("cache: ") for line in lines)


def test_delivered_data_that_were_damaged_stop_the_stage_and_stay(project: Path) -> None:
    stale_reasons(["ingest@lips"])
    hurt(Path("data/raw/lips/x"), flip)
    damaged = Path("data/raw/lips/x").read_bytes()
    for _ in range(2):  # a retry does not take them either
        with pytest.raises(ValueError, match="data/raw/lips changed on the disk.*dvc checkout"):
            bring("ingest@lips", [])
    assert Path("data/raw/lips/x").read_bytes() == damaged
    dvc("checkout", "--force", "data/raw/lips.dvc")
    assert runs() == []


def test_data_that_changed_honestly_are_taken(project: Path) -> None:
    bring("ingest@lips", [])
    Path("data/raw/lips/x").write_text("other")
    assert bring("ingest@lips", []) == "Completed"
    assert Path("build/lips/data/x").read_text() == "othera"


@pytest.mark.parametrize("how", [truncate, flip])
def test_a_copy_that_was_damaged_in_the_remote_is_made_here(
    project: Path, tmp_path: Path, how: Callable[[Path], None]
) -> None:
    dvc("remote", "add", "-q", "-d", "store", str(tmp_path / "remote"))
    bring("ingest@lips", [])
    dvc("push", "-q", "--run-cache")
    file = tmp_path / "remote" / file_object("ingest@lips").relative_to(".dvc/cache")
    hurt(file, how)
    for gone in (".dvc/cache", ".dvc/tmp", "build"):
        shutil.rmtree(gone)
    Path("dvc.lock").unlink()
    dvc("fetch", "-q", "--run-cache", "data/raw/lips.dvc")
    shutil.rmtree(".dvc/cache/files", ignore_errors=True)
    lines: list[str] = []
    assert bring("ingest@lips", lines, pull=True) == "Completed"
    assert Path("build/lips/data/x").read_text() == "lipsa"
    assert any("is damaged" in line for line in lines)
    assert runs() == ["ingest@lips"] * 2


def test_same_folder_reads_every_file(project: Path) -> None:
    bring("ingest@lips", [])
    oid = locked("ingest@lips")
    assert cache.folder_has_hash(Path("build/lips/data"), oid)
    hurt(Path("build/lips/data/x"), flip)
    assert not cache.folder_has_hash(Path("build/lips/data"), oid)


@pytest.fixture
def shared(project: Path, tmp_path: Path) -> Path:
    """A project whose results lie in a DVC remote; return the remote's object of lips' ingest."""
    dvc("remote", "add", "-q", "-d", "store", str(tmp_path / "remote"))
    bring("ingest@lips", [])
    dvc("push", "-q", "--run-cache")
    return tmp_path / "remote" / file_object("ingest@lips").relative_to(".dvc/cache")


@pytest.mark.parametrize("where", ["cache", "remote"])
def test_a_pull_leaves_nothing_damaged_in_the_workspace(shared: Path, where: str) -> None:
    if where == "remote":
        hurt(shared, flip)
        shutil.rmtree(".dvc/cache")
    else:
        hurt(file_object("ingest@lips"), flip)
    shutil.rmtree("build")
    shutil.rmtree("data/raw/nails")
    lines: list[str] = []
    sync_remote("pull", lines.append, threading.Event())
    assert any("is damaged" in line for line in lines)
    assert Path("build/lips/data/x").exists() == (where == "cache"), "the remote's copy was whole"
    if where == "cache":
        assert Path("build/lips/data/x").read_text() == "lipsa"
    assert Path("data/raw/nails/x").read_text() == "nails"


@pytest.mark.parametrize("where", ["cache", "cache, no remote", "remote"])
def test_evaluate_restores_training_data_whole_or_not_at_all(
    shared: Path, tmp_path: Path, where: str
) -> None:
    oid = locked("ingest@lips")
    if where == "remote":
        hurt(shared, truncate)
        shutil.rmtree(".dvc/cache/files")
    else:
        hurt(file_object("ingest@lips"), truncate)
    if where == "cache, no remote":
        dvc("remote", "remove", "store")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    lines: list[str] = []
    if where == "cache":
        evaluate._restore(oid, scratch / "data", lines.append)
        assert (scratch / "data/x").read_text() == "lipsa"
    else:
        with pytest.raises((ValueError, RuntimeError)):
            evaluate._restore(oid, scratch / "data", lines.append)
        assert not (scratch / "data").exists()
    assert any("is damaged" in line for line in lines)
