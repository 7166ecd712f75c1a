"""What lies in a raw folder of faces: photos, their masks, and what folders say of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from beauty_models.intake import public_sets
from beauty_models.intake.delivery import look
from beauty_models.intake.images import BadImageError, Files, PerceptualHash
from beauty_models.intake.public_sets import makeup_transfer
from beauty_models.intake.rejected import Rejected
from beauty_models.makeup import BARE_FOLDERS, MADE_UP_FOLDERS, Ingest, delivered, folder_word
from beauty_models.makeup.alignment import Alignment
from beauty_models.makeup.regions import Region

# They say only what lies in them, and may differ between a photo's path and its mask's.
NEUTRAL_FOLDERS = ("image", "images", "img", "imgs", "photo", "photos", "jpg", "png")

MASKS_LOOKED_AT = 200  # to find out what their numbers mean

MaskKey = tuple[str, ...]
"""What a photo and its mask have in common: folders, and the file's name without its suffix."""


class AlignedFace(NamedTuple):
    """What is kept of a photo."""

    key: str
    jpeg: bytes
    digest: str  # of the photo's file: unlike the crop it stays when this code changes
    regions: bytes  # label map as PNG
    skin_tone: float
    hash: PerceptualHash
    remarks: tuple[str, ...]  # what was decided: several faces, a scaled mask
    alignment: Alignment
    size: tuple[int, int]  # width and height of the photo


@dataclass
class Photo:
    """A photo on its way through `ingest`."""

    path: Path
    place: str  # below the raw folder
    mask: Path | None
    made_up: bool | None
    person: str = ""
    group: str = ""  # of people that stay in one part; "" is the person alone
    is_tested: bool = False  # a public set lists it in its own test part
    reason: str = ""  # why it is rejected
    face: AlignedFace | None = None


@dataclass
class MaskNumbers:
    """What the numbers of all masks mean, known before the first mask is used."""

    scheme: Mapping[int, Region] = field(default_factory=dict)
    fault: str = ""  # why no mask can be read


def list_photos(files: Files, results: Set[Path]) -> tuple[list[Photo], int]:
    """Return all photos with their masks, and how many masks have no photo.

    ``results`` show a bare face once more, so they are no faces of their own unless a folder says
    that they are made up.
    """
    masks: dict[MaskKey, Path] = {}
    paths: list[tuple[Path, PurePosixPath]] = []
    for path in files.all():
        place = PurePosixPath(path.relative_to(files.raw).as_posix())
        if any(_holds_masks(folder) for folder in place.parts[:-1]):
            masks[_mask_key(place)] = path
        else:
            paths.append((path, place))
    places = [place for _, place in paths]
    key_of = _mask_keys(places, masks)
    photos = []
    for path, place in paths:
        mask = masks.get(key_of[place])
        made_up = _says_made_up(place.parts[:-1])
        if path in results and made_up is None:
            continue
        photos.append(Photo(path, place.as_posix(), mask, made_up))
    unused = masks.keys() - set(key_of.values())
    return photos, len(unused)


def _says_made_up(folders: Sequence[str]) -> bool | None:
    """Return whether the deepest folder that says it says made-up; None where none does."""
    for folder in reversed(folders):
        if folder_word(folder) in BARE_FOLDERS:
            return False
        if folder_word(folder) in MADE_UP_FOLDERS:
            return True
    return None


def _holds_masks(folder: str) -> bool:
    name = folder_word(folder)
    return name in ("mask", "masks", "parsing") or name.startswith("seg")


def _mask_key(place: PurePosixPath) -> MaskKey:
    """Return what a photo and its mask share: their folders but those for kinds, and their name."""
    folders = []
    for folder in place.parts[:-1]:
        if not _holds_masks(folder) and folder_word(folder) not in NEUTRAL_FOLDERS:
            folders.append(folder_word(folder))
    return (*folders, place.stem.casefold())


def _mask_keys(
    places: Sequence[PurePosixPath], masks: Mapping[MaskKey, Path]
) -> dict[PurePosixPath, MaskKey]:
    """Return the key under which each photo's mask is, if it has one.

    A mask that lies in no folder like its photo's is known by its name, where only one has it.
    """
    photos_of_stem = Counter(place.stem.casefold() for place in places)
    masks_of_stem: dict[str, list[MaskKey]] = {}
    for key in masks:
        masks_of_stem.setdefault(key[-1], []).append(key)
    keys = {}
    for place in places:
        key = _mask_key(place)
        stem = key[-1]
        namesakes = masks_of_stem.get(stem, [])
        is_only_one = len(namesakes) == 1 and photos_of_stem[stem] == 1
        if key not in masks and is_only_one:
            key = namesakes[0]
        keys[place] = key
    return keys


def mark_tested(
    public_set: public_sets.Found, raw: Path, photos: Sequence[Photo]
) -> list[Rejected]:
    """Mark the photos of the set's own test part; return the lines of its lists that name none."""
    notes: list[str] = []
    listed = makeup_transfer.test_lists(raw, look(raw).files, notes)
    public_sets.tell(public_set, notes)
    by_name: dict[tuple[bool | None, str], list[Photo]] = {}
    for photo in photos:
        by_name.setdefault((photo.made_up, photo.path.name.casefold()), []).append(photo)
    rejected = []
    for entry in listed:
        named = by_name.get((entry.kind == "makeup", entry.name.casefold()), [])
        for photo in named:
            photo.is_tested = True
        if not named:
            reason = f"names no photo in a folder for {entry.kind}"
            rejected.append(Rejected(entry.file, entry.row, reason, entry.name))
    return rejected


def mask_numbers(
    files: Files, photos: Sequence[Photo], params: Ingest, likely: str = ""
) -> MaskNumbers:
    """Return what the numbers of the masks mean; one answer for all of them.

    Where they could be those of several schemes, they are those of the one that is ``likely``.

    Raises:
        ValueError: the masks have numbers that nobody explained.
    """
    if params.label_map != "auto":
        return MaskNumbers(delivered.named(params.label_map))
    with_mask = [photo for photo in photos if photo.mask is not None]
    if not with_mask:
        return MaskNumbers()
    # Spread over all, because folders may come from different places.
    step = max(1, len(with_mask) // MASKS_LOOKED_AT)
    readable = []
    for photo in with_mask[::step]:
        assert photo.mask is not None
        try:
            content = files.read(photo.mask)
            size = delivered.mask_size(content)
            if size is not None:
                readable.append(delivered.read_mask(content, size, params.photos.max_pixels))
        except BadImageError:
            continue  # told when its photo is read
    if not readable:
        return MaskNumbers(fault="none of the masks can be read")
    return MaskNumbers(delivered.recognized(readable, likely))
