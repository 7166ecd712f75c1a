"""Wishes that the text must say: lexically constrained decoding, a phrase at a time.

The steps have to name each product that was asked for, and the skin. A language model of this size
passes over half of them. So each step owes its share of the phrases that are still missing: it may
not end before it has said them. Where a phrase comes is left to the model as far as possible: it
begins where its next word is likely enough already, and what counts as enough falls with the length
of the line (Hokamp and Liu 2017 force such phrases within a beam search; here one draft is drawn).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from beauty_models.tutorial.structure import Request, one_line

SKIN_PHRASES = {
    "en": {name: f"{name} skin" for name in ("dry", "oily", "combination", "sensitive", "normal")},
    "zh": {
        "dry": "干性皮肤",
        "oily": "油性皮肤",
        "combination": "混合性皮肤",
        "sensitive": "敏感皮肤",
        "normal": "中性皮肤",
    },
}
"""Language → skin type → how a text speaks of it; others are asked for in no certain words."""

BEGIN_NATS = 2.5
"""Surprise at which a phrase begins at the start of a line: its first word is likely anyway."""
GO_ON_NATS = 4.0
"""Surprise at which a phrase that has begun is given up: "to your face" was no face primer."""
NATS_PER_BYTE = 0.04
"""What a line's length adds to both: 6 nats after 150 bytes, some two sentences."""
FORCED_AFTER = 160  # bytes of a line, behind which what is owed follows whatever it costs


def phrases_of(request: Request) -> list[str]:
    """Return what the text of ``request`` has to say: its products, and the skin that it is for."""
    wanted = [one_line(product) for product in request.products]
    skin = SKIN_PHRASES.get(request.language, {}).get(request.skin_type)
    return [*wanted, skin] if skin else wanted


class Phrases:
    """The phrases that a text still owes, and the one that is being written."""

    def __init__(self, encode: Callable[[str], list[int]], phrases: Sequence[str]) -> None:
        """Owe ``phrases``; a phrase is said where the text holds it, capitals aside."""
        self.pending = list(dict.fromkeys(phrase for phrase in phrases if phrase.strip()))
        self._tokens = {phrase: encode(_behind_a_word(phrase)) for phrase in self.pending}
        self._owed = 0  # phrases that the current line must still say
        self._line = bytearray()
        self._rest: list[int] = []  # tokens of the phrase that has begun

    def open(self, lines_left: int) -> None:
        """Begin a line, one of ``lines_left``."""
        self._line.clear()
        self._rest = []
        self._owed = math.ceil(len(self.pending) / lines_left)

    @property
    def may_end(self) -> bool:
        """Whether the line owes nothing more."""
        return self._owed <= 0

    def take(self, content: bytes) -> None:
        """Go on behind ``content``, which was written."""
        self._line += content
        said = self._line.decode("utf-8", errors="ignore").casefold()
        missing = [phrase for phrase in self.pending if phrase.casefold() not in said]
        self._owed -= len(self.pending) - len(missing)
        self.pending = missing

    def next_token(self, logits: torch.Tensor, room: int, whole: bool = True) -> int | None:
        """Return the token with which a phrase begins or goes on here, or None.

        Args:
            logits: of the next token [vocabulary].
            room: bytes that the line may still take.
            whole: no character of the line is written in part.
        """
        if not whole:
            # A tokenizer that read little cuts characters: what began one ends it.
            return self._rest.pop(0) if self._rest else None
        if not self.pending or not self._line.strip():
            return None
        surprise = -torch.log_softmax(logits, 0)
        length = len(self._line)
        must = self._owed > 0 and (length >= FORCED_AFTER or room < self._longest())
        allowance = math.inf if must else NATS_PER_BYTE * length
        if self._rest:
            token = self._rest.pop(0)
            if float(surprise[token]) <= GO_ON_NATS + allowance:
                return token
            self._rest = []
            return None
        likeliest: list[int] = []
        least = BEGIN_NATS + allowance
        for phrase in self.pending:
            tokens = self._tokens[phrase]
            if float(surprise[tokens[0]]) <= least:
                least = float(surprise[tokens[0]])
                likeliest = tokens
        self._rest = likeliest[1:]
        return likeliest[0] if likeliest else None

    def _longest(self) -> int:
        """Return the bytes that the phrases which are owed may take, and some words between."""
        sizes = sorted(len(phrase.encode()) + 8 for phrase in self.pending)
        return sum(sizes[-self._owed :])


def _behind_a_word(phrase: str) -> str:
    """Return ``phrase`` as it stands behind a word; Chinese has no blank there."""
    return phrase if ord(phrase[0]) > 0x2E7F else f" {phrase}"
