"""Which part of the data an example is in, decided by its group alone.

So it never changes with the rest of the data: no list of ids is kept, and a champion is scored on
tomorrow's test part without ever having been trained on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from beauty_models.intake.values import plain
from beauty_models.params import Split

PARTS = ("test", "validation", "train")
"""In this order: of two equal examples the one in the earlier part stays, so that the test part,
on which models are compared, changes least."""

DELIVERED = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}
"""Name of a folder or file → the part that what is in it was delivered for."""


def part(shares: Split, group: str, seed: int) -> str:
    """Return train, validation or test for ``group``.

    Its hash, salted with ``seed``, is a number from 0 to 1; the parts lie behind one another on
    that line, each as long as its share.

    Args:
        group: what must not be torn apart, such as a product or a text.
        seed: another one makes another split.
    """
    salted = hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()
    position = int(salted[:13], 16) / 16**13  # 52 bits, which a float holds exactly
    # First on the line: another share of validation moves nothing into the test part or out of it.
    if position < shares.test:
        return "test"
    # Without a training part the rounding of the shares must send nobody there.
    if position < shares.test + shares.validation or not shares.train:
        return "validation"
    return "train"


def without_test(shares: Split) -> Split:
    """Return the ``shares`` of examples of which none is tested on."""
    rest = 1 - shares.test
    return Split(train=shares.train / rest, validation=shares.validation / rest, test=0)


def product_group(product: str) -> str:
    """Return the group of all examples of ``product``, however its id is written.

    Photos and reviews of one product in train and test would measure how well it is known again.
    """
    return f"product {plain(product)}"


def check_filled(
    counts: Mapping[str, int], shares: Split, examples: str, remedy: str = "more data"
) -> None:
    """Raise a ValueError when a part is empty that has a share of the data.

    Args:
        counts: part → how many examples it has.
        shares: a share of 0 asks for an empty part.
        examples: what they are called, for the message.
        remedy: what would fill the part.
    """
    total = sum(counts.values())
    for name, share in shares.model_dump().items():
        # By chance, where there is little: a part is filled by the hashes of its groups.
        if share and not counts[name]:
            raise ValueError(
                f"none of the {total} {examples} falls into {name} ({share:.0%}); "
                f"{remedy} or another ingest.split is needed"
            )


def digest(examples: Iterable[tuple[str, str]]) -> str:
    """Return the SHA-256 of the test part, given by each example's key and its right answer.

    Two models are compared only where it is the same: they were then asked the same.
    """
    content = hashlib.sha256()
    for key, answer in examples:
        content.update(f"{key} {answer}\n".encode())
    return content.hexdigest()
