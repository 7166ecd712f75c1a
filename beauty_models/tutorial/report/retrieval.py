"""The honest opponent of a writer: the training how-to that fits the request best, as it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from beauty_models.tutorial.checker import words
from beauty_models.tutorial.structure import Request, Tutorial


def _asked(request: Request) -> set[str]:
    said = " ".join([request.look, request.occasion, request.skin_type, *request.products])
    return set(words(said))


def _holds(tutorial: Tutorial) -> set[str]:
    said = [tutorial.title, tutorial.look, tutorial.occasion, tutorial.skin_type]
    return set(words(" ".join([*said, *tutorial.products])))


def nearest(request: Request, found: Sequence[Tutorial]) -> Tutorial | None:
    """Return the tutorial of ``found`` that shares most words with ``request``, in its language.

    Where more steps stand in it than were asked for, the last ones go. None where there is no
    tutorial in that language.
    """
    asked = _asked(request)
    best: Tutorial | None = None
    most = -1.0
    for tutorial in found:
        if tutorial.language != request.language:
            continue
        held = _holds(tutorial)
        shared = len(asked & held) / max(1, len(asked | held))
        if shared > most:
            best, most = tutorial, shared
    if best is None or not request.steps:
        return best
    return replace(best, steps=best.steps[: request.steps])
