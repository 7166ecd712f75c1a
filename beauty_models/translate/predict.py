"""What a person asks: texts into one language or several, or the twins of listings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from beauty_models.progress import log_line
from beauty_models.translate.pipeline import Pipeline, Query
from beauty_models.translate.serving import listed, parser, read_glossary, row_of
from beauty_models.translate.twins import match_files


def predict(*, model: Path, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row per text and language: ``--text T [--text …] --to ja[,de] [--from en]``.

    Or one per listing: ``--listings FILE --twins FILE --from zh-CN --to en [--column title]``.
    Translations of whole files: `beauty_models.serving.batch`.

    Raises:
        ValueError: a language is none of the model's, a text is in none of them, or a file of
            listings cannot be matched.
    """
    options = parser().parse_args(arguments)
    source_language = getattr(options, "from")
    if options.listings:
        if not options.twins or not source_language:
            raise ValueError("--listings: say where the twins are, --twins FILE, and --from, --to")
        return match_files(
            model, options.listings, options.twins, options.column, source_language, options.to
        )
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
