"""Which part of the data an example is in: decided by its group alone, so that it never changes with the rest of the data."""

from __future__ import annotations

import hashlib

from beauty_models.params import Split


def part(shares: Split, group: str, seed: int) -> str:
    """Return train, validation or test for ``group``, whatever else is in the data: its salted hash as a share of 1."""
    place = int(hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()[:13], 16) / 16**13
    if place < shares.test:
        return "test"
    return "validation" if place < shares.test + shares.validation or not shares.train else "train"
