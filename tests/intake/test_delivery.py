"""Which files of a delivered folder count: no litter, no way out of it, nothing lost unheard."""

from __future__ import annotations

from pathlib import Path

import pytest

from beauty_models.intake import delivery, tables
from beauty_models.intake.images import Files


def made(root: Path, *paths: str) -> None:
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")


def names(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in delivery.look(root).files]


def test_what_systems_leave_beside_the_files_is_no_delivery(tmp_path: Path) -> None:
    made(
        tmp_path,
        "Dresses/a.jpg",
        "Dresses/@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg",
        "__MACOSX/Dresses/._a.jpg",
        "Dresses/Thumbs.db",
        "Dresses/desktop.ini",
        ".AppleDouble/a.jpg",
        "#recycle/b.jpg",
        "$RECYCLE.BIN/c.jpg",
    )
    assert names(tmp_path) == ["Dresses/a.jpg"]


def test_links_are_followed_inside_and_told_where_they_lead_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "raw"
    made(raw, "2025/coats/a.jpg", "2025/reviews.csv")
    made(tmp_path, "elsewhere/b.jpg", "elsewhere/secret.csv")
    (raw / "Coats").symlink_to(raw / "2025/coats")
    (raw / "Hats").symlink_to(tmp_path / "elsewhere")
    (raw / "all.csv").symlink_to(tmp_path / "elsewhere/secret.csv")
    (raw / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    (raw / "2025/circle").symlink_to(raw)
    assert names(raw) == ["2025/coats/a.jpg", "2025/reviews.csv", "Coats/a.jpg"]
    assert [path.name for path in tables.delivered_files(raw)] == ["a.jpg", "reviews.csv", "a.jpg"]
    told = capsys.readouterr().out
    for link in ("Hats", "all.csv", "gone.jpg", "circle"):
        assert f"{link}: left aside, a link out of the delivery" in told


def test_names_are_found_as_shops_write_them(tmp_path: Path) -> None:
    # A Mac takes é apart, and an address encodes spaces and letters.
    made(tmp_path, "img/photo 0.jpg", "img/robe\N{COMBINING ACUTE ACCENT}.jpg", "img/50%25.jpg")
    files = Files(tmp_path)
    for reference, name in {
        "https://shop.example/img/photo%200.jpg?v=2": "photo 0.jpg",
        "rob\N{LATIN SMALL LETTER E WITH ACUTE}.jpg": "robe\N{COMBINING ACUTE ACCENT}.jpg",
        "https://shop.example/img/rob%C3%A9.jpg": "robe\N{COMBINING ACUTE ACCENT}.jpg",
        "img/50%25.jpg": "50%25.jpg",
    }.items():
        found = files.find(reference)
        assert found is not None and found.name == name, reference
    assert files.find("%2e%2e/%2e%2e/etc/passwd") is None
