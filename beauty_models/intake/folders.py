"""What lies below a delivered folder: files that count, links that lead out, what systems left.

The one way in which fetch, ingest and `beauty init` look at a folder. Imports nothing heavy, for
fetch starts in a moment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

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


class Delivery(NamedTuple):
    """What lies below a folder."""

    files: list[Path]  # those that count, in one order on every machine
    links: list[Path]  # that lead out of the folder, in a circle or nowhere: not followed
    litter: list[Path]  # files and folders of the system's own


def is_litter(name: str) -> bool:
    """Return whether a file or folder called ``name`` is hidden or of a system's making."""
    return name.startswith(".") or name.casefold() in LITTER


def walk(root: Path) -> Delivery:
    """Return what lies below ``root``; links are followed inside it, and never out of it."""
    found = Delivery([], [], [])
    for path in _walk(root, root.resolve(), frozenset(), found):
        found.files.append(path)
    for paths in found:
        paths.sort()
    return found


def _walk(folder: Path, root: Path, above: frozenset[Path], found: Delivery) -> Iterator[Path]:
    """Yield the files of ``folder``; ``above`` are the folders that it lies in, for circles."""
    real = folder.resolve()
    inside = above | {real}
    for entry in os.scandir(folder):
        if is_litter(entry.name):
            found.litter.append(folder / entry.name)
            continue
        path = folder / entry.name
        if entry.is_symlink():
            target = path.resolve()
            if target in inside or not target.exists() or not target.is_relative_to(root):
                found.links.append(path)
                continue
        if entry.is_dir():
            yield from _walk(path, root, inside, found)
        elif entry.is_file():
            yield path
