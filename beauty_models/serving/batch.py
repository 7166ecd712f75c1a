"""Answer a whole file or folder: every column kept, the model's answers beside them, nothing lost.

``beauty predict FAMILY --file IN --out OUT`` for any family that serves
(`beauty_models.<family>.serving`). IN is CSV, TSV, JSON, JSON Lines or Parquet, gzipped or not, or
a folder of pictures (`beauty_models.serving.readers`); OUT is one of these by its ending. A row
that cannot be answered stays, with the reason. After a kill the same command goes on and ends with
the same bytes (`beauty_models.serving.answers`). Without ``--out`` the answers are returned.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from beauty_models import params as settings
from beauty_models import progress
from beauty_models.serving.answers import RowPredictor, answer_file, answer_rows
from beauty_models.serving.readers import AnySource, PictureFolder, open_source
from beauty_models.serving.rows import ENDINGS, ERROR, format_of

SHOWN_COLUMNS = 40  # names in a message
PICTURES = ("image",)  # columns that hold pictures, where a family's serving does not name them


def digest(path: Path) -> str:
    """Return a hash of the file, or of the names, sizes and times of a folder's files."""
    if path.is_file():
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    # A folder's content is not read: pictures may be many gigabytes, and would be read twice.
    folder_digest = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        below = file.relative_to(path)
        if not file.is_file() or any(part.startswith(".") for part in below.parts):
            continue
        stat = file.stat()
        line = f"{below.as_posix()}\0{stat.st_size}\0{stat.st_mtime_ns}\n"
        folder_digest.update(line.encode(errors="replace"))
    return folder_digest.hexdigest()


def _accepted_names(family: str) -> dict[str, list[str]]:
    """Return field → the column names that params.yaml, where there is one, accepts for it."""
    if not settings.PARAMS_FILE.exists():
        return {}
    block = settings.read().get(family, {})
    names: dict[str, list[str]] = block.get("ingest", {}).get("columns", {})
    return names


def _columns(
    source: AnySource,
    path: Path,
    wanted: dict[str, bool],
    mapping: dict[str, str],
    accepted: dict[str, list[str]],
    pictures: Sequence[str] = PICTURES,
) -> dict[str, str]:
    """Return the model's column → the column of ``path``.

    By ``mapping``, the same name, or a name that training accepts.

    Args:
        wanted: the model's column → whether it must be there.
        mapping: the user's word, by the model's column.
        accepted: names of columns, by the model's column.
        pictures: those of ``wanted`` that hold pictures.

    Raises:
        ValueError: one that the model needs is not there, or several could be meant.
    """
    if isinstance(source, PictureFolder):
        if not set(pictures) & set(wanted):
            raise ValueError(
                f"{path}: a folder, but this family reads texts; give a table: {ENDINGS}"
            )
        return {}
    unknown = sorted(set(mapping) - set(wanted))
    if unknown:
        raise ValueError(f"--map {unknown[0]}=…: the model reads {', '.join(wanted)}")
    header = source.columns
    columns: dict[str, str] = {}
    for name in wanted:
        if name not in mapping:
            column = _by_name(path, header, name, accepted.get(name, []))
        elif mapping[name] in header:
            column = mapping[name]
        else:
            raise _no_column(path, header, [mapping[name]], name)
        if column:
            columns[name] = column
    missing = [name for name, needed in wanted.items() if needed and name not in columns]
    if missing or not columns:
        names = missing or list(wanted)
        raise _no_column(path, header, names, names[0])
    return columns


def _by_name(path: Path, header: list[str], name: str, accepted: list[str]) -> str:
    """Return the column called ``name``, or else by one of ``accepted``; "" where there is none."""
    known = {word.casefold() for word in accepted}
    # The model's own name first: a file with `text` and `review` has said which one it means.
    matches = [column for column in header if column.casefold() == name.casefold()]
    if not matches:
        matches = [column for column in header if column.casefold() in known]
    if len(matches) > 1:
        columns = " or ".join(map(repr, matches))
        raise ValueError(f"{path}: {columns}? Say which with --map {name}=COLUMN")
    return matches[0] if matches else ""


def _no_column(path: Path, header: list[str], names: list[str], field: str) -> ValueError:
    """Return the error that none of ``names`` is a column; ``field`` is what --map would name."""
    shown = ", ".join(header[:SHOWN_COLUMNS])
    more = " …" if len(header) > SHOWN_COLUMNS else ""
    return ValueError(
        f"{path}: no column {' or '.join(map(repr, names))}; it has {shown}{more}; "
        f"name one with --map {field}=COLUMN"
    )


def _check_out(path: Path, out: Path, force: bool) -> None:
    """Refuse a place where the answers cannot be written.

    Raises:
        ValueError: see the messages.
    """
    if format_of(out) is None:
        raise ValueError(
            f"--out {out}: the suffix says the format; give a name that ends in {ENDINGS}"
        )
    if out.is_dir():
        raise ValueError(f"--out {out}: is a folder; give the name of a file in it")
    if path.exists() and out.exists() and out.samefile(path):
        raise ValueError(
            f"--out {out}: is the input itself, which stays as it is; give another name"
        )
    if out.exists() and not force:
        raise ValueError(
            f"--out {out}: is there already; give another name, or --force, which replaces it"
        )


