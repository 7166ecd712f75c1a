"""Requests made of articles: what a person might have asked to get this how-to.

Tokens are taken piece by piece as `generation` writes them, so that what is forced there stands in
the same tokens here.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from beauty_models.tutorial.model import LanguageModel
from beauty_models.tutorial.packing import Document
from beauty_models.tutorial.structure import (
    LIST_FIELDS,
    SINGLE_FIELDS,
    Request,
    Tutorial,
    from_row,
    prompt,
    render,
)

KEPT = 0.5  # chance that a wish stays in a request that leaves some out
ASKED_IN_OUTPUT = ("look", "occasion", "skin_type")
"""Fields of a tutorial that are written only where the request has them."""


def tutorials(frame: pd.DataFrame) -> list[Tutorial]:
    """Return the how-tos among the rows of ``frame``."""
    rows: list[dict[str, Any]] = frame[frame["tutorial"]].to_dict("records")  # type: ignore[assignment]
    return [from_row(row) for row in rows]


def in_languages(found: Iterable[Tutorial], languages: Sequence[str]) -> list[Tutorial]:
    """Return those of ``found`` that are in one of ``languages``."""
    return [tutorial for tutorial in found if tutorial.language in languages]


def full_request(tutorial: Tutorial) -> Request:
    """Return the request that names all that the tutorial says of itself."""
    return Request(
        look=tutorial.look or tutorial.title,
        language=tutorial.language,
        occasion=tutorial.occasion,
        skin_type=tutorial.skin_type,
        products=tutorial.products,
        steps=len(tutorial.steps),
    )


def partial_request(tutorial: Tutorial, rng: random.Random) -> Request:
    """Return a request that leaves some wishes out, and names the look or the title."""
    full = full_request(tutorial)
    kept = {name: rng.random() < KEPT for name in ("occasion", "skin_type", "products", "steps")}
    return Request(
        look=rng.choice([tutorial.title, full.look]),
        language=full.language,
        occasion=full.occasion if kept["occasion"] else "",
        skin_type=full.skin_type if kept["skin_type"] else "",
        products=full.products if kept["products"] else (),
        steps=full.steps if kept["steps"] else 0,
    )


def answer(request: Request, tutorial: Tutorial) -> Tutorial:
    """Return the tutorial as it is to be written for ``request``: it repeats what was asked."""
    asked = {name: getattr(request, name) for name in ASKED_IN_OUTPUT}
    return replace(tutorial, **asked)


def requests(found: Sequence[Tutorial], partial: int, seed: int) -> list[tuple[Request, Tutorial]]:
    """Return, for each tutorial, its full request and ``partial`` ones, with what answers them."""
    rng = random.Random(seed)
    pairs = []
    for tutorial in found:
        asked = [full_request(tutorial)]
        asked += [partial_request(tutorial, rng) for _ in range(partial)]
        pairs += [(request, answer(request, tutorial)) for request in asked]
    return pairs


def line_pieces(line: str) -> list[str]:
    """Return a line of the text form as its label, its value and the line break."""
    label, mark, value = line, "", ""
    name, colon, rest = line.partition(":")
    if colon and name in (*SINGLE_FIELDS, *LIST_FIELDS, "steps"):
        label, mark, value = name, ":", rest
    else:
        number, dot, rest = line.partition(".")
        if dot and number.isdecimal():
            label, mark, value = number, ".", rest
    return [piece for piece in (label + mark, value, "\n") if piece]


def encode_lines(language_model: LanguageModel, text: str) -> list[int]:
    """Return the token ids of a text of whole lines, piece by piece."""
    ids = []
    for line in text.split("\n")[:-1]:
        for piece in line_pieces(line):
            ids += language_model.encode(piece)
    return ids


def documents(
    language_model: LanguageModel, pairs: Iterable[tuple[Request, Tutorial]], longest: int
) -> list[Document]:
    """Return each request with its tutorial as a document; only the tutorial is predicted.

    What is longer than ``longest`` tokens is left out: a row would hold it without its request.
    """
    boundary = language_model.boundary
    made = []
    for request, tutorial in pairs:
        asked = [boundary, *encode_lines(language_model, prompt(request))]
        written = [*encode_lines(language_model, render(tutorial)), boundary]
        if len(asked) + len(written) <= longest + 1:
            made.append(Document(asked + written, first_target=len(asked)))
    return made
