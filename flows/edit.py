"""Change params.yaml for a run of ``beauty retrain``: ``--set``, ``--profile``, ``--source`` and ``--map``.

The file itself is edited, in place, as ``dvc exp run --set-param`` does: what DVC hashes, what git shows and what the model was
trained with are then one and the same text, and `git checkout params.yaml` takes it back. Comments and layout stay, the new
values are checked before anything is written, and the file is replaced whole.
"""

from __future__ import annotations

import difflib
import io
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from beauty_models import params
from beauty_models.common.files import new_file

Changes = dict[tuple[str, ...], Any]
"""Path below ``families`` → new value."""


def _editor() -> YAML:
    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 4096
    return editor


def parse(text: str) -> Any:
    """Return ``text`` read as YAML 1.2 (``3e-4`` is a number), in plain Python types.

    Raises:
        ValueError: it is not YAML.
    """
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ValueError(f"{text!r}: not valid YAML: {error}") from None


def from_sets(assignments: list[str]) -> Changes:
    """Return the changes that ``--set sentiment.finetune.epochs=3`` and its like ask for.

    Raises:
        ValueError: one has no ``=`` or its value is not YAML.
    """
    changes: Changes = {}
    for assignment in assignments:
        key, sign, value = assignment.partition("=")
        if not sign:
            raise ValueError(
                f"--set {assignment}: needs KEY=VALUE, such as sentiment.finetune.epochs=3"
            )
        changes[tuple(key.strip().removeprefix("families.").split("."))] = parse(value)
    return changes


def mapping(texts: list[str]) -> dict[str, str]:
    """Return field → column of ``--map text=COLUMN,label=COLUMN``.

    Raises:
        ValueError: a part has no ``=`` or no column.
    """
    parts = [part.partition("=") for text in texts for part in text.split(",")]
    for field, sign, column in parts:
        if not (field and sign and column):
            raise ValueError(
                f"--map {field}{sign}{column}: needs FIELD=COLUMN, such as text=Review"
            )
    return {field.strip(): column for field, _, column in parts}


def from_profile(name: str, families: list[str]) -> Changes:
    """Return the leaves of profiles/NAME.yaml for ``families``, all of the profile's when empty.

    Raises:
        ValueError: there is no such profile.
    """
    file = Path("profiles") / f"{name}.yaml"
    if not file.exists():
        there = ", ".join(sorted(profile.stem for profile in Path("profiles").glob("*.yaml")))
        raise ValueError(f"--profile {name}: there is no {file}; there are {there or 'none'}")
    return {
        path: value
        for path, value in _leaves(params.read(file)).items()
        if not families or path[0] in families
    }


def _leaves(block: dict[str, Any], above: tuple[str, ...] = ()) -> Changes:
    leaves: Changes = {}
    for key, value in block.items():
        leaves |= (
            _leaves(value, (*above, key)) if isinstance(value, dict) else {(*above, key): value}
        )
    return leaves


def from_source(families: list[str], source: str | None, columns: dict[str, str]) -> Changes:
    """Return the changes that ``--source`` and ``--map`` ask for; another source takes the old one's licence away.

    Raises:
        ValueError: there are several families and none, or more than one, was named.
    """
    if source is None and not columns:
        return {}
    blocks = params.read()
    chosen = families or list(blocks)
    if len(chosen) != 1:
        raise ValueError(f"--source and --map are for one family; name one of {', '.join(blocks)}")
    family = chosen[0]
    changes: Changes = {
        (family, "ingest", "columns", field): [column] for field, column in columns.items()
    }
    if source is not None:
        changes[family, "source"] = source
        if source != blocks.get(family, {}).get("source"):
            changes[family, "license"] = ""
    return changes


def apply(changes: Changes, file: Path = params.PARAMS_FILE) -> list[str]:
    """Write ``changes`` into ``file``; return a line for each value that is another one now, none when nothing changed.

    Raises:
        ValueError: a key is unknown or a value is refused; the file is as it was.
    """
    editor = _editor()
    params.read(file)
    document = editor.load(file.read_text(encoding="utf-8"))
    told = [
        line for path, value in changes.items() if (line := _set(document["families"], path, value))
    ]
    if not told:
        return []
    stream = io.StringIO()
    editor.dump(document, stream)
    with new_file(file) as temporary:
        temporary.write_text(stream.getvalue(), encoding="utf-8")
        for family in {path[0] for path in changes}:
            params.check(family, params.read(temporary)[family], file)
    return told


def _set(blocks: Any, path: tuple[str, ...], value: Any) -> str | None:
    """Put ``value`` at ``path``; return "key: old → new", or None when it was there."""
    place, shown = blocks, ".".join(path)
    for depth, key in enumerate(path):
        if not isinstance(place, dict) or key not in place:
            raise ValueError(
                f"params.yaml: no key {shown}{_near(blocks, path[:depth], place, key)}"
            )
        if depth < len(path) - 1:
            place = place[key]
    old = place[path[-1]]
    if isinstance(old, dict):
        raise ValueError(
            f"params.yaml: {shown} is a block; set one of {', '.join(f'{shown}.{key}' for key in old)}"
        )
    if old == value and isinstance(old, bool) == isinstance(value, bool):
        return None
    place[path[-1]] = _styled(value)
    return f"{shown}: {_plain(old)} → {_plain(value)}"


def _near(blocks: Any, above: tuple[str, ...], place: Any, key: str) -> str:
    here = list(place) if isinstance(place, dict) else []
    near = [".".join((*above, name)) for name in difflib.get_close_matches(key, here, n=3)]
    near = near or [".".join(path) for path in _leaves(blocks) if path[-1] == key][:3]
    return (
        f"; did you mean {' or '.join(near)}?"
        if near
        else f"; {'.'.join(above) or 'families'} has {', '.join(here) or 'no keys'}"
    )


def _styled(value: Any) -> Any:
    """Return ``value`` such that readers of YAML 1.1 and 1.2 both read it as what it is; a list goes on one line."""
    if isinstance(value, list):
        sequence = CommentedSeq(map(_styled, value))
        sequence.fa.set_flow_style()
        return sequence
    if isinstance(value, float):
        text = repr(value)
        return YAML().load(text if "." in text else text.replace("e", ".0e"))
    return (
        DoubleQuotedScalarString(value)
        if isinstance(value, str) and _reads_otherwise(value)
        else value
    )


def _reads_otherwise(text: str) -> bool:
    try:
        return bool(yaml.safe_load(text) != text)
    except yaml.YAMLError:
        return False  # ruamel quotes it


def _plain(value: Any) -> str:
    return repr(
        list(map(str, value))
        if isinstance(value, list)
        else float(value)
        if isinstance(value, float)
        else value
    )
