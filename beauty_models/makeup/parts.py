"""Which part a face is in: by its person, so that nobody is trained on and tested on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from beauty_models.intake import account, splits
from beauty_models.makeup import Ingest
from beauty_models.makeup.listing import Photo
from beauty_models.makeup.people import PEOPLE
from beauty_models.params import Split

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
    groups = groups_of_people(kept)
    tested = _tested_groups(kept, groups, params)
    shares = splits.without_test(params.split) if tested else params.split
    part_of = {}
    for person, group in groups.items():
        part_of[person] = "test" if group in tested else splits.part(shares, group, params.seed)
    told = "split by a hash of the person: it stays when photos are added"
    if any(group != person for person, group in groups.items()):
        told = "split by a hash of the group of people: it stays when photos are added"
    if _lacking(kept, part_of, params):
        untested = {person: group for person, group in groups.items() if group not in tested}
        part_of |= _ranked(kept, untested, shares, params.seed)
        told = (
            "split by the order of the persons' hashes, because a split by hashes alone leaves a "
            "part without made-up or without bare faces: it changes when photos are added"
        )
    if tested:
        told = f"its own test part, the others {told}"
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


def _tested_groups(photos: Sequence[Photo], groups: Mapping[str, str], params: Ingest) -> set[str]:
    """Return the groups of which a photo is in a public set's own test part."""
    if not params.split.train:  # data that a finished model is evaluated on
        return set()
    tested = {groups[photo.person] for photo in photos if photo.is_tested}
    leaks = [photo for photo in photos if groups[photo.person] in tested and not photo.is_tested]
    if leaks:
        taken = (
            f"a leak in its own: {len(leaks):,} photos of people of its test part are not in it; "
            "they go there"
        )
        example = f"such as {leaks[0].place}"
        account.guess("split", taken, sure="certain", evidence=example)
    return tested


def groups_of_people(photos: Sequence[Photo]) -> dict[str, str]:
    """Return person → the group of people that stays in one part; most are alone in theirs.

    Raises:
        ValueError: somebody is in two groups.
    """
    groups: dict[str, str] = {}
    for photo in photos:
        group = photo.group or photo.person
        known = groups.setdefault(photo.person, group)
        if known != group:
            raise ValueError(f"{PEOPLE}: {photo.person} is in the groups {known} and {group}")
    return groups


def _lacking(photos: Sequence[Photo], part_of: Mapping[str, str], params: Ingest) -> str:
    """Return what a part of the split lacks, in words; nothing where each has both looks."""
    for part, share in params.split.model_dump().items():
        looks = {photo.made_up for photo in photos if part_of[photo.person] == part}
        for made_up, name in ((True, "made-up"), (False, "bare")):
            if share and made_up not in looks:
                return f"no face in {part} ({share:.0%}) is {name}"
    return ""


def _ranked(
    photos: Sequence[Photo], groups: Mapping[str, str], shares: Split, seed: int
) -> dict[str, str]:
    """Return person → part where each part gets its share of made-up and of bare groups.

    For some dozens of photos, of which a hash alone may send none to a part.
    """
    looks: dict[str, bool] = {}
    for photo in photos:
        if photo.made_up is not None and photo.person in groups:
            looks.setdefault(groups[photo.person], photo.made_up)

    def rank_key(group: str) -> bytes:
        return hashlib.sha256(f"{seed}:{group}".encode()).digest()

    part_of = {}
    for made_up in (True, False):
        ranked = [group for group, look in looks.items() if look == made_up]
        ranked.sort(key=rank_key)
        # Rounded up: a part of which the split has a share gets somebody.
        test_end = math.ceil(shares.test * len(ranked))
        validation_end = test_end + math.ceil(shares.validation * len(ranked))
        for rank, group in enumerate(ranked):
            if rank < test_end:
                part_of[group] = "test"
            elif rank < validation_end or not shares.train:
                part_of[group] = "validation"
            else:
                part_of[group] = "train"
    return {person: part_of[group] for person, group in groups.items() if group in part_of}


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
