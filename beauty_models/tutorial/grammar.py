"""What may come next while a tutorial is written: the structure is valid at every token.

Labels and what the request fixes are forced; in between the model is free to write any line of
valid UTF-8; where the structure leaves a choice (tools or the first step, one more step or the end)
the model chooses.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from beauty_models.tutorial.examples import ASKED_IN_OUTPUT, line_pieces
from beauty_models.tutorial.lexical import Phrases
from beauty_models.tutorial.model import LanguageModel
from beauty_models.tutorial.structure import (
    LIST_FIELDS,
    LIST_SEPARATOR,
    Request,
    item_line,
    one_line,
)

MIN_STEPS = 3  # where the request does not say how many
MAX_STEPS = 12
LIMITS = {"title": 120, "products": 300, "tools": 200, "step": 480}
"""Longest value of each line, in bytes of UTF-8."""
LEAST = {"title": 4, "products": 3, "tools": 3, "step": 12}
"""Shortest value of each line, in bytes: a model that learned little would end lines at once."""
LAST_TOKENS = 6  # of the context, kept to end the line and the text

# (bytes still to come, smallest next byte, largest next byte) of UTF-8, RFC 3629 section 4
_STATES = (
    (0, 0x00, 0x7F),
    (1, 0x80, 0xBF),
    (2, 0x80, 0xBF),
    (3, 0x80, 0xBF),
    (2, 0xA0, 0xBF),  # after E0: no overlong forms
    (2, 0x80, 0x9F),  # after ED: no surrogates
    (3, 0x90, 0xBF),  # after F0
    (3, 0x80, 0x8F),  # after F4
)
COMPLETE = 0
INVALID = -1


def next_state(state: int, byte: int) -> int:
    """Return the state of UTF-8 after ``byte``; `INVALID` where it must not come."""
    missing, low, high = _STATES[state]
    if missing:
        return missing - 1 if low <= byte <= high else INVALID
    if byte <= 0x7F:
        return COMPLETE
    special = {0xE0: 4, 0xED: 5, 0xF0: 6, 0xF4: 7}
    if byte in special:
        return special[byte]
    for first, last, state_after in ((0xC2, 0xDF, 1), (0xE1, 0xEF, 2), (0xF1, 0xF3, 3)):
        if first <= byte <= last:
            return state_after
    return INVALID


def _bytes_of_characters() -> dict[str, int]:
    """Return GPT-2's character for each byte, inverted: printable ones stand for themselves."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {chr(byte): byte for byte in plain}
    others = [byte for byte in range(256) if byte not in plain]
    for number, byte in enumerate(others):
        table[chr(256 + number)] = byte
    return table


class TokenTable:
    """The bytes of every token, and in which state of UTF-8 each may come within a line."""

    def __init__(self, language_model: LanguageModel) -> None:
        """Read the vocabulary.

        Raises:
            ValueError: the tokenizer is not byte-level BPE, as GPT-2's is.
        """
        backend: Any = language_model.tokenizer.backend_tokenizer
        if "ByteLevel" not in json.dumps(json.loads(backend.to_str())["decoder"]):
            raise ValueError(
                "structured writing needs a byte-level tokenizer, as GPT-2, SmolLM2 and scratch "
                f"have; that of {language_model.card['base']} is another"
            )
        characters = _bytes_of_characters()
        special = {int(i) for i in backend.get_added_tokens_decoder()}
        size = int(language_model.network.config.vocab_size)
        self.bytes: list[bytes] = [b""] * size
        for token, number in backend.get_vocab().items():
            if number not in special and number < size:
                self.bytes[number] = bytes(characters[c] for c in token)
        # state after each token, from each state; INVALID where it must not come
        self.after = np.full((len(_STATES), size), INVALID, np.int8)
        for number, content in enumerate(self.bytes):
            # line breaks and control characters end no value and stand in none
            if not content or min(content) < 0x20 or 0x7F in content:
                continue
            for state in range(len(_STATES)):
                self.after[state, number] = _walk(state, content)
        self.free = torch.from_numpy(self.after != INVALID)
        [self.line_break] = language_model.encode("\n")
        self.boundary = language_model.boundary


def _walk(state: int, content: bytes) -> int:
    for byte in content:
        state = next_state(state, byte)
        if state == INVALID:
            return INVALID
    return state


@dataclass
class Allowed:
    """What may come next: one of ``choices``, or, where there are none, any of a line."""

    choices: list[int]
    state: int = COMPLETE  # of UTF-8, within a line
    may_end: bool = False  # whether the line may end here


