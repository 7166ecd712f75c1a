"""A translator of a dozen words, for tests of what stands around a model.

What it knows is right and sure; what it does not know it copies, and is not sure of.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from beauty_models.translate.model import Request, Translation
from beauty_models.translate.patterns import SENTINEL
from beauty_models.translate.scripts import tokens

WORDS = {
    ("en", "de"): {
        "matte": "mattes",
        "satin": "seidiges",
        "lipstick": "Lippenrot",
        "foundation": "Grundierung",
        "serum": "Serum",
        "with": "mit",
    },
    ("de", "en"): {"mattes": "matte", "lippenrot": "lipstick", "serum": "serum"},
}
UNITS = pd.DataFrame(
    [
        ("u1", "", "Matte lipstick", "Matter Lippenstift", "哑光口红"),
        ("u2", "", "Satin lipstick", "Satin-Lippenstift", "缎光口红"),
        ("u3", "", "Serum 30 ml", "Serum, 30 ml", "精华液 30 ml"),
        ("u4", "", "Other", "Andere", "其他"),
        ("u5", "", "Other", "Sonstiges", "其他"),
        ("u6", "", "The foundation with a brush", "Die Foundation mit Pinsel", None),
    ],
    columns=["id", "kind", "en", "de", "zh-CN"],
)


class WordByWord:
    """Has what the pipeline and evaluate ask of a `Translator`."""

    languages = ("en", "de", "zh-CN")
    max_tokens = 6

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return a token for each word."""
        return [list(range(len(tokens(text)))) for text in texts]

    def translate(
        self, requests: Sequence[Request], *, beams: int | None = None
    ) -> list[Translation]:
        """Return the words of each request that are known in the other language."""
        self.asked += requests
        return [self._one(request) for request in requests]

    def _one(self, request: Request) -> Translation:
        known = WORDS.get((request.source, request.target), {})
        words = request.text.split()
        written = [known.get(word.casefold(), word) for word in words]
        sure = sum(word.casefold() in known or bool(SENTINEL.search(word)) for word in words)
        return Translation(" ".join(written), sure / max(1, len(words)))
