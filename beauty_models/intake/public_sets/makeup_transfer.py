"""Makeup Transfer, MT (Li et al. 2018): faces with and without make-up, with masks of their parts.

``images/makeup`` and ``images/non-makeup`` hold the photos, ``segs/…`` (``parsing/…`` in some
copies) the masks under the same names. ``makeup_test.txt`` and ``non-makeup_test.txt`` list those
that are tested on. Folders are laid out so by other people, too, so the lists or the masks' numbers
have to speak for the set. The photos and masks themselves are makeup's to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image

from beauty_models.intake.images import DECODER_ERRORS

NAME = "Makeup Transfer (MT)"
LICENSE = "Makeup Transfer's terms (BeautyGAN): non-commercial research only"

KINDS = ("makeup", "non-makeup")
MASKS = ("segs", "parsing")
# Copies call the list of bare faces differently.
LISTS = {
    "makeup_test.txt": "makeup",
    "non-makeup_test.txt": "non-makeup",
    "nonmakeup_test.txt": "non-makeup",
    "nomakeup_test.txt": "non-makeup",
}

# The numbers of face, nose, lips and hair; ears and neck, 12 and 13, go beyond this project's own.
NUMBERS = {1, 6, 7, 9, 10}
LARGEST = (12, 13)
LOOKED_AT = 8  # masks


class Listed(NamedTuple):
    """A photo that a list of the test part names."""

    file: str  # the list, below the delivered folder
    row: int
    kind: str  # makeup or non-makeup
    name: str  # the file's name


def find(files: Sequence[Path]) -> list[Path]:
    """Return the folder above images and segs, where lists or masks say that it is this set."""
    folders: dict[tuple[str, str], list[Path]] = {}
    for file in files:
        if len(file.parts) > 3:
            folders.setdefault((file.parts[-3], file.parts[-2]), []).append(file)
    if not all(("images", kind) in folders for kind in KINDS):
        return []
    # images/makeup/x.png: what lies above images.
    roots = sorted({file.parents[2] for kind in KINDS for file in folders["images", kind]})
    if any(file.name.casefold() in LISTS for file in files):
        return roots
    masks: list[Path] = []
    for folder in MASKS:
        for kind in KINDS:
            masks += folders.get((folder, kind), [])
    return roots if _are_numbered_so(masks) else []


def _are_numbered_so(masks: Sequence[Path]) -> bool:
    """Return whether ``masks`` have the numbers of this set, and no other scheme's."""
    # Not every mask has ears and a neck, so several are taken together.
    numbers: set[int] = set()
    for mask in masks[:: max(1, len(masks) // LOOKED_AT)][:LOOKED_AT]:
        try:
            with Image.open(mask, formats=("PNG", "BMP")) as image:
                numbers |= set(map(int, np.unique(np.asarray(image))))
        except DECODER_ERRORS:
            continue  # told where it is read
    return numbers >= NUMBERS and max(numbers) in LARGEST


def test_lists(raw: Path, files: Sequence[Path], notes: list[str]) -> list[Listed]:
    """Return what the lists of the test part name; nothing where one of the two is missing."""
    listed = []
    kinds = set()
    for file in files:
        kind = LISTS.get(file.name.casefold())
        if kind is None:
            continue
        kinds.add(kind)
        place = file.relative_to(raw).as_posix()
        lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        for row, line in enumerate(lines, start=1):
            # Some have the mask's path behind the photo's.
            first = line.split()[:1]
            if first:
                listed.append(Listed(place, row, kind, PurePosixPath(first[0]).name))
    if len(kinds) == len(KINDS):
        return listed
    lacking = " and ".join(f"{kind}_test.txt" for kind in KINDS if kind not in kinds)
    notes.append(f"no {lacking}: its own test part is not known; split by ingest.split")
    return []
