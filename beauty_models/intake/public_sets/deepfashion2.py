"""DeepFashion2 (Ge et al. 2019): a JSON file for each photo, with its garments.

``train/annos/000001.json`` belongs to ``train/image/000001.jpg``. ``item1``, ``item2`` … have a
category (numbered from 1), a box x1 y1 x2 y2 and polygons. Photos with one ``pair_id`` show one
garment, in a shop and as people wear it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from beauty_models.intake import splits
from beauty_models.intake.crops import Box
from beauty_models.intake.images import Files
from beauty_models.intake.public_sets.garments import Garment, Reading
from beauty_models.intake.public_sets.photos import Photos

NAME = "DeepFashion2"
LICENSE = "DeepFashion2's agreement: non-commercial research only"

FOLDER = "annos"
PHOTOS = "image"
SUFFIXES = (".jpg", ".jpeg", ".png")

CATEGORIES = (
    *("short sleeve top", "long sleeve top", "short sleeve outwear", "long sleeve outwear"),
    *("vest", "sling", "shorts", "trousers", "skirt"),
    *("short sleeve dress", "long sleeve dress", "vest dress", "sling dress"),
)
"""The names of the categories 1 to 13."""


def find(files: Sequence[Path]) -> list[Path]:
    """Return the folders of annotations; one file of each is looked into."""
    folders: dict[Path, bool] = {}
    for file in files:
        if file.parent.name.casefold() != FOLDER or file.suffix.lower() != ".json":
            continue
        # Of some files all may be damaged, or empty of garments: a few are enough to know.
        if not folders.get(file.parent):
            folders[file.parent] = _is_annotation(file)
    return [folder for folder, known in folders.items() if known]


def _is_annotation(file: Path) -> bool:
    content, _ = _content(file)
    return "pair_id" in content and any(name.startswith("item") for name in content)


def _content(file: Path) -> tuple[dict[str, Any], str]:
    """Return the object in ``file`` and "", or why there is none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}, "not valid JSON: cut off or damaged"
    if not isinstance(content, dict):
        return {}, "not a JSON object"
    return content, ""


def read(files: Files, folders: Sequence[Path]) -> Reading:
    """Return the garments of all photos in the parts ``folders``."""
    reading = Reading()
    photos = Photos(files)
    for folder in sorted(folders):
        place = folder.relative_to(files.raw)
        part = splits.DELIVERED.get(folder.parent.name.casefold(), "")
        if not part:
            reading.notes.append(f"{place}: not in a folder called train, validation or test")
        for file in sorted(folder.glob("*.json")):
            for garment in _garments(file, files.raw, photos):
                # Pairs are counted in each part for itself.
                garment.group = f"{part} {garment.group}".strip()
                garment.part = part
                reading.garments.append(garment)
    return reading


def _garments(file: Path, raw: Path, photos: Photos) -> Iterator[Garment]:
    """Yield the garments of one photo, or one that is rejected and says what is wrong with it."""
    place = file.relative_to(raw).as_posix()
    content, fault = _content(file)
    picture, missing = _picture(file, raw, photos)
    items = [name for name in content if name.startswith("item")]
    if not items:
        yield Garment(place, 0, place, picture, reason=fault or "no garment in it")
        return
    pair = content.get("pair_id")
    for number, name in enumerate(items, start=1):
        garment = Garment(place, number, name, picture)
        garment.group = f"pair {pair}" if pair is not None else place
        garment.is_offered = content.get("source") != "user"
        described = content[name] if isinstance(content[name], dict) else {}
        garment.category, garment.reason = _category(described)
        box, wrong = _box(described)
        garment.box = box
        garment.reason = missing or garment.reason or wrong
        yield garment


def _picture(file: Path, raw: Path, photos: Photos) -> tuple[str, str]:
    """Return the path of the photo that ``file`` describes and "", or "" and why there is none."""
    stem = (file.parent.parent / PHOTOS / file.stem).relative_to(raw).as_posix()
    faults = []
    for suffix in SUFFIXES:
        found, fault = photos.find(f"{stem}{suffix}")
        if found:
            return found, ""
        faults.append(fault)
    return "", faults[0]


def _category(item: dict[str, Any]) -> tuple[str, str]:
    """Return the name of an item's category and "", or "" and what is wrong with it."""
    number = item.get("category_id")
    if not isinstance(number, int) or not 1 <= number <= len(CATEGORIES):
        return "", f"category_id {number!r} is none of 1 to {len(CATEGORIES)}"
    name = CATEGORIES[number - 1]
    told = item.get("category_name", name)
    # A list that was counted from 0, or names in another order: nobody can tell which is right.
    if str(told).replace("_", " ").casefold() != name:
        return "", f"category_id {number} is {name}, category_name says {told!r:.40}"
    return name, ""


def _box(item: dict[str, Any]) -> tuple[Box | None, str]:
    """Return an item's box and "", or what is wrong with it; without a box that of its polygons."""
    polygons = polygons_box(item.get("segmentation"))
    numbers = item.get("bounding_box")
    if numbers is None:
        return polygons, "" if polygons else "neither bounding_box nor polygons"
    if not _are_numbers(numbers, 4):
        return None, f"bounding_box {numbers!r:.60} is not x1 y1 x2 y2"
    box = Box(*map(round, numbers))
    if box.is_empty:
        return None, f"bounding_box {numbers!r:.60} is not x1 y1 x2 y2"
    if polygons and not _meet(box, polygons):
        return None, f"its polygons lie outside of bounding_box {tuple(box)}: {tuple(polygons)}"
    return box, ""


def polygons_box(polygons: Any) -> Box | None:
    """Return the box around all polygons [[x1, y1, x2, y2 …] …] of a garment, None without any.

    A garment that an arm covers is in several parts, each a polygon.
    """
    if not isinstance(polygons, list):
        return None
    columns: list[float] = []
    rows: list[float] = []
    for polygon in polygons:
        # [ ] stands for no polygon.
        if _are_numbers(polygon, 6):
            columns += polygon[0::2]
            rows += polygon[1::2]
    if not columns or len(columns) != len(rows):
        return None
    # Corners are points between pixels: the box ends where the last one does.
    return Box(*(round(n) for n in (min(columns), min(rows), max(columns), max(rows))))


def _are_numbers(values: Any, least: int) -> bool:
    if not isinstance(values, list) or len(values) < least or len(values) % 2:
        return False
    return all(isinstance(value, int | float) and abs(value) < 1e6 for value in values)


def _meet(first: Box, second: Box) -> bool:
    across = min(first.right, second.right) > max(first.left, second.left)
    return across and min(first.bottom, second.bottom) > max(first.top, second.top)
