"""The files of a delivery: which count, which are left aside, and that nothing outside is opened.

A folder comes from a NAS, an archive or a warehouse as often as from a camera: it holds thumbnails
of the system, links, and folders whose names are columns.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from beauty_models.intake import account

# What systems and archivers put beside people's files, in small letters.
LITTER = {
    "@eadir",  # Synology: a folder of thumbnails for each photo
    "#recycle",
    "@recycle",  # QNAP
    "@recently-snapshot",
    "$recycle.bin",
    "recycler",
    "system volume information",
    "lost+found",
    "network trash folder",
    "temporary items",
    "__macosx",  # macOS archives: a resource fork for each file, under the file's own name
    "__pycache__",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
}

PARTITION = re.compile(r"([^=/]+)=(.*)")
NOT_FOLLOWED = (
    "a link out of the delivery, in a circle or to nothing: not followed; put the files "
    "themselves there"
)
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"  # what Hive and Spark write for a null


class Delivery(NamedTuple):
    """What lies below a folder."""

    files: list[Path]  # those that count, in one order on every machine
    links: list[Path]  # that lead out of the folder, in a circle or nowhere: not followed
    litter: list[Path]  # files and folders of the system's own


def is_litter(name: str) -> bool:
    """Return whether a file or folder called ``name`` is hidden or of a system's making."""
    return name.startswith(".") or name.casefold() in LITTER


def look(raw: Path) -> Delivery:
    """Return what lies below ``raw``; links are followed inside it, and never out of it.

    What is left aside is told: a class of photos may hang on a link.
    """
    delivery = Delivery([], [], [])
    for path in _walk(raw, raw.resolve(), frozenset(), delivery):
        if not account.is_aside(path):
            delivery.files.append(path)
    for paths in delivery:
        paths.sort()
    for link in delivery.links:
        account.leave_aside("links", NOT_FOLLOWED, link)
    # Nobody needs a line for each of these; in a table they are one.
    if account.is_open():
        for path in delivery.litter:
            account.leave_aside("files and folders", "hidden, or a system's own", path)
    return delivery


def _walk(folder: Path, root: Path, above: frozenset[Path], delivery: Delivery) -> Iterator[Path]:
    """Yield the files of ``folder``; ``above`` are the folders that it lies in, for circles."""
    real = folder.resolve()
    inside = above | {real}
    for entry in os.scandir(folder):
        if is_litter(entry.name):
            delivery.litter.append(folder / entry.name)
            continue
        path = folder / entry.name
        if entry.is_symlink():
            target = path.resolve()
            if target in inside or not target.exists() or not target.is_relative_to(root):
                delivery.links.append(path)
                continue
        if entry.is_dir():
            yield from _walk(path, root, inside, delivery)
        elif entry.is_file():
            yield path


def partition_values(file: Path, raw: Path) -> dict[str, str]:
    """Return column → value of the folders ``column=value`` between ``raw`` and ``file``.

    Hive and Spark leave a column that they partition by out of the files.
    """
    values = {}
    for step in file.relative_to(raw).parts[:-1]:
        match = PARTITION.fullmatch(step)
        if match:
            name, value = map(unquote, match.groups())
            values[name] = "" if value == NO_VALUE else value
    return values
