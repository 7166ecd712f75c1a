"""Who is who: photos of one person, and photos that are given twice."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from beauty_models.intake import images, tables
from beauty_models.intake.rejected import Rejected
from beauty_models.makeup.listing import Photo
from beauty_models.params import Pictures

# Columns path and person: a file, a folder, or a pattern such as anna_*. With a column group, the
# people of a group stay in one part.
PEOPLE = "people.csv"

# Photos of one person that nobody named: crops of one photo, or copies of it. Faces of different
# people, aligned, differ in more of the 64 bits.
REPEATED = Pictures(
    max_pixels=1,
    min_side=1,
    side=1,
    duplicate_hash_distance=6,
    duplicate_color_distance=12.0,
)


class Grouping(NamedTuple):
    """How photos came by their persons."""

    told: str  # how people were told apart
    rejected: list[Rejected]  # rows of the table that name no photo


def reject_repeats(photos: Sequence[Photo]) -> None:
    """Reject all but the first of equal faces, and all where folders contradict each other."""
    by_key: dict[str, list[Photo]] = {}
    for photo in photos:
        if photo.face is not None:
            by_key.setdefault(photo.face.key, []).append(photo)
    for same in by_key.values():
        labels = {photo.made_up for photo in same if photo.made_up is not None}
        if len(labels) > 1:
            for photo in same:
                photo.reason = "the same photo lies in a folder for made-up and one for bare faces"
            continue
        # One that is labelled says more than one that is not.
        same.sort(key=lambda photo: photo.made_up is None)
        for photo in same[1:]:
            photo.reason = f"the same photo as {same[0].place}"


def name_people(raw: Path, photos: Sequence[Photo]) -> Grouping:
    """Give each photo that is kept its person: by the table, else by what it is a copy of.

    Raises:
        ValueError: the table lacks a column.
    """
    _name_by_copies([photo for photo in photos if not photo.reason])
    table = raw / PEOPLE
    if not table.exists():
        told = f"people are told apart by copies of a photo only: no {PEOPLE} says who is who"
        return Grouping(told, [])
    told = f"people are told apart by {PEOPLE}, others by copies of a photo"
    return Grouping(told, _name_by_table(table, photos))


def _name_by_copies(kept: Sequence[Photo]) -> None:
    """Give photos that look alike one person, and all others a person of their own."""
    hashes = [photo.face.hash for photo in kept if photo.face is not None]
    originals = images.near_duplicates(hashes, REPEATED)
    for photo, original in zip(kept, originals, strict=True):
        assert photo.face is not None
        if original >= 0:
            photo.person = kept[original].person
        else:
            photo.person = photo.face.digest


def _name_by_table(table: Path, photos: Sequence[Photo]) -> list[Rejected]:
    """Give photos the persons of ``table``; return its rows that name no photo."""
    rows = tables.read(table).rows
    missing = {"path", "person"} - set(rows.columns)
    if missing:
        raise ValueError(f"{table}: no column {' and '.join(sorted(missing))}")
    rejected = []
    groups = rows["group"] if "group" in rows.columns else [""] * len(rows)
    cells = zip(rows.index, rows["path"], rows["person"], groups, strict=True)
    for line, path, person, group in cells:
        named = [photo for photo in photos if _is_at(photo.place, path)]
        for photo in named:
            photo.person = person
            photo.group = group
        if not named:
            rejected.append(Rejected(PEOPLE, int(line), "path names no photo", path))
    return rejected


def _is_at(place: str, pattern: str) -> bool:
    """Return whether ``pattern`` is a photo's path or a folder above it, or fits path or stem."""
    place = place.casefold()
    # Tables come from Windows, too.
    pattern = pattern.strip().replace("\\", "/").strip("/").casefold()
    if place == pattern or place.startswith(f"{pattern}/"):
        return True
    stem = PurePosixPath(place).stem
    return fnmatch(place, pattern) or fnmatch(stem, pattern)