def parser(family: str, params: Mapping[str, Any]) -> argparse.ArgumentParser:
    """Return the arguments for a file; ``params`` are what the family's model takes besides."""
    arguments = argparse.ArgumentParser(
        prog=f"beauty predict {family}",
        description="Answer a whole file or folder; "
        "every column is kept, the answers stand beside them.",
        add_help=False,  # it is a part of `help_text`
    )
    arguments.add_argument(
        "--file",
        type=Path,
        required=True,
        metavar="IN",
        help=f"a table ({ENDINGS}), or a folder of pictures",
    )
    arguments.add_argument(
        "--out", type=Path, help="one of the same endings; without it the answers are printed"
    )
    arguments.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="text=COLUMN",
        help="the column that holds what the model reads; names that training accepts are found",
    )
    arguments.add_argument("--column", help="short for --map text=COLUMN")
    arguments.add_argument(
        "--prefix", default="prediction_", help="of the new columns' names (prediction_)"
    )
    arguments.add_argument("--force", action="store_true", help="replace OUT")
    for name, value in params.items():
        kind = type(value)
        arguments.add_argument(f"--{name}", type=kind, help="as for one question, for each row")
    return arguments


def help_text(family: str) -> str:
    """Return what ``predict`` of the family can be asked: its own arguments, then those for a file.

    Nothing of it needs torch or a model.
    """
    serving = import_module(f"beauty_models.{family}.serving")
    own: str = serving.parser().format_help()
    return f"{own}\n{parser(family, serving.PARAMS).format_help()}"


def _options(family: str, params: dict[str, Any], arguments: Sequence[str]) -> argparse.Namespace:
    of_file = parser(family, params)
    of_file.set_defaults(**params)
    options = of_file.parse_args(arguments)
    options.mapping = _mapping(options.map)
    if options.column:
        options.mapping["text"] = options.column
    return options


def _mapping(texts: list[str]) -> dict[str, str]:
    """Return field → column of each ``--map FIELD=COLUMN,FIELD=COLUMN``."""
    mapping = {}
    for pair in ",".join(texts).split(",") if texts else []:
        field, sign, column = pair.partition("=")
        if not (field and sign and column):
            raise ValueError(f"--map {pair}: needs FIELD=COLUMN, such as text=comment")
        mapping[field] = column
    return mapping


def _check_rows(path: Path, source: AnySource) -> None:
    """Refuse a file without rows.

    Raises:
        ValueError: see the message.
    """
    if next(source.chunks(1), None) is None:
        content = "no file in this folder" if path.is_dir() else "no rows in it"
        raise ValueError(
            f"{path}: there is nothing to answer, {content}; was the download cut off?"
        )
    source.done = 0  # the row was only looked at


def _check_names(path: Path, source: AnySource, answers: set[str]) -> None:
    """Refuse a file with a column that has the name of one of the ``answers``.

    Raises:
        ValueError: see the message.
    """
    taken = sorted(answers & set(source.columns))
    if taken:
        raise ValueError(
            f"{path}: has a column {taken[0]!r} already, which stays as it is; "
            "choose another name for the answers: --prefix model_"
        )


def _interface(serving: Any, params: dict[str, Any]) -> tuple[dict[str, bool], tuple[str, ...]]:
    """Return the columns that the model is asked with, and the names of its answers.

    They are the family's own, unless these hang on ``params``: then its serving has a function
    ``table_shape(params)`` that says which.
    """
    shape = getattr(serving, "table_shape", None)
    if shape is None:
        return serving.COLUMNS, serving.ANSWERS
    wanted, answers = shape(params)
    return wanted, answers


def _contents(params: dict[str, Any]) -> dict[str, str]:
    """Return the digests of files that ``params`` name: another glossary gives other answers."""
    digests = {}
    for name, value in params.items():
        if isinstance(value, str) and value and Path(value).is_file():
            digests[f"{name} content"] = digest(Path(value))
    return digests


def predict_file(family: str, model: Path, arguments: Sequence[str]) -> Any:
    """Answer ``--file IN`` with the model in the folder ``model``.

    Returns:
        With ``--out OUT`` the summary of `answer_file`, without it the rows of `answer_rows`.

    Raises:
        ValueError: IN or OUT is of no known format, OUT is there already, or IN lacks what the
            model reads.
    """
    serving = import_module(f"beauty_models.{family}.serving")
    options = _options(family, serving.PARAMS, arguments)
    path = options.file
    out = options.out
    if out is not None:
        _check_out(path, out, options.force)
    # OUT may lie in the folder that is answered, and is no picture of it.
    source = open_source(path, out or path)
    _check_rows(path, source)
    params = {name: getattr(options, name) for name in serving.PARAMS}
    wanted, answers = _interface(serving, params)
    pictures = getattr(serving, "PICTURES", PICTURES)
    accepted = _accepted_names(family)
    columns = _columns(source, path, wanted, options.mapping, accepted, pictures)
    # A column that the user did not name is told: it may be the wrong one.
    for name, column in columns.items():
        if column != name and name not in options.mapping:
            progress.log_line(f"{path}: {name} is the column {column!r}")
    if out is not None:
        new_columns = {options.prefix + name for name in (*answers, ERROR)}
        _check_names(path, source, new_columns)
    # Loaded last: every mistake above is told before the seconds that a model takes.
    predictor = RowPredictor(serving.Served(model), answers, columns, params, path, pictures)
    if out is None:
        return answer_rows(predictor, source)
    identity = {
        "input": digest(path),
        "model": digest(model),
        "columns": columns,
        "params": params | _contents(params),
        "prefix": options.prefix,
    }
    return answer_file(predictor, source, out, prefix=options.prefix, identity=identity)
