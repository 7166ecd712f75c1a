"""Archives in a delivery: read as a folder would be, and nothing gets out of them or too large."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from beauty_models import params
from beauty_models.intake import archives
from beauty_models.sentiment.data import ingest

ROOT = Path(__file__).parents[2]
FILES = {"2024/a.csv": b"text,label\nlovely,1\n", "2024/b.csv": b"text,label\nawful,0\n"}


def zipped(file: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def tarred(file: Path, files: dict[str, bytes], mode: str) -> None:
    with tarfile.open(file, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def paths(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def read(raw: Path, tmp_path: Path) -> list[str]:
    """Return the files that a stage sees of ``raw``."""
    with archives.as_folders(raw, tmp_path / "data") as folder:
        return paths(folder)


@pytest.mark.parametrize("name", ["reviews.csv", "x.zip"])
def test_a_file_alone_is_a_delivery(tmp_path: Path, name: str) -> None:
    if name.endswith(".zip"):
        zipped(tmp_path / name, FILES)
    else:
        (tmp_path / name).write_bytes(b"text,label\nfine,1\n")
    (tmp_path / "other.csv").write_bytes(b"x")  # beside it, and not delivered
    wanted = ["x/2024/a.csv", "x/2024/b.csv"] if name.endswith(".zip") else [name]
    assert read(tmp_path / name, tmp_path) == wanted
    assert not (tmp_path / ".data.unpacked").exists() and (tmp_path / name).exists()


@pytest.mark.parametrize("alone", [False, True])
def test_a_message_names_what_was_delivered(tmp_path: Path, alone: bool) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    zipped(raw / "x.zip", FILES)
    delivered = raw / "x.zip" if alone else raw
    unpacked = archives.as_folders(delivered, tmp_path / "data")
    with pytest.raises(ValueError) as error, unpacked as folder:
        raise ValueError(f"{folder}/x/2024/a.csv: odd; nothing in {folder}")
    assert str(error.value) == f"{raw}/x/2024/a.csv: odd; nothing in {delivered}"


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file or folder"):
        read(tmp_path / "reviews.csv", tmp_path)


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tgz", "x.tar.bz2", "x.tar.xz"])
def test_an_archive_is_read_as_a_folder(tmp_path: Path, name: str) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "c.csv").write_bytes(b"text,label\nfine,1\n")
    files = FILES | {"__MACOSX/2024/._a.csv": b"x", "2024/.DS_Store": b"x", "2024/Thumbs.db": b"x"}
    if name.endswith(".zip"):
        zipped(raw / name, files)
    else:
        kinds = {"gz": "gz", "tgz": "gz", "bz2": "bz2", "xz": "xz"}
        tarred(raw / name, files, f"w:{kinds.get(name.rpartition('.')[2], '')}")
    assert read(raw, tmp_path) == ["c.csv", "x/2024/a.csv", "x/2024/b.csv"]
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
    assert paths(raw) == ["c.csv", name]


def test_ingest_reads_the_tables_of_an_archive_and_of_a_folder_alike(tmp_path: Path) -> None:
    lines = [f"{'awful' if i % 2 else 'lovely'} number {i} of many,{1 - i % 2}" for i in range(80)]
    files = {}
    for part in range(2):
        table = "\n".join(["text,label", *lines[part::2]])
        files[f"reviews/{part}.csv"] = table.encode()
    settings = params.load("sentiment", ROOT / "params.yaml").ingest
    rows = {}
    for name in ("folder", "archive"):
        raw = tmp_path / name
        raw.mkdir()
        if name == "archive":
            zipped(raw / "reviews.zip", {path.partition("/")[2]: files[path] for path in files})
        else:
            for path, content in files.items():
                (raw / path).parent.mkdir(exist_ok=True)
                (raw / path).write_bytes(content)
        ingest(raw=raw, data=tmp_path / "data" / name, params=settings)
        rows[name] = pd.read_parquet(tmp_path / "data" / name / "train.parquet")
    pd.testing.assert_frame_equal(rows["folder"], rows["archive"])
    assert [path.name for path in (tmp_path / "data").iterdir()] in (
        ["folder", "archive"],
        ["archive", "folder"],
    )


@pytest.mark.parametrize("name", ["../out.csv", "/etc/out.csv", "a/../../out.csv", "C:\\out.csv"])
def test_nothing_is_written_outside(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "raw.zip"
    zipped(file, FILES | {name: b"text\nx\n"})
    folder = tmp_path / "deep" / "er" / "out"
    assert archives.unpack(file, folder) == list(FILES)
    assert not list(tmp_path.rglob("out.csv"))
    assert "names that lead out" in capsys.readouterr().out


def test_links_and_archives_within_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "raw.tar"
    with tarfile.open(file, "w") as archive:
        link = tarfile.TarInfo("secret.csv")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        # Through a link of a folder's name a later file would be written elsewhere.
        folder_link = tarfile.TarInfo("2024")
        folder_link.type, folder_link.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(folder_link)
        for name, content in (FILES | {"more.zip": b"x"}).items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    assert archives.unpack(file, tmp_path / "out") == list(FILES)
    assert not (tmp_path / "a.csv").exists() and not (tmp_path / "out/secret.csv").exists()
    told = capsys.readouterr().out
    assert "2 files of archives left aside, links and devices, such as 'secret.csv'" in told
    assert "archives within, such as 'more.zip'" in told


def test_there_is_a_limit_on_what_comes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "LARGEST", 1_000_000)
    zipped(tmp_path / "bomb.zip", {"a.csv": bytes(900_000), "b.csv": bytes(900_000)})
    with pytest.raises(ValueError, match="unpacks to more than 1,000,000 bytes"):
        archives.unpack(tmp_path / "bomb.zip", tmp_path / "out")
    # A tar says nothing of itself before it is read.
    tarred(tmp_path / "bomb.tgz", {"a.csv": bytes(900_000), "b.csv": bytes(900_000)}, "w:gz")
    with pytest.raises(ValueError, match="unpacks to more than"):
        archives.unpack(tmp_path / "bomb.tgz", tmp_path / "out")
    monkeypatch.setattr(archives, "MOST_FILES", 1)
    zipped(tmp_path / "many.zip", FILES)
    with pytest.raises(ValueError, match="more than 1 files"):
        archives.unpack(tmp_path / "many.zip", tmp_path / "out")


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz", "x.tar.zst"])
def test_a_download_that_was_cut_off_stops(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    if name.endswith("zip"):
        zipped(file, FILES | {"c.csv": bytes(range(256)) * 99})
    else:
        tarred(file, FILES | {"c.csv": bytes(range(256)) * 99}, "w:gz")
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"x\..*cannot be unpacked"):
        archives.unpack(file, tmp_path / "out")


def test_a_password_is_told(tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    zipped(file, FILES)
    content = bytearray(file.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = 0
        while (start := content.find(mark, start)) >= 0:
            content[start + place] |= 1
            start += 4
    file.write_bytes(content)
    with pytest.raises(ValueError, match="needs a password"):
        archives.unpack(file, tmp_path / "out")


def test_names_of_windows_are_decoded(tmp_path: Path) -> None:
    names = ["红色连衣裙.jpg", "蓝色牛仔裤.jpg", "白色衬衫正面照片.jpg"]
    for encoding in ("gbk", "utf-8", "cp437"):
        file = tmp_path / f"{encoding}.zip"
        wanted = ["robe_été.jpg", "jupe_brûlée.jpg"] if encoding == "cp437" else names
        # One letter a byte of the name, to be put in its place below.
        places = {f"{'x' * len(name.encode(encoding))}{i}": name for i, name in enumerate(wanted)}
        zipped(file, dict.fromkeys(places, b"x"))
        content = file.read_bytes()
        for place, name in places.items():
            written = name.encode(encoding) + place[-1:].encode()
            content = content.replace(place.encode(), written)
        file.write_bytes(content)
        expected = sorted(name + place[-1:] for place, name in places.items())
        assert sorted(archives.unpack(file, tmp_path / encoding)) == expected


def test_what_lies_unpacked_beside_it_is_not_read_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "raw"
    (raw / "x/2024").mkdir(parents=True)
    for name, content in FILES.items():
        (raw / "x" / name).write_bytes(content)
    zipped(raw / "x.zip", FILES)
    assert read(raw, tmp_path) == ["x/2024/a.csv", "x/2024/b.csv"]
    assert "lie unpacked beside" in capsys.readouterr().out
    (raw / "x/2024/b.csv").write_bytes(b"text,label\nother,0\n")
    assert "x.zip/2024/b.csv" in read(raw, tmp_path)
