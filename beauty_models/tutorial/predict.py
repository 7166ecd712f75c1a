"""What a person asks: tutorials for one look, as JSON, Markdown or HTML, streamed if wished."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from beauty_models.tutorial.generation import Sampling
from beauty_models.tutorial.model import load
from beauty_models.tutorial.serving import PARAMS, parser, split_list
from beauty_models.tutorial.structure import Request, to_html, to_markdown
from beauty_models.tutorial.writing import Answer, write

MOST_TUTORIALS = 64  # of one request


def _show(_: int, text: str) -> None:
    """Print what was just written; standard output is for the answer alone."""
    print(text, end="", file=sys.stderr, flush=True)


def _items(words: Sequence[str]) -> tuple[str, ...]:
    """Return the items of an option: ``--products lipstick blush`` or ``"lipstick; blush"``."""
    items: list[str] = []
    for word in words:
        items += split_list(word)
    return tuple(items)


def _formatted(answer: Answer, format_: str) -> dict[str, Any]:
    row = answer.row()
    if answer.tutorial is None or format_ == "json":
        return row
    text = to_markdown(answer.tutorial) if format_ == "markdown" else to_html(answer.tutorial)
    kept = {name: row[name] for name in ("title", "repairs", "unmet")}
    return {**kept, format_: text}


def predict(*, model: Path, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row per tutorial: ``LOOK [--products …] [--skin dry] [--steps 6] [-n 3]``.

    Whole files: `beauty_models.serving.batch`.

    Raises:
        ValueError: the request is refused, or no draft of it could be shown; it says why.
    """
    options = parser().parse_args(arguments)
    if not 1 <= options.n <= MOST_TUTORIALS:
        raise ValueError(f"-n: from 1 to {MOST_TUTORIALS} (got {options.n})")
    request = Request(
        look=options.look,
        language=options.language,
        occasion=options.occasion,
        skin_type=options.skin,
        products=_items(options.products),
        steps=options.steps,
        excluded=_items(options.exclude),
    )
    sampling = Sampling(**{name: getattr(options, name) for name in PARAMS})
    # several tutorials at once would be mixed on the screen
    listener = _show if options.stream and options.n == 1 else None
    answers = write(load(model), [request] * options.n, sampling, listener)
    if all(answer.tutorial is None for answer in answers):
        raise ValueError(answers[0].refused)
    return [_formatted(answer, options.format) for answer in answers]
