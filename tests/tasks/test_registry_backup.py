"""The registry in one file and back.

It is restored into an empty checkout, over another registry, and never from a file that is not
whole.
"""

from __future__ import annotations

import json
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import registered
from command import beauty

from tasks.registry import connection, registry, runs
from tasks.registry.backup import backup, restore

TEXT = "lovely cream, smells nice"


def silent(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a checkout with a champion of sentiment, and its backup beside it."""
    folder = tmp_path_factory.mktemp("origin")
    with registered.checkout(folder):
        registered.project()
        registered.register_model("sentiment", registered.small_sentiment)
    done = beauty("registry", "backup", "saved.zip", folder=folder)
    assert "versions: 1 of sentiment" in done.stdout and "NOT" not in done.stdout
    return folder


@pytest.fixture
def empty(tmp_path: Path, origin: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty checkout at another place the current folder."""
    folder = tmp_path / "an empty (checkout)"
    folder.mkdir()
    (folder / "params.yaml").write_bytes((origin / "params.yaml").read_bytes())
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder


def test_the_champion_answers_the_same_in_an_empty_checkout(
    origin: Path, empty: Path, tmp_path: Path
) -> None:
    saved = origin / "saved.zip"
    question = ("predict", "sentiment", "--text", TEXT, "--json")
    assert saved.stat().st_mode & 0o077 == 0
    (empty / "copy.zip").write_bytes(saved.read_bytes())
    hidden = origin.rename(origin.with_name("gone"))  # so that nothing is read from there
    try:
        done = beauty("registry", "restore", "copy.zip", "--json")
        told = json.loads(done.stdout)
        assert told == {"versions": {"sentiment": 1}, "damaged": [], "aside": None}
        answered = beauty(*question)
    finally:
        hidden.rename(origin)
    expected = beauty(*question, folder=origin)
    assert json.loads(answered.stdout) == json.loads(expected.stdout)
    [version] = registry.versions("sentiment")
    assert version["aliases"] == ["champion"] and version["gate"]["passed"] is True
    registry.download_model(
        "sentiment", into=tmp_path / "served"
    )  # refuses files that are not the same
    assert not [path.name for path in Path(".beauty").iterdir() if path.name.startswith("re")]


def test_what_is_registered_after_a_restore_lies_in_the_new_checkout(
    origin: Path, empty: Path
) -> None:
    restore(origin / "saved.zip", False, silent)
    Path("artifacts").mkdir()
    Path("artifacts/card.md").write_text("card")
    client = connection.client()
    run = runs.log_run(client, "sentiment", {}, {"macro_f1": 0.5}, Path("artifacts"), {})
    assert registry.add_version(client, "sentiment", run, "a card") == 2
    assert client.get_run(run).info.artifact_uri.startswith(empty.as_uri())
    [stored] = Path(".beauty/mlartifacts/sentiment").glob(f"{run}/artifacts/card.md")
    assert stored.read_text() == "card"


def test_a_registry_with_versions_is_replaced_only_by_force_and_then_kept(
    origin: Path, empty: Path
) -> None:
    beauty("models")  # makes the database; nothing is in it
    assert restore(origin / "saved.zip", False, silent)["versions"] == {"sentiment": 1}
    refused = beauty("registry", "restore", str(origin / "saved.zip"), code=1)
    assert "--force moves it aside" in refused.stderr
    with closing(sqlite3.connect(".beauty/mlflow.db")) as database:
        database.execute("UPDATE model_versions SET description = 'of this checkout'")
        database.commit()
    told = restore(origin / "saved.zip", True, silent)
    for place, expected in ((Path(told["aside"]), True), (Path(".beauty"), False)):
        with closing(sqlite3.connect(place / "mlflow.db")) as database:
            [(description,)] = database.execute("SELECT description FROM model_versions")
        assert (description == "of this checkout") is expected
        assert list(place.glob("mlartifacts/sentiment/*/artifacts/model/head.safetensors"))


def test_an_unreadable_database_is_replaced_only_by_force(origin: Path, empty: Path) -> None:
    Path(".beauty").mkdir()
    Path(".beauty/mlflow.db").write_bytes(b"no database" * 1000)
    with pytest.raises(ValueError, match="cannot be read .*--force moves it aside"):
        restore(origin / "saved.zip", False, silent)
    assert restore(origin / "saved.zip", True, silent)["versions"] == {"sentiment": 1}


def test_what_a_killed_restore_left_is_in_nobodys_way(origin: Path, empty: Path) -> None:
    left = Path(".beauty/restoring/mlartifacts/sentiment")
    left.mkdir(parents=True)
    (left / "half").write_text("of a file")
    assert restore(origin / "saved.zip", False, silent)["versions"] == {"sentiment": 1}
    assert not Path(".beauty/restoring").exists() and not list(Path(".beauty").rglob("half"))


def test_a_moved_checkout_is_not_saved_but_its_backup_opens_there(
    origin: Path, empty: Path
) -> None:
    restore(origin / "saved.zip", False, silent)
    moved = empty.with_name("moved")
    empty.rename(moved)
    refused = beauty("registry", "backup", "moved.zip", folder=moved, code=1)
    assert f"which is not in {moved}" in refused.stderr
    done = beauty("registry", "restore", str(origin / "saved.zip"), "--force", folder=moved)
    assert "restored versions: 1 of sentiment" in done.stdout
    beauty("registry", "backup", "moved.zip", folder=moved)
    moved.rename(empty)


def test_damaged_versions_are_told(origin: Path, empty: Path) -> None:
    restore(origin / "saved.zip", False, silent)
    [weights] = Path(".beauty/mlartifacts").rglob("head.safetensors")
    weights.write_bytes(b"tampered")
    done = beauty("registry", "backup", "damaged.zip")
    assert "NOT as they were registered: sentiment 1" in done.stdout
    assert restore(empty / "damaged.zip", True, silent)["damaged"] == ["sentiment 1"]


def test_what_cannot_be_saved_is_said(
    origin: Path, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="there is no registry to save"):
        backup(empty / "a.zip", silent)
    restore(origin / "saved.zip", False, silent)
    (empty / "a.zip").write_text("mine")
    with pytest.raises(ValueError, match="is there already"):
        backup(empty / "a.zip", silent)
    assert (empty / "a.zip").read_text() == "mine"
    with closing(sqlite3.connect(".beauty/mlflow.db")) as database:
        database.execute("UPDATE runs SET artifact_uri = 's3://elsewhere/1'")
        database.commit()
    with pytest.raises(ValueError, match="s3://elsewhere/1, which is not in"):
        backup(empty / "b.zip", silent)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hush@127.0.0.1:9")
    for act in (lambda: backup(empty / "b.zip", silent), lambda: restore(origin, True, silent)):
        with pytest.raises(ValueError, match="own means") as refused:
            act()
        assert "hush" not in str(refused.value)
    assert not list(empty.glob("b.zip*"))


Members = dict[str, bytes]


def crafted(
    good: Path,
    bad: Path,
    change: Callable[[Members, dict[str, Any]], None],
    write: Callable[[zipfile.ZipFile, str, bytes], None] = lambda opened, name, content: (
        opened.writestr(name, content)
    ),
) -> None:
    """Write ``bad``, an archive like ``good`` after ``change`` of its members and its manifest."""
    with zipfile.ZipFile(good) as opened:
        members = {name: opened.read(name) for name in opened.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    change(members, manifest)
    with zipfile.ZipFile(bad, "w") as opened:
        for name, content in members.items():
            write(opened, name, content)
        opened.writestr("manifest.json", json.dumps(manifest))


def add(name: str) -> Callable[[Members, dict[str, Any]], None]:
    """Return the change that adds a member called ``name``, and says so in the manifest."""

    def change(members: Members, manifest: dict[str, Any]) -> None:
        content = members["mlflow.db"][:100]
        members[name] = content
        manifest["files"][name] = {"bytes": 100, "sha256": registered.sha256(content)}

    return change


def unlisted(members: Members, manifest: dict[str, Any]) -> None:
    members["mlartifacts/extra"] = b"extra"


def missing(members: Members, manifest: dict[str, Any]) -> None:
    members.pop(next(name for name in members if name.endswith("head.safetensors")))


def altered(members: Members, manifest: dict[str, Any]) -> None:
    name = next(name for name in members if name.endswith("head.safetensors"))
    members[name] = members[name][:-1] + b"!"


def newer(members: Members, manifest: dict[str, Any]) -> None:
    manifest["format"] = 2


def relative(members: Members, manifest: dict[str, Any]) -> None:
    manifest["project"] = "."


def statement(sql: str) -> Callable[[Members, dict[str, Any]], None]:
    """Return the change that runs ``sql`` on the archive's database."""

    def change(members: Members, manifest: dict[str, Any]) -> None:
        file = Path("crafted.db")
        file.write_bytes(members["mlflow.db"])
        with closing(sqlite3.connect(file)) as database:
            database.execute(sql)
            database.commit()
        content = file.read_bytes()
        members["mlflow.db"] = content
        manifest["files"]["mlflow.db"] = {
            "bytes": len(content),
            "sha256": registered.sha256(content),
        }

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (add("../escaped"), "leads out of the registry"),
        (add("/beauty-escaped"), "leads out of the registry"),
        (add("mlartifacts/../../escaped"), "leads out of the registry"),
        (add("mlartifacts/./x"), "leads out of the registry"),
        (add("mlartifacts/..\\..\\x"), "leads out of the registry"),
        (add("registered/sentiment.json"), "leads out of the registry"),
        (add("mlflow.db/x"), "not a plain file"),
        (add("mlartifacts/sentiment"), "not a plain file"),
        (unlisted, "not those of its manifest"),
        (missing, "not those of its manifest"),
        (altered, "not what the manifest says"),
        (newer, "its format is 2"),
        (relative, "not an absolute path"),
        (statement("UPDATE runs SET artifact_uri = 'file:///etc'"), "file:///etc, which is not in"),
        (
            statement("UPDATE experiments SET artifact_location = '/etc'"),
            "artifact_location names /etc",
        ),
        (
            statement("UPDATE runs SET artifact_uri = artifact_uri || '/../../../../../x'"),
            "runs.artifact_uri names",
        ),
        (
            statement("UPDATE runs SET artifact_uri = artifact_uri || '/%2e%2E%2F..%2F..%2fx'"),
            "runs.artifact_uri names",
        ),
        (statement("DROP TABLE runs"), "no database of MLflow"),
    ],
)
def test_hostile_archives_change_nothing(
    origin: Path,
    empty: Path,
    change: Callable[[Members, dict[str, Any]], None],
    reason: str,
) -> None:
    crafted(origin / "saved.zip", empty / "bad.zip", change)
    check_refused(empty, reason)


