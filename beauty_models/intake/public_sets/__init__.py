"""The field's public sets as they are delivered: recognized by their layout, whatever the folder.

Each module reads one: `find` says where in a delivery it lies, `read` what its photos show. No
set comes with this project, and none is downloaded.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypedDict

from beauty_models.intake import account, archives, delivery
from beauty_models.intake.images import SUFFIXES, Files
from beauty_models.intake.public_sets import (
    deepfashion,
    deepfashion2,
    imaterialist2018,
    imaterialist2019,
    inshop,
    makeup_transfer,
)
from beauty_models.intake.public_sets.garments import Reading, settle_parts
from beauty_models.intake.public_sets.photos import Photos

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
    PublicSet(
        makeup_transfer.NAME,
        makeup_transfer.LICENSE,
        ("makeup",),
        makeup_transfer.find,
        None,
    ),
)


def recognize(raw: Path) -> Found | None:
    """Return the public set in ``raw``, None where there is none.

    Raises:
        ValueError: there are several.
    """
    found = _all_in(raw)
    if len(found) > 1:
        places = []
        for one in found:
            place = one.annotations[0].relative_to(raw.resolve()).as_posix()
            places.append(f"{one.public_set.name} (in {place})")
        raise ValueError(
            f"{raw} holds {len(found)} public sets: {', '.join(places)}; their labels and parts "
            "are not the same, so give the folder of one"
        )
    return found[0] if found else None


def _all_in(raw: Path) -> list[Found]:
    if not raw.is_dir():
        return []
    # As `Files` has it: paths are told below the delivered folder.
    files = delivery.look(raw.resolve()).files
    found = []
    for public_set in SETS:
        annotations = public_set.find(files)
        if annotations:
            found.append(Found(public_set, annotations))
    return found


def greet(found: Found, family: str) -> None:
    """Say what was found and its terms; refuse it as `check_serves` does."""
    check_serves(found, family)
    account.guess("layout", found.public_set.name, sure="certain", evidence="its annotations")
    account.guess("terms", found.public_set.license, sure="likely", evidence="those of the set")


def check_serves(found: Found, family: str) -> None:
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
    greet(found, family)
    public_set = found.public_set
    assert public_set.read is not None
    reading = settle_parts(public_set.read(files, found.annotations), by_group)
    tell(found, reading.notes + _packed_pictures(reading, files.raw))
    for (things, reason, place), count in reading.aside.items():
        account.leave_aside(things, reason, place, count)
    # Most are those of a test part without labels: pretraining must not see them.
    unnamed = Photos(files).unnamed({garment.picture for garment in reading.garments})
    if unnamed:
        account.leave_aside("pictures", "no annotation names them", "", unnamed)
    return reading


def tell(found: Found, notes: Sequence[str]) -> None:
    """Put into the account what a person should know of the set ``found``."""
    for note in notes:
        account.guess("public set", note, sure="certain", evidence=found.public_set.name)


def _packed_pictures(reading: Reading, raw: Path) -> list[str]:
    """Return what to do where pictures are missing and archives lie there."""
    missing = sum(not garment.picture for garment in reading.garments)
    packed = [file for file in delivery.look(raw).files if file.suffix.lower() in ARCHIVES]
    if not missing or not packed:
        return []
    names = ", ".join(file.relative_to(raw).as_posix() for file in packed[:3])
    return [f"{missing:,} pictures are not there; are they still in {names}? Unpack them there"]


def license_of(raw: Path, packed: bool = False) -> Terms:
    """Return the terms of the public sets in ``raw``; empty ones where there is none.

    What params.yaml or a LICENSE.json says goes before them. With ``packed`` archives are looked
    into, which takes as long as reading them; their annotations are unpacked beside ``raw`` for a
    moment.
    """
    names = {found.public_set.license for found in _all_in(raw)}
    if packed and not names:
        names = _terms_in_archives(raw)
    if not names:
        return {"license": "", "commercial_use": None}
    return {"license": "; ".join(sorted(names)), "commercial_use": False}


def _terms_in_archives(raw: Path) -> set[str]:
    """Return the terms of the public sets that are packed in ``raw``."""
    packed = [file for file in delivery.look(raw).files if archives.is_archive(file)]
    if not packed:
        return set()
    with tempfile.TemporaryDirectory(dir=raw.parent, prefix=".terms-") as temporary:
        # All in one folder: photos and annotations may come in archives of their own.
        folder = Path(temporary).resolve()
        for number, file in enumerate(packed):
            try:
                archives.unpack(file, folder / str(number), _tells_a_set)
            except ValueError:
                continue  # ingest says what is wrong with it
        return {found.public_set.license for found in _all_in(folder)}


def _tells_a_set(name: str) -> bool:
    """Return whether a set may be known by the content of the file ``name``, not by its name."""
    path = PurePosixPath(name)
    is_mask = path.parent.parent.name in makeup_transfer.MASKS
    return is_mask or path.suffix.lower() not in SUFFIXES