class Writer:
    """Follows one tutorial while it is written."""

    def __init__(
        self,
        table: TokenTable,
        language_model: LanguageModel,
        request: Request,
        used: int,
        phrases: Sequence[str] = (),
    ) -> None:
        """Begin a tutorial for ``request``, whose prompt takes ``used`` tokens of the context.

        ``phrases`` are what its steps have to say.
        """
        self._table = table
        self._phrases = Phrases(language_model.encode, phrases)
        # steps over which they are spread
        self._spread = request.steps or min(MAX_STEPS, max(MIN_STEPS, len(phrases)))
        self._encode = language_model.encode
        self._room = language_model.context - used
        self._steps_asked = request.steps
        self._fields = [name for name in LIST_FIELDS if not getattr(request, name, ())]
        self._forced: list[int] = []
        self._limit = 0  # bytes left of the current line; 0 outside of one
        self._state = COMPLETE
        self._least = 0  # bytes that the current line still needs
        self._in_step = False  # whether the current line is one
        self._written = False  # whether the current line has a character that is no blank
        self._options: dict[int, tuple[str, list[int]]] = {}
        self.steps = 0
        self.cut = False  # whether a line, or the whole, had to end where the model went on
        self.done = False
        self._after_title = self._fixed_lines(request)
        self._open("title", "title:")

    def _fixed_lines(self, request: Request) -> list[int]:
        """Return the tokens of the lines that the request fixes."""
        lines = []
        for name in ("language", *ASKED_IN_OUTPUT):
            value = getattr(request, name)
            if value:
                lines.append(f"{name}: {one_line(value)}")
        if request.products:
            items = LIST_SEPARATOR.join(item_line(product) for product in request.products)
            lines.append(f"products: {items}")
        ids = []
        for line in lines:
            for piece in line_pieces(line):
                ids += self._encode(piece)
        return ids

    def _open(self, kind: str, label: str) -> None:
        """Force ``label`` and let a line of ``kind`` follow."""
        self._forced += self._encode(label)
        self._limit = LIMITS[kind]
        self._least = LEAST[kind]
        self._state = COMPLETE
        self._written = False
        self._in_step = kind == "step"
        if self._in_step:
            self.steps += 1
            self._fields = []
            self._phrases.open(max(1, self._spread - self.steps + 1))
        elif kind in self._fields:
            # products come before tools, and each once
            self._fields = self._fields[self._fields.index(kind) + 1 :]

    def _offer(self) -> None:
        """Put up what may follow a line: a list, a step, the end."""
        options: list[tuple[str, str]] = [(name, f"{name}:") for name in self._fields]
        wanted = self._steps_asked
        if self.steps < (wanted or MAX_STEPS):
            options.append(("step", f"{self.steps + 1}."))
        missing = self._phrases.pending and self.steps < self._spread
        if self.steps >= (wanted or MIN_STEPS) and not missing:
            options.append(("end", ""))
        if self._room <= LAST_TOKENS:
            self.cut = self.cut or options != [("end", "")]
            options = [("end", "")]
        self._options = {}
        for kind, label in options:
            ids = self._encode(label) if label else [self._table.boundary]
            self._options[ids[0]] = (kind, ids)

    def allowed(self) -> Allowed:
        """Return what may come next."""
        if self._forced:
            return Allowed(self._forced[:1])
        if self._options:
            return Allowed(list(self._options))
        ends = self._written and self._least <= 0 and self._state == COMPLETE
        ends = ends and (not self._in_step or self._phrases.may_end)
        if self._state == COMPLETE and (self._limit <= 0 or self._room <= LAST_TOKENS):
            self.cut = True
            return Allowed([self._table.line_break])
        return Allowed([], self._state, ends)

    def phrase_token(self, logits: torch.Tensor) -> int | None:
        """Return the token of a phrase that has to be said and fits here, or None.

        ``logits`` [vocabulary] are those of the next token.
        """
        whole = self._state == COMPLETE
        # A product in the title is not used by a step.
        if not self._in_step or (whole and self._room <= LAST_TOKENS):
            return None
        return self._phrases.next_token(logits, self._limit, whole)

    def take(self, token: int) -> None:
        """Go on behind ``token``, one of those allowed."""
        self._room -= 1
        if self._forced:
            self._forced.pop(0)
            if not self._forced and not self._limit:
                self._offer()
            return
        if self._options:
            kind, ids = self._options[token]
            self._options = {}
            if kind == "end":
                self.done = True
                return
            self._open(kind, "")
            self._forced = ids[1:]
            return
        if token == self._table.line_break:
            self._limit = 0
            self._forced = self._after_title
            self._after_title = []
            if not self._forced:
                self._offer()
            return
        content = self._table.bytes[token]
        self._limit -= len(content)
        self._least -= len(content.strip())
        self._state = int(self._table.after[self._state, token])
        self._written = self._written or bool(content.strip())
        if self._in_step:
            self._phrases.take(content)

    def forced(self) -> list[int]:
        """Take all tokens that leave no choice from here on; return them."""
        taken = []
        while not self.done:
            allowed = self.allowed()
            if len(allowed.choices) != 1:
                break
            token = allowed.choices[0]
            self.take(token)
            taken.append(token)
        return taken


def written_text(table: TokenTable, tokens: Sequence[int]) -> str:
    """Return what ``tokens`` say, without the boundary; every piece of it is valid UTF-8."""
    content = b"".join(table.bytes[token] for token in tokens if token != table.boundary)
    return content.decode("utf-8", errors="replace")