def link(opened: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Write weights as a symbolic link."""
    info = zipfile.ZipInfo(name)
    if name.endswith("head.safetensors"):
        info.external_attr = 0o120777 << 16
    opened.writestr(info, content)


def compressed(opened: zipfile.ZipFile, name: str, content: bytes) -> None:
    opened.writestr(name, content, zipfile.ZIP_DEFLATED)


def twice(opened: zipfile.ZipFile, name: str, content: bytes) -> None:
    opened.writestr(name, content)
    if name == "mlflow.db":
        with pytest.warns(UserWarning, match="Duplicate name"):
            opened.writestr(name, content)


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (link, "not a plain file"),
        (compressed, "is compressed"),
        (twice, "not those of its manifest"),
    ],
)
def test_members_are_plain_files_each_once(
    origin: Path, empty: Path, write: Callable[[zipfile.ZipFile, str, bytes], None], reason: str
) -> None:
    crafted(origin / "saved.zip", empty / "bad.zip", lambda members, manifest: None, write)
    check_refused(empty, reason)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_cut_off_archives_are_refused(origin: Path, empty: Path, share: float) -> None:
    whole = (origin / "saved.zip").read_bytes()
    (empty / "bad.zip").write_bytes(whole[: int(len(whole) * share)])
    check_refused(empty, "not a whole backup")


def test_a_bit_that_fell_over_is_found(origin: Path, empty: Path) -> None:
    whole = bytearray((origin / "saved.zip").read_bytes())
    whole[len(whole) // 3] ^= 1
    (empty / "bad.zip").write_bytes(whole)
    check_refused(empty, "not a whole backup|not what the manifest says")


def check_refused(empty: Path, reason: str) -> None:
    """Hold that bad.zip is refused because of ``reason``, and that nothing was written anywhere."""
    before = {path for path in empty.parent.rglob("*") if ".beauty" not in path.parts}
    with pytest.raises(ValueError, match=reason):
        restore(empty / "bad.zip", False, silent)
    after = {path for path in empty.parent.rglob("*") if ".beauty" not in path.parts}
    assert after == before and not Path("/beauty-escaped").exists()
    assert {path.name for path in Path(".beauty").iterdir()} == {"locks"}
