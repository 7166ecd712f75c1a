"""DeepFashion, Category and Attribute Prediction (Liu et al. 2016): lists of photos, see `lists`.

``list_category_cloth.txt`` names the categories, which ``list_category_img.txt`` counts from 1.
``list_attr_img.txt`` has 1 for each attribute that a photo has, -1 for one that it has not and 0
where nobody knows, in the order of ``list_attr_cloth.txt``. Photos lie in a folder per search: its
name is what the garment is called.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from beauty_models.intake.crops import Box
from beauty_models.intake.images import Files
from beauty_models.intake.public_sets.garments import Garment, Reading
from beauty_models.intake.public_sets.lists import Entry, entries
from beauty_models.intake.public_sets.photos import Photos

NAME = "DeepFashion, category and attribute prediction"
LICENSE = "DeepFashion's terms (CUHK): non-commercial research and education only"

CATEGORIES = "list_category_cloth.txt"
LABELS = "list_category_img.txt"
ATTRIBUTES = "list_attr_cloth.txt"
ATTRIBUTE_LABELS = "list_attr_img.txt"
BOXES = "list_bbox.txt"
PARTITION = "list_eval_partition.txt"

# What list_attr_cloth.txt counts as the type of an attribute.
KINDS = {"1": "texture", "2": "fabric", "3": "shape", "4": "part", "5": "style"}
STATUSES = {"train": "train", "val": "validation", "test": "test"}


def find(files: Sequence[Path]) -> list[Path]:
    """Return the folders in which the annotations lie: Anno, or Anno_coarse and Anno_fine."""
    folders: dict[Path, set[str]] = defaultdict(set)
    for file in files:
        if file.name in (CATEGORIES, LABELS):
            folders[file.parent].add(file.name)
    return [folder for folder, names in folders.items() if len(names) == 2]


def read(files: Files, folders: Sequence[Path]) -> Reading:
    """Return the photos of ``folders``' largest list, each a garment.

    Raises:
        ValueError: categories or attributes are not numbered as DeepFashion numbers them.
    """
    folder, *others = sorted(folders, key=lambda f: ((f / LABELS).stat().st_size, f))[::-1]
    reading = Reading()
    for other in others:
        reading.notes.append(f"{other} is left aside: {folder.name} lists more photos")
    categories = [entry.text.rsplit(maxsplit=1)[0] for entry in _entries(folder, CATEGORIES)]
    boxes = read_boxes(folder / BOXES, reading.notes)
    parts = read_parts(files.raw, folder, STATUSES, reading.notes)
    attributes = _attributes(folder, reading.notes)
    photos = Photos(files)
    place = (folder / LABELS).relative_to(files.raw).as_posix()
    seen: set[str] = set()
    for entry in entries(folder / LABELS, reading.notes):
        name, label = _name_and_label(entry)
        title = PurePosixPath(name).parent.name
        garment = Garment(place, entry.row, name, name=title.replace("_", " "), group=title)
        garment.category, garment.reason = _category(label, categories)
        garment.attributes, fault = attributes.get(name, ({}, ""))
        garment.reason = garment.reason or fault
        if name in seen:
            garment.reason = "listed before"
        seen.add(name)
        place_photo(garment, name, photos, boxes, parts)
        reading.garments.append(garment)
    reading.split_by_photo = parts is not None
    if parts is not None:
        _note_torn_folders(reading)
    _refuse_zero(reading, folder)
    return reading


def _entries(folder: Path, name: str) -> list[Entry]:
    notes: list[str] = []
    listed = list(entries(folder / name, notes))
    # A list of names that is cut off would shift nothing, but numbers beyond it would mean nothing.
    if notes:
        raise ValueError(f"{folder}: {notes[0]}; was the download cut off?")
    return listed


def _name_and_label(entry: Entry) -> tuple[str, str]:
    name, _, label = entry.text.rpartition(" ")
    return name.strip(), label


def _category(label: str, categories: Sequence[str]) -> tuple[str, str]:
    """Return the name of the category with the number ``label``, from 1, and "", or a fault."""
    if label.isdecimal() and 1 <= int(label) <= len(categories):
        return categories[int(label) - 1], ""
    return "", f"category {label}: {CATEGORIES} numbers 1 to {len(categories)}"


def _refuse_zero(reading: Reading, folder: Path) -> None:
    """Stop where categories are counted from 0: each photo would have its neighbour's name."""
    zeros = [garment for garment in reading.garments if garment.reason.startswith("category 0:")]
    if zeros:
        raise ValueError(
            f"{folder / LABELS}, row {zeros[0].row}: category 0; DeepFashion counts from 1, so the "
            "names would all be off by one; take the list as it was delivered"
        )


