"""The field's public sets as they are delivered: recognized by their layout, whatever the folder.

Each module reads one: `find` says where in a delivery it lies, `read` what its photos show. No
set comes with this project, and none is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

from beauty_models.intake import delivery
from beauty_models.intake.images import Files
from beauty_models.intake.public_sets import (
    deepfashion,
    deepfashion2,
    imaterialist2018,
    imaterialist2019,
    inshop,
)
from beauty_models.intake.public_sets.garments import Reading, settle_parts
from beauty_models.progress import log_line

ARCHIVES = (".zip", ".tar", ".gz", ".7z", ".rar")


class PublicSet(NamedTuple):
    """A set that can be read."""

    name: str
    license: str  # its terms in our words; none allows commercial use
    families: tuple[str, ...]  # that it serves, the likeliest first
    # files of a delivery → the folders, or the files, of its annotations
    find: Callable[[Sequence[Path]], list[Path]]
    read: Callable[[Files, Sequence[Path]], Reading] | None  # None: the family's ingest reads it


class Terms(TypedDict):
    """What may be done with a delivery."""

    license: str
    commercial_use: bool | None  # None: not known


class Found(NamedTuple):
    """A public set in a delivery."""

    public_set: PublicSet
    annotations: list[Path]


SETS = (
    PublicSet(
        deepfashion.NAME,
        deepfashion.LICENSE,
        ("tryon", "recommend"),
        deepfashion.find,
        deepfashion.read,
    ),
    PublicSet(
        inshop.NAME,
        inshop.LICENSE,
        ("recommend", "tryon"),
        inshop.find,
        inshop.read,
    ),
    PublicSet(
        deepfashion2.NAME,
        deepfashion2.LICENSE,
        ("tryon",),
        deepfashion2.find,
        deepfashion2.read,
    ),
    PublicSet(
        imaterialist2018.NAME,
        imaterialist2018.LICENSE,
        ("recommend", "tryon"),
        imaterialist2018.find,
        imaterialist2018.read,
    ),
    PublicSet(
        imaterialist2019.NAME,
        imaterialist2019.LICENSE,
        ("tryon",),
        imaterialist2019.find,
        imaterialist2019.read,
    ),
)


def recognize(raw: Path) -> Found | None:
    """Return the public set in ``raw``, None where there is none.

    Raises:
        ValueError: there are several.
    """
    if not raw.is_dir():
        return None
    # As `Files` has it: paths are told below the delivered folder.
    raw = raw.resolve()
    files = delivery.look(raw).files
    found = []
    for public_set in SETS:
        annotations = public_set.find(files)
        if annotations:
            found.append(Found(public_set, annotations))
    if len(found) > 1:
        places = []
        for one in found:
            place = one.annotations[0].relative_to(raw).as_posix()
            places.append(f"{one.public_set.name} (in {place})")
        raise ValueError(
            f"{raw} holds {len(found)} public sets: {', '.join(places)}; their labels and parts "
            "are not the same, so give the folder of one"
        )
    return found[0] if found else None


def serves(found: Found, family: str) -> None:
    """Refuse a set that says nothing ``family`` could learn.

    Raises:
        ValueError: it is of no use to the family; the message names those that it serves.
    """
    families = found.public_set.families
    if family not in families:
        raise ValueError(
            f"{found.annotations[0]}: {found.public_set.name}; it serves {' and '.join(families)}, "
            f"not {family}"
        )


def read(found: Found, files: Files, family: str, by_group: bool) -> Reading:
    """Return what ``found`` shows, with parts that ``family`` can use, and tell what is odd.

    Raises:
        ValueError: the set does not serve the family, or an annotation cannot be understood.
    """
    serves(found, family)
    public_set = found.public_set
    assert public_set.read is not None
    log_line(f"ingest: {public_set.name}; {public_set.license}")
    reading = settle_parts(public_set.read(files, found.annotations), by_group)
    archives = _packed_pictures(reading, files.raw)
    for note in reading.notes + archives:
        log_line(f"ingest: {public_set.name}: {note}")
    for reason, count in reading.aside.items():
        log_line(f"ingest: left aside: {count:,} {reason}")
    return reading


def _packed_pictures(reading: Reading, raw: Path) -> list[str]:
    """Return what to do where pictures are missing and archives lie there."""
    missing = sum(not garment.picture for garment in reading.garments)
    packed = [file for file in delivery.look(raw).files if file.suffix.lower() in ARCHIVES]
    if not missing or not packed:
        return []
    names = ", ".join(file.relative_to(raw).as_posix() for file in packed[:3])
    return [f"{missing:,} pictures are not there; are they still in {names}? Unpack them there"]


def license_of(raw: Path) -> Terms:
    """Return the terms of the public set in ``raw``; empty ones where there is none.

    What params.yaml or a LICENSE.json says goes before them.
    """
    found = recognize(raw)
    if found is None:
        return {"license": "", "commercial_use": None}
    return {"license": found.public_set.license, "commercial_use": False}
