"""What a person asks: texts into one language or several, each with its confidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from beauty_models.progress import log_line
from beauty_models.translate.pipeline import Pipeline, Query
from beauty_models.translate.serving import listed, parser, read_glossary, row_of


def predict(*, model: Path, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row per text and language: ``--text T [--text …] --to ja[,de] [--from en]``.

    Whole files: `beauty_models.serving.batch`.

    Raises:
        ValueError: a language is none of the model's, or a text is in none of them.
    """
    options = parser().parse_args(arguments)
    source_language = getattr(options, "from")
    pipeline = Pipeline.load(model)
    terms = read_glossary(options.glossary, pipeline.languages)
    queries = []
    for text in options.text:
        for target in listed(options.to, "to"):
            queries.append(Query(text, pipeline.language(target), source_language))
    rows = []
    told: dict[str, None] = {}
    for query, answer in zip(
        queries, pipeline.translate(queries, terms, options.beams), strict=True
    ):
        if answer.error:
            raise ValueError(answer.error)
        told[pipeline.told(answer.source, answer.target)] = None
        rows.append({"text": query.text, "to": answer.target, **row_of(answer)})
    for line in filter(None, told):
        log_line(f"predict: {line}")
    return rows