def read_boxes(file: Path, notes: list[str], skip: int = 0) -> dict[str, Box] | None:
    """Return photo → box of a list of boxes, x1 y1 x2 y2; None where there is no such list.

    Args:
        file: the list.
        notes: what is told.
        skip: how many columns stand between a photo's name and its box.
    """
    if not file.exists():
        notes.append(f"no {file.name}: the whole photos are taken")
        return None
    boxes = {}
    for entry in entries(file, notes):
        name, *cells = entry.text.split()
        numbers = cells[skip:]
        if len(numbers) == 4 and all(number.lstrip("-").isdecimal() for number in numbers):
            boxes[name] = Box(*map(int, numbers))
    return boxes


def read_parts(
    raw: Path, folder: Path, statuses: dict[str, str], notes: list[str]
) -> dict[str, str] | None:
    """Return photo → part of ``list_eval_partition.txt`` beside ``folder``; None where none is.

    A status that is none of ``statuses`` is "".
    """
    # Eval lies beside Anno; some put all lists together.
    for place in (
        folder.parent / "Eval" / PARTITION,
        folder / PARTITION,
        folder.parent / PARTITION,
    ):
        if place.exists():
            break
    else:
        notes.append(
            f"no Eval/{PARTITION}: its own parts are not known, groups of photos are split"
        )
        return None
    parts = {}
    for entry in entries(place, notes):
        name, *_, status = entry.text.split()
        parts[name] = statuses.get(status, "")
    return parts


def place_photo(
    garment: Garment,
    name: str,
    photos: Photos,
    boxes: dict[str, Box] | None,
    parts: dict[str, str] | None,
) -> None:
    """Fill in picture, box and part of ``garment``, or why one is not known."""
    garment.picture, fault = photos.find(name)
    if boxes is not None:
        garment.box = boxes.get(name)
        if garment.box is None:
            fault = fault or f"no box in {BOXES}"
        elif garment.box.is_empty:
            fault = fault or f"the box {tuple(garment.box)} is not x1 y1 x2 y2"
    if parts is not None:
        garment.part = parts.get(name, "")
        if not garment.part:
            fault = fault or f"in no part by {PARTITION}"
    garment.reason = garment.reason or fault


def _attributes(folder: Path, notes: list[str]) -> dict[str, tuple[dict[str, str], str]]:
    """Return photo → its attributes by kind, and what is wrong with its line."""
    if not (folder / ATTRIBUTES).exists() or not (folder / ATTRIBUTE_LABELS).exists():
        notes.append(f"no {ATTRIBUTES} and {ATTRIBUTE_LABELS}: no attributes")
        return {}
    names = []
    for entry in _entries(folder, ATTRIBUTES):
        # Some names have spaces: "abstract chevron print".
        name, kind = entry.text.rsplit(maxsplit=1)
        names.append((name, KINDS.get(kind, "other")))
    attributes: dict[str, tuple[dict[str, str], str]] = {}
    for entry in entries(folder / ATTRIBUTE_LABELS, notes):
        photo, *labels = entry.text.split()
        if len(labels) != len(names) or not set(labels) <= {"-1", "0", "1"}:
            fault = f"{ATTRIBUTE_LABELS} has not {len(names)} times -1, 0 or 1 for it"
            attributes[photo] = ({}, fault)
            continue
        by_kind = defaultdict(list)
        for (name, kind), label in zip(names, labels, strict=True):
            # 0 is not known, which is not "has not", and neither says what can be seen.
            if label == "1":
                by_kind[kind].append(name)
        attributes[photo] = ({kind: ", ".join(having) for kind, having in by_kind.items()}, "")
    return attributes


def _note_torn_folders(reading: Reading) -> None:
    parts = defaultdict(set)
    for garment in reading.garments:
        parts[garment.group].add(garment.part)
    torn = sum(len(delivered) > 1 for delivered in parts.values())
    if torn:
        reading.notes.append(
            f"its own split is by photos: of {torn:,} of {len(parts):,} folders there are photos "
            f"in several parts. Without Eval/{PARTITION} folders are split whole"
        )
