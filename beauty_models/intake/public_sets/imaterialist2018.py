"""iMaterialist Fashion 2018 (Guo et al. 2019): JSON files of addresses and numbers of labels.

``train.json``, ``validation.json`` and ``test.json`` have addresses of photos, which nobody but the
user downloads: ``<imageId>.jpg`` in a folder called as the file is. Labels have no names in them; a
table with labelId, labelName and taskName beside them does.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from beauty_models.intake import splits, tables
from beauty_models.intake.images import Files
from beauty_models.intake.public_sets.garments import Garment, Reading
from beauty_models.intake.public_sets.photos import Photos

NAME = "iMaterialist Fashion 2018"
LICENSE = "iMaterialist Fashion's competition rules: non-commercial research and education only"

BEGINNING = 200_000  # characters of a file by which it is known

# An annotation: {"labelId": ["62", "17"], "imageId": "1"}. A list: in the furniture of that year a
# photo has one label, and no list.
_LABELS = re.compile(r'"label_?id"\s*:\s*\[', re.IGNORECASE)
_PHOTO = re.compile(r'\{[^{}]*"image_?id"[^{}]*\}', re.IGNORECASE)

# What labelId and the like are called in the tables that people share.
_NAMES = {"labelid": "id", "labelname": "name", "taskname": "kind"}
COLOR = "color"
CATEGORY = "category"
# In this order they are said of a garment: white floral cotton dress.
NAMED_BY = (COLOR, "pattern", "material", CATEGORY)


class Label(NamedTuple):
    """A label with its name."""

    name: str
    kind: str  # category, color, gender, material, neckline, pattern, sleeve or style


def find(files: Sequence[Path]) -> list[Path]:
    """Return the JSON files of photos and labels, and those of photos alone beside them."""
    labelled = []
    photos = []
    for file in files:
        # Of these each describes one photo.
        if file.suffix.lower() != ".json" or file.parent.name == "annos":
            continue
        with file.open(encoding="utf-8", errors="replace") as stream:
            beginning = stream.read(BEGINNING)
            end = _end(file)
        if _LABELS.search(beginning) or (_addresses(beginning) and _LABELS.search(end)):
            labelled.append(file)
        elif _addresses(beginning):
            photos.append(file)
    return labelled + photos if labelled else []


def _end(file: Path) -> str:
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - BEGINNING))
        return stream.read().decode("utf-8", "replace")


def _addresses(text: str) -> bool:
    """Return whether ``text`` has an object of a photo's id and address."""
    photo = _PHOTO.search(text)
    return photo is not None and '"url"' in photo[0]


def read(files: Files, lists: Sequence[Path]) -> Reading:
    """Return the photos of ``lists`` with their labels' names.

    Raises:
        ValueError: labels have no names, or a file is not the JSON that it should be.
    """
    reading = Reading()
    labels = _labels(files.raw, lists)
    photos = Photos(files)
    by_stem = photos.by_stem()
    parts = {file: splits.DELIVERED.get(file.stem.casefold(), "") for file in lists}
    for file in sorted(lists):
        content = _content(file)
        annotations = content.get("annotations") or []
        if not annotations:
            count = len(content.get("images") or [])
            reading.aside[f"photos of {file.name}, which has no labels"] += count
            continue
        if not parts[file]:
            reading.notes.append(f"{file.name}: neither train nor validation nor test")
        place = file.relative_to(files.raw).as_posix()
        alone = len(set(parts.values()) - {"test"}) == 1
        for number, entry in enumerate(annotations, start=1):
            garment = Garment(place, number, str(_value(entry, "imageid")))
            garment.part = parts[file]
            _name(garment, _value(entry, "labelid"), labels)
            garment.picture, fault = _picture(garment, by_stem, alone)
            garment.reason = garment.reason or fault
            reading.garments.append(garment)
    if reading.garments and not any(garment.picture for garment in reading.garments):
        raise ValueError(
            f"{lists[0]} has addresses of photos, and none of the photos is there; nothing is "
            f"downloaded from here: put them into {lists[0].with_suffix('')}/ as <imageId>.jpg"
        )
    return reading


def _content(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        raise ValueError(f"{file}: not valid JSON; was the download cut off?") from None
    assert isinstance(content, dict), file
    return content


def _value(entry: dict[str, Any], name: str) -> Any:
    """Return the value of ``name`` in ``entry``, which may be called imageId or image_id."""
    for key, value in entry.items():
        if key.replace("_", "").casefold() == name:
            return value
    return None


def _labels(raw: Path, lists: Sequence[Path]) -> dict[str, Label]:
    """Return number → label of the table that names them.

    Raises:
        ValueError: there is none.
    """
    for file in tables.delivered_files(raw):
        if file.suffix.lower() == ".json" or not tables.is_table(file):
            continue
        rows = tables.read(file).rows
        known = {}
        for column in rows.columns:
            plain = re.sub(r"[\s_]", "", str(column)).casefold()
            if plain in _NAMES:
                known[column] = _NAMES[plain]
        named = rows[list(known)].rename(columns=known)
        if set(named.columns) == set(_NAMES.values()):
            entries = named.itertuples(index=False)
            return {str(row.id): Label(str(row.name), str(row.kind).casefold()) for row in entries}
    raise ValueError(
        f"{lists[0]} numbers its labels and does not name them: put the table of their names "
        "beside it (columns labelId, labelName, taskName; it is shared as label_map_228)"
    )


def _name(garment: Garment, numbers: Any, labels: dict[str, Label]) -> None:
    """Fill in what the labels ``numbers`` say of ``garment``, or what is wrong with them."""
    if not isinstance(numbers, list):
        garment.reason = f"labelId {numbers!r:.40} is no list of numbers"
        return
    unknown = [number for number in numbers if str(number) not in labels]
    if unknown:
        garment.reason = f"label {unknown[0]!r:.40} has no name in the table of labels"
        return
    by_kind: dict[str, list[str]] = defaultdict(list)
    for number in numbers:
        label = labels[str(number)]
        by_kind[label.kind].append(label.name)
    # Of several categories nobody says which one is meant.
    garment.category = _only(by_kind.get(CATEGORY, []))
    garment.color = _only(by_kind.get(COLOR, []))
    words = [name for kind in NAMED_BY for name in by_kind.get(kind, [])]
    garment.words = " ".join(words)
    others = {kind: names for kind, names in by_kind.items() if kind not in (CATEGORY, COLOR)}
    garment.attributes = {kind: ", ".join(names) for kind, names in others.items()}


def _only(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ""


def _picture(garment: Garment, by_stem: dict[str, list[str]], alone: bool) -> tuple[str, str]:
    """Return the photo of ``garment`` and "", or "" and why there is none.

    Photos of each part are numbered from 1, so the folder has to say the part, unless the file of
    ``garment`` is ``alone``.
    """
    found = by_stem.get(garment.id.casefold(), [])
    of_part = [path for path in found if _part_of(path) == garment.part]
    if garment.part and of_part:
        found = of_part
    elif not alone or any(map(_part_of, found)):
        found = []
    if len(found) == 1:
        return found[0], ""
    if found:
        return "", f"{len(found)} pictures are called {garment.id}, such as {found[0]}"
    return "", f"no picture file {garment.id}.jpg in a folder for {garment.part or 'its part'}"


def _part_of(path: str) -> str:
    """Return the part that the deepest folder of ``path`` which names one stands for, else ""."""
    for folder in reversed(PurePosixPath(path).parts[:-1]):
        # train_images is train.
        word = re.split(r"[-_. ]", folder.casefold())[0]
        if word in splits.DELIVERED:
            return splits.DELIVERED[word]
    return ""
