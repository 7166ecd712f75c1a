"""Translations for whole tables, by a model that stays loaded.

For ``beauty predict translate --file IN --out OUT`` and for MLflow. Nothing is unpickled: MLflow
reads this module's name in the version's MLmodel file, and the weights are safetensors.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from beauty_models.translate.glossary import Glossary
    from beauty_models.translate.pipeline import Answer

# Imports within functions are those that a look at --help or registering does without: torch takes
# seconds, pandas a good part of one.

COLUMNS = {"text": True}  # column of the frame → whether it must be there
# of one column into one language; of more, each but the source stands behind COLUMN_LANGUAGE
ANSWERS = ("translation", "source", "method", "confidence", "look")
MOST_BEAMS = 16
# what `predict` takes besides the frame, with its value when not given
PARAMS: dict[str, int | str] = {"to": "", "from": "", "columns": "", "glossary": "", "beams": 0}


def parser() -> argparse.ArgumentParser:
    """Return the arguments of ``predict``; here, where ``--help`` need not wait for torch."""
    arguments = argparse.ArgumentParser(
        prog="beauty predict translate",
        description=(
            "Translate product texts; numbers, brands, tags and placeholders are kept. Or find the "
            "twins of listings among those of another language: --listings, --twins."
        ),
    )
    asked = arguments.add_mutually_exclusive_group(required=True)
    asked.add_argument("--text", action="append", help="a product text; may be repeated")
    asked.add_argument("--listings", type=Path, help="a table of texts whose twins are looked for")
    arguments.add_argument(
        "--twins", type=Path, help="with --listings: the table in which they are looked for"
    )
    arguments.add_argument(
        "--column", default="title", help="with --listings: the texts' column, in both tables"
    )
    arguments.add_argument(
        "--to", required=True, help="the language to come, or several: zh-CN,ja,de; of the twins"
    )
    arguments.add_argument(
        "--from", default="", help="the language of the text; told from it if missing"
    )
    arguments.add_argument(
        "--glossary",
        default="",
        help="a table of terms, a column for each language, or of brands alone",
    )
    arguments.add_argument(
        "--beams",
        type=int,
        default=0,
        choices=range(MOST_BEAMS + 1),
        metavar=f"0-{MOST_BEAMS}",
        help="of the search; 0 takes what was trained with",
    )
    return arguments


def listed(words: str, option: str) -> list[str]:
    """Return the items of ``words`` between commas, none twice.

    Raises:
        ValueError: there is none.
    """
    items = [item.strip() for item in words.split(",")]
    distinct = list(dict.fromkeys(item for item in items if item))
    if not distinct:
        raise ValueError(f"--{option}: give one or several, with commas between them")
    return distinct


def answer_names(columns: list[str], targets: list[str]) -> dict[tuple[str, str], dict[str, str]]:
    """Return (column, language) → answer → its column; title_ja, title_ja_look and so on."""
    if columns == list(COLUMNS) and len(targets) == 1:
        return {(columns[0], targets[0]): {name: name for name in ANSWERS}}
    names = {}
    for column in columns:
        for target in targets:
            stem = f"{column}_{target}"
            behind = {name: f"{stem}_{name}" for name in ANSWERS if name != "source"}
            names[column, target] = behind | {ANSWERS[0]: stem}
    return names


def _asked(params: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the columns and the languages that ``params`` ask for."""
    columns = listed(params["columns"], "columns") if params["columns"] else list(COLUMNS)
    return columns, listed(params["to"], "to")


def table_shape(params: dict[str, Any]) -> tuple[dict[str, bool], tuple[str, ...]]:
    """Return the columns that are read and those that are answered, for `serving.batch`.

    Raises:
        ValueError: no language to translate into is given.
    """
    columns, targets = _asked(params)
    answers: list[str] = []
    for names in answer_names(columns, targets).values():
        answers += names.values()
    return dict.fromkeys(columns, True), tuple(answers)


