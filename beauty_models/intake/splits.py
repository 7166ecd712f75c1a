"""Which part of the data an example is in, decided by its group alone.

So it never changes with the rest of the data: no list of ids is kept, and a champion is scored on
tomorrow's test part without ever having been trained on it.
"""

from __future__ import annotations

import hashlib

from beauty_models.params import Split


def part(shares: Split, group: str, seed: int) -> str:
    """Return train, validation or test for ``group``: its salted hash as a share of 1 decides."""
    digest = hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()
    position = int(digest[:13], 16) / 16**13  # 52 bits, which a float holds exactly
    if position < shares.test:
        return "test"
    # Without a training part the rounding of the shares must send nobody there.
    if position < shares.test + shares.validation or not shares.train:
        return "validation"
    return "train"
