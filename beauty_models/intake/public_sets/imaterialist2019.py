"""iMaterialist Fashion 2019, and 2020 alike: a CSV file of run-length masks, a row a garment.

``ClassId`` is the number of a category in ``label_descriptions.json``, from 0, and in 2019 those of
attributes behind it: ``6_12_55``. In 2020 they stand in ``AttributesIds``.
"""

from __future__ import annotations

import csv
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from beauty_models.files import read_json
from beauty_models.intake import records  # noqa: F401 - lets csv read cells of any length
from beauty_models.intake.images import DECODER_ERRORS, FORMATS, Files
from beauty_models.intake.public_sets.garments import Garment, Reading
from beauty_models.intake.public_sets.masks import box_of
from beauty_models.intake.public_sets.photos import Photos

NAME = "iMaterialist Fashion 2019"
LICENSE = "iMaterialist Fashion's competition rules: non-commercial research and education only"

COLUMNS = {"ImageId", "EncodedPixels", "Height", "Width", "ClassId"}
DESCRIPTIONS = "label_descriptions.json"

# Kinds of categories that are no garments: sleeve, collar, zipper, bow and the like.
PARTS_OF_GARMENTS = ("garment parts", "closures", "decorations")


class Names(NamedTuple):
    """What the numbers of ``label_descriptions.json`` mean."""

    categories: dict[int, tuple[str, str]]  # name and kind
    attributes: dict[int, tuple[str, str]]


def find(files: Sequence[Path]) -> list[Path]:
    """Return the CSV files with masks."""
    return [file for file in files if file.suffix.lower() == ".csv" and _has_masks(file)]


def _has_masks(file: Path) -> bool:
    with file.open(encoding="utf-8-sig", errors="replace") as stream:
        header = next(csv.reader([stream.readline(10_000)]), [])
    return set(map(str.strip, header)) >= COLUMNS


def read(files: Files, tables: Sequence[Path]) -> Reading:
    """Return the garments of ``tables``, without those parts of garments that have masks, too.

    Raises:
        ValueError: there is no ``label_descriptions.json``, so numbers have no names.
    """
    reading = Reading()
    photos = Photos(files)
    for table in sorted(tables):
        names = _names(files.raw, table)
        place = table.relative_to(files.raw).as_posix()
        sizes: dict[str, tuple[int, int] | None] = {}
        for number, row in _rows(table):
            garment = Garment(place, number, "")
            kind = _describe(garment, row, names)
            if kind in PARTS_OF_GARMENTS:
                reading.aside["masks of parts of garments, such as sleeves"] += 1
                continue
            _locate(garment, row, photos, files, sizes)
            reading.garments.append(garment)
    return reading


def _names(raw: Path, table: Path) -> Names:
    found = [path for path in (table.parent / DESCRIPTIONS, raw / DESCRIPTIONS) if path.exists()]
    if not found:
        raise ValueError(
            f"{table} numbers its categories: put {DESCRIPTIONS}, which names them, beside it"
        )
    content = read_json(found[0])
    by_kind = []
    for group in ("categories", "attributes"):
        names = {}
        for entry in content.get(group, []):
            names[int(entry["id"])] = (str(entry["name"]), str(entry.get("supercategory", "")))
        by_kind.append(names)
    return Names(*by_kind)


def _rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line and cells of each row; a mask may be a million characters long."""
    with table.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        reader = csv.DictReader(stream)
        for row in reader:
            yield reader.line_num, {name: value or "" for name, value in row.items() if name}


def _describe(garment: Garment, row: dict[str, str], names: Names) -> str:
    """Fill in category and attributes, or why there are none; return the category's kind."""
    category, *attributes = row["ClassId"].split("_")
    # Kaggle's tables of 2020 have them in a column of their own, divided by commas.
    attributes += [cell for cell in row.get("AttributesIds", "").split(",") if cell.strip()]
    numbers = [cell.strip() for cell in (category, *attributes)]
    if not all(number.isdecimal() for number in numbers):
        garment.reason = f"ClassId {row['ClassId']!r:.40} is no number of {DESCRIPTIONS}"
        return ""
    first, *others = map(int, numbers)
    unknown = [number for number in others if number not in names.attributes]
    if first not in names.categories or unknown:
        what = f"attribute {unknown[0]}" if unknown else f"category {first}"
        garment.reason = f"{what} is not in {DESCRIPTIONS}"
        return ""
    garment.category, kind = names.categories[first]
    by_kind = defaultdict(list)
    for number in others:
        name, attribute_kind = names.attributes[number]
        by_kind[attribute_kind].append(name)
    garment.attributes = {key: ", ".join(values) for key, values in by_kind.items()}
    return kind


def _locate(
    garment: Garment,
    row: dict[str, str],
    photos: Photos,
    files: Files,
    sizes: dict[str, tuple[int, int] | None],
) -> None:
    """Fill in photo and box, or why they are not known."""
    name = row["ImageId"]
    # In 2020 the suffix is left out.
    name = name if Path(name).suffix else f"{name}.jpg"
    garment.id = name
    garment.group = name
    garment.picture, missing = photos.find(f"train/{name}")
    if missing:
        garment.picture, missing = photos.find(name)
    sides = (row["Height"], row["Width"])
    try:
        height, width = (round(float(side)) for side in sides)
    except ValueError:
        garment.reason = garment.reason or f"Height and Width are {sides}"
        return
    garment.box, fault = box_of(row["EncodedPixels"], height, width)
    if garment.picture:
        if garment.picture not in sizes:
            sizes[garment.picture] = _size(files.raw / garment.picture)
        size = sizes[garment.picture]
        # A picture that cannot be opened is told when it is decoded.
        if size and size != (width, height):
            fault = f"the mask is of {width} × {height} pixels, its picture has " + (
                f"{size[0]} × {size[1]}"
            )
    garment.reason = garment.reason or missing or fault


def _size(file: Path) -> tuple[int, int] | None:
    """Return width and height that a picture's header states, None where it has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file, formats=FORMATS) as image:
                return image.size
    except DECODER_ERRORS:
        return None