def read_glossary(path: str, languages: tuple[str, ...]) -> Glossary:
    """Return the terms of the table at ``path``; an empty glossary where there is none.

    Raises:
        ValueError: there is no such file, or no term in it.
    """
    from beauty_models.translate.deliveries import read_terms
    from beauty_models.translate.glossary import Glossary
    from beauty_models.translate.locales import Locales

    if not path:
        return Glossary()
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"--glossary {path}: no such file")
    locales = Locales({tag: [tag] for tag in languages})
    terms = tuple(dict.fromkeys(read_terms(file, file.parent, locales)))
    if not terms:
        raise ValueError(f"--glossary {path}: no term in it")
    return Glossary(terms)


def row_of(answer: Answer) -> dict[str, Any]:
    """Return an answer under the names of `ANSWERS`; without a translation all are None."""
    if answer.error:
        return dict.fromkeys(ANSWERS)
    return {
        "translation": answer.translation,
        "source": answer.source,
        "method": answer.method,
        "confidence": round(answer.confidence, 4),
        "look": "; ".join(answer.look) or None,
    }


class Served:
    """A model that stays loaded and answers data frames."""

    def __init__(self, folder: Path) -> None:
        from beauty_models.translate.pipeline import Pipeline

        self.pipeline = Pipeline.load(folder)
        self._told: set[tuple[str, str]] = set()
        self._glossaries: dict[str, Glossary] = {}

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return translations and ``error`` for each row of ``frame``, with its index.

        An empty cell has none, and is an error only where all of its row are. ``error`` is None, or
        what could not be translated, and why.

        Raises:
            ValueError: a language is none of the model's, or the frame lacks a column.
        """
        import pandas as pd

        asked = PARAMS | (params or {})
        names = answer_names(*_asked(asked))
        rows: list[dict[str, Any]] = [{} for _ in range(len(frame))]
        errors: list[dict[str, None]] = [{} for _ in range(len(frame))]
        for (row, column, target), answer in self._answers(frame, asked):
            values = row_of(answer)
            for name, place in names[column, target].items():
                rows[row][place] = values[name]
            if answer.error:
                errors[row][f"{column}: {answer.error}"] = None
            else:
                self._tell(answer.source, answer.target)
        header = [*table_shape(asked)[1], "error"]
        for row, faults in enumerate(errors):
            # nothing was asked where every cell is empty
            rows[row]["error"] = "; ".join(faults) or (None if rows[row] else "no text")
            rows[row] = {name: rows[row].get(name) for name in header}
        # object: None stays None and does not become NaN
        return pd.DataFrame(rows, frame.index, header, dtype=object)

    def _answers(
        self, frame: pd.DataFrame, asked: dict[str, Any]
    ) -> Iterator[tuple[tuple[int, str, str], Answer]]:
        """Yield (row, column, language) and the answer for each cell that has a text."""
        from beauty_models.serving.frames import cells
        from beauty_models.translate.pipeline import Query

        columns, targets = _asked(asked)
        tags = {target: self.pipeline.language(target) for target in targets}
        if len(set(tags.values())) < len(tags):
            raise ValueError(f"--to {', '.join(tags)}: two of them are one language")
        source = str(asked["from"])
        if source:
            source = self.pipeline.language(source)
        places = []
        queries = []
        for column in columns:
            if column not in frame.columns:
                raise ValueError(f"there is no column {column!r}; name those that are: --columns")
            for row, text in enumerate(cells(frame, column)):
                for target in targets if text.strip() else ():
                    places.append((row, column, target))
                    queries.append(Query(text, tags[target], source))
        path = str(asked["glossary"])
        if path not in self._glossaries:
            self._glossaries[path] = read_glossary(path, self.pipeline.languages)
        # all columns and languages together: the model sorts them by length
        answers = self.pipeline.translate(queries, self._glossaries[path], int(asked["beams"]))
        return zip(places, answers, strict=True)

    def _tell(self, source: str, target: str) -> None:
        """Say once that another method than the model serves a direction."""
        from beauty_models.progress import log_line

        if (source, target) not in self._told:
            self._told.add((source, target))
            line = self.pipeline.told(source, target)
            if line:
                log_line(f"predict: {line}")


def _load_pyfunc(path: str) -> Served:
    """Return the model in the folder ``path``; the name is MLflow's."""
    return Served(Path(path))
