"""Which part a face is in: by its person, so that nobody is trained on and tested on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from beauty_models.intake import splits
from beauty_models.makeup import Ingest
from beauty_models.makeup.listing import Photo

LABELLED = ("train", "validation", "test")
UNLABELLED = "unlabelled"
PARTS = (*LABELLED, UNLABELLED)
"""The parts with labels, and the one that serves pretraining only."""


def assign_parts(photos: Sequence[Photo], params: Ingest) -> tuple[dict[str, list[Photo]], str]:
    """Return the photos of each part, and how they were split; a person is in one part only.

    A photo that is not labelled serves pretraining, but not where it shows somebody who is in
    another part than train: it is rejected then.
    """
    kept = [photo for photo in photos if not photo.reason]
    part_of = {photo.person: splits.part(params.split, photo.person, params.seed) for photo in kept}
    told = "split by a hash of the person: it stays when photos are added"
    if _lacking(kept, part_of, params):
        part_of |= _ranked(kept, params)
        told = (
            "split by the order of the persons' hashes, because a split by hashes alone leaves a "
            "part without made-up or without bare faces: it changes when photos are added"
        )
    labelled = {photo.person for photo in kept if photo.made_up is not None}
    parts: dict[str, list[Photo]] = {part: [] for part in PARTS}
    for photo in kept:
        part = part_of[photo.person]
        if photo.made_up is not None:
            parts[part].append(photo)
        elif part == "train" or photo.person not in labelled:
            parts[UNLABELLED].append(photo)
        else:
            photo.reason = f"not labelled, and shows a person of the {part} part"
    return parts, told


def _lacking(photos: Sequence[Photo], part_of: Mapping[str, str], params: Ingest) -> str:
    """Return what a part of the split lacks, in words; nothing where each has both looks."""
    for part, share in params.split.model_dump().items():
        looks = {photo.made_up for photo in photos if part_of[photo.person] == part}
        for made_up, name in ((True, "made-up"), (False, "bare")):
            if share and made_up not in looks:
                return f"no face in {part} ({share:.0%}) is {name}"
    return ""


def _ranked(photos: Sequence[Photo], params: Ingest) -> dict[str, str]:
    """Return person → part where each part gets its share of made-up and of bare persons.

    For some dozens of photos, of which a hash alone may send none to a part.
    """
    looks: dict[str, bool] = {}
    for photo in photos:
        if photo.made_up is not None:
            looks.setdefault(photo.person, photo.made_up)

    def rank_key(person: str) -> bytes:
        return hashlib.sha256(f"{params.seed}:{person}".encode()).digest()

    part_of = {}
    for made_up in (True, False):
        persons = [person for person, look in looks.items() if look == made_up]
        persons.sort(key=rank_key)
        # Rounded up: a part of which the split has a share gets somebody.
        test_end = math.ceil(params.split.test * len(persons))
        validation_end = test_end + math.ceil(params.split.validation * len(persons))
        for rank, person in enumerate(persons):
            if rank < test_end:
                part_of[person] = "test"
            elif rank < validation_end or not params.split.train:
                part_of[person] = "validation"
            else:
                part_of[person] = "train"
    return part_of


def check_parts(parts: Mapping[str, Sequence[Photo]], raw: Path, params: Ingest) -> None:
    """Refuse data that leave nothing to learn from or to test on.

    Raises:
        ValueError: no face is labelled, or a part lacks a look.
    """
    labelled = []
    part_of = {}
    for part in LABELLED:
        for photo in parts[part]:
            labelled.append(photo)
            part_of[photo.person] = part
    if not labelled:
        raise ValueError(
            f"{raw}: no face is said to be made up or bare; put photos into folders called makeup "
            "and non-makeup"
        )
    lacking = _lacking(labelled, part_of, params)
    if lacking:
        raise ValueError(
            f"{raw}: of {len(labelled)} labelled faces, {lacking}; more photos are needed, or "
            "another ingest.split"
        )
