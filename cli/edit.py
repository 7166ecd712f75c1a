"""Change params.yaml for ``beauty retrain``: ``--set``, ``--profile``, ``--source`` and ``--map``.

The file itself is edited, in place, as ``dvc exp run --set-param`` does: what DVC hashes, what git
shows and what the model was trained with are then one and the same text, and `git checkout
params.yaml` takes it back. Comments and layout stay, the new values are checked before anything is
written, and the file is replaced whole.
"""

from __future__ import annotations

import copy
import difflib
import io
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any, get_origin

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from beauty_models import params
from beauty_models.files import new_file
from tasks.secrets import redact, refuse_secret

Changes = dict[tuple[str, ...], Any]
"""Path below ``families`` → new value."""

DRAWN = ("starter", "toy")
"""The sources that a family makes itself; all others are data of one's own."""
OWN = "own"
"""The profile that data of one's own gets."""


def _editor() -> YAML:
    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 4096  # characters; ruamel would break long lists, which no edit asked for
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
        # With "families." before it, as DVC and the file itself spell a key.
        changes[tuple(key.strip().removeprefix("families.").split("."))] = parse(value)
    return changes


def ingest_of(family: str, assignments: list[str]) -> dict[str, Any]:
    """Return the ingest parameters of data to evaluate on, nested as in params.yaml.

    Args:
        assignments: of ``--set FAMILY.ingest.KEY=VALUE``.

    Raises:
        ValueError: as `from_sets`, or one is of another stage or family: a registered model is as
            it was trained.
    """
    ingest: dict[str, Any] = {}
    for path, value in from_sets(assignments).items():
        if path[:2] != (family, "ingest") or len(path) < 3:
            raise ValueError(f"--set {'.'.join(path)}: evaluate takes {family}.ingest.KEY only")
        block = ingest
        for key in path[2:-1]:
            block = block.setdefault(key, {})
        block[path[-1]] = value
    return ingest


def mapping(texts: list[str]) -> dict[str, str]:
    """Return field → column of ``--map text=COLUMN,label=COLUMN``.

    Raises:
        ValueError: a part has no ``=`` or no column.
    """
    columns = {}
    for text in texts:
        for pair in text.split(","):
            field, sign, column = pair.partition("=")
            if not (field and sign and column):
                raise ValueError(f"--map {pair}: needs FIELD=COLUMN, such as text=Review")
            columns[field.strip()] = column
    return columns


def from_profile(name: str, families: list[str]) -> Changes:
    """Return the leaves of profiles/NAME.yaml for ``families``, all of the profile's when empty.

    Raises:
        ValueError: there is no such profile.
    """
    file = Path("profiles") / f"{name}.yaml"
    if not file.exists():
        profiles = ", ".join(sorted(profile.stem for profile in Path("profiles").glob("*.yaml")))
        raise ValueError(f"--profile {name}: there is no {file}; there are {profiles or 'none'}")
    leaves = _leaves(params.read(file))
    if not families:
        return leaves
    return {path: value for path, value in leaves.items() if path[0] in families}


def _leaves(block: dict[str, Any], above: tuple[str, ...] = ()) -> Changes:
    """Return path → value of all that is no block in ``block``, which stands at ``above``."""
    leaves: Changes = {}
    for key, value in block.items():
        path = (*above, key)
        if isinstance(value, dict):
            leaves |= _leaves(value, path)
        else:
            leaves[path] = value
    return leaves


def from_source(
    families: list[str], source: str | None, columns: dict[str, str], profile: str | None = None
) -> Changes:
    """Return the changes that ``--source``, ``--map`` and ``--profile`` ask for.

    A family that stands on the starter and gets data of its own also gets profiles/own.yaml, or
    ``profile`` in its place; one that goes back to the starter gets the starter's settings back.
    Another source takes the old one's license away.

    Raises:
        ValueError: there are several families and none, or more than one, was named; there is no
            such profile.
    """
    changes = from_profile(profile, families) if profile else {}
    if source is None and not columns:
        return changes
    # A source is data of one family; --set and --profile may be for several.
    blocks = params.read()
    chosen = families or list(blocks)
    if len(chosen) != 1:
        raise ValueError(f"--source and --map are for one family; name one of {', '.join(blocks)}")
    family = chosen[0]
    former = blocks.get(family, {}).get("source")
    if source is not None and source != former:
        if source == "starter":
            changes = _starter(family) | changes
        # Never over a family that was tuned on data of its own before.
        elif source not in DRAWN and former == "starter" and not profile:
            changes = from_profile(OWN, [family]) | changes
        changes[family, "license"] = ""
        changes[family, "source"] = source
    for field, column in columns.items():
        changes[family, "ingest", "columns", field] = [column]
    return changes


def _starter(family: str) -> Changes:
    """Return the leaves of the family's block as it last stood on the starter in git's history.

    Raises:
        ValueError: it never did, or there is no history.
    """
    # Not from a profile: the starter's values would then stand in two places.
    log = ["git", "log", "--format=%H", "--", str(params.PARAMS_FILE)]
    commits = subprocess.run(log, capture_output=True, text=True).stdout.split()
    for commit in commits:
        show = ["git", "show", f"{commit}:./{params.PARAMS_FILE}"]
        text = subprocess.run(show, capture_output=True, text=True, encoding="utf-8").stdout
        try:
            block = yaml.safe_load(text)["families"][family]
            if block["source"] != "starter":
                continue
            params.check(family, block)
        except (yaml.YAMLError, KeyError, TypeError, ValueError):
            continue  # written for an earlier version of the code
        return _leaves({family: block})
    raise ValueError(
        f"--source starter: the starter's settings of {family} are not in git's history of "
        f"{params.PARAMS_FILE}; take params.yaml from the project again, "
        "or set source and values by hand"
    )


def apply(changes: Changes, file: Path = params.PARAMS_FILE) -> list[str]:
    """Write ``changes`` into ``file``; return a line for each value that is another one now.

    Line ends and a byte-order mark stay as they were. An alias (``*name``) on the way to a value is
    cut: what the other family reads through it stays.

    Raises:
        ValueError: a key is unknown, a value is refused, or a value that nobody named would change;
            the file is as it was.
    """
    # params.yaml is committed, and every run records it.
    for path, value in changes.items():
        if isinstance(value, str):
            refuse_secret(value, ".".join(path))
    before = params.read(file)
    written = params.text(file)
    editor = _editor()
    # ruamel writes \n alone, and takes a mark for the beginning of the first key.
    document = editor.load(written.removeprefix("\ufeff").replace("\r\n", "\n"))
    lines = []
    for path, value in changes.items():
        line = _set(document, path, value)
        if line:
            lines.append(line)
    if not lines:
        return []
    stream = io.StringIO()
    editor.dump(document, stream)
    text = stream.getvalue()
    if "\r\n" in written:
        text = text.replace("\n", "\r\n")
    if written.startswith("\ufeff"):
        text = "\ufeff" + text
    # Checked as it will be read again, before it takes the file's place.
    with new_file(file) as temporary:
        temporary.write_bytes(text.encode("utf-8"))
        after = params.read(temporary)
        for family in {path[0] for path in changes}:
            listed = params.listed_stages(family, temporary)
            params.check(family, after[family], file, listed)
        _refuse_unnamed(before, after, changes)
    return lines


def _refuse_unnamed(before: dict[str, Any], after: dict[str, Any], changes: Changes) -> None:
    """Stop when a value changed that ``changes`` does not name.

    Another family may take it over by a merge key (``<<: *name``).

    Raises:
        ValueError: one did.
    """
    old = _leaves(before)
    new = _leaves(after)
    for path in {**old, **new}:
        named = any(path[: len(known)] == known for known in changes)
        if not named and (path not in old or path not in new or old[path] != new[path]):
            raise ValueError(
                f"{params.PARAMS_FILE}: {'.'.join(path)} would change with it, for both share an "
                "anchor (&name); write the values out where they are used, or set both"
            )


def _set(document: Any, path: tuple[str, ...], value: Any) -> str | None:
    """Put ``value`` at ``path`` below families.

    Returns:
        "key: old → new", or None when it was there already.
    """
    blocks = document["families"]
    place = blocks
    shown = ".".join(path)
    for depth, key in enumerate(path[:-1]):
        if not isinstance(place, dict) or key not in place:
            raise ValueError(
                f"params.yaml: no key {shown}{_near(blocks, path[:depth], place, key)}"
            )
        # A copy of what an alias stands for: the anchor itself is another family's.
        if _shared(document, place[key]):
            place[key] = copy.deepcopy(place[key])
        place = place[key]
    key = path[-1]
    is_open = _takes_any_key(path[:-1])
    if not isinstance(place, dict) or (key not in place and not is_open):
        raise ValueError(f"params.yaml: no key {shown}{_near(blocks, path[:-1], place, key)}")
    old = place.get(key)
    if isinstance(old, dict) and not _takes_any_key(path):
        keys = ", ".join(f"{shown}.{key}" for key in old)
        raise ValueError(f"params.yaml: {shown} is a block; set one of {keys}")
    # In Python 1 equals True; in params.yaml they are two values.
    if key in place and old == value and isinstance(old, bool) == isinstance(value, bool):
        return None
    was = _plain(old) if key in place else "none"
    place[key] = _styled(value)
    return f"{shown}: {was} → {_plain(value)}"


def _shared(document: Any, node: Any) -> bool:
    """Return whether the mapping ``node`` stands at several places, by an alias or a merge key."""
    count = 0
    todo = [document]
    while todo:
        current = todo.pop()
        for child in current.values():
            count += child is node
            if isinstance(child, dict):
                todo.append(child)
    return count > 1


def _section(path: tuple[str, ...]) -> Any:
    """Return the type of what stands at ``path`` below families; None where nothing may."""
    try:
        section: Any = import_module(f"beauty_models.{path[0]}").Params
    except (ImportError, IndexError, AttributeError):
        return None
    for key in path[1:]:
        fields = getattr(section, "model_fields", {})
        if key not in fields:
            return None
        section = fields[key].annotation
    return section


def _takes_any_key(path: tuple[str, ...]) -> bool:
    """Return whether the family takes any key at ``path``: classes and their values, say."""
    return get_origin(_section(path)) is dict


def _near(blocks: Any, above: tuple[str, ...], place: Any, key: str) -> str:
    """Return the end of the message that ``key`` is unknown: what may have been meant.

    Args:
        above: the path of ``place``, in which ``key`` was looked for.
    """
    keys = list(place) if isinstance(place, dict) else []
    renamed = getattr(_section(above), "RENAMED", {})
    if key in renamed:
        return f"; it is now {'.'.join((*above, renamed[key]))}"
    similar = [".".join((*above, name)) for name in difflib.get_close_matches(key, keys, n=3)]
    # Else the same key elsewhere: `sentiment.epochs` for `sentiment.finetune.epochs`.
    if not similar:
        paths = [path for path in _leaves(blocks) if path[-1] == key]
        # Of the family that was named, if it has one; others' keys are no more than a guess.
        own = [path for path in paths if path[: len(above)] == above]
        similar = [".".join(path) for path in (own or paths)[:3]]
    if similar:
        return f"; did you mean {' or '.join(similar)}?"
    return f"; {'.'.join(above) or 'families'} has {', '.join(keys) or 'no keys'}"


def _styled(value: Any) -> Any:
    """Return ``value`` such that readers of YAML 1.1 and of 1.2 read it as what it is.

    A list or a mapping goes on one line.
    """
    if isinstance(value, list):
        sequence = CommentedSeq(map(_styled, value))
        sequence.fa.set_flow_style()
        return sequence
    if isinstance(value, dict):
        mapping = CommentedMap({key: _styled(inner) for key, inner in value.items()})
        mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, float):
        # 1e-05 is a text in YAML 1.1, in which PyYAML and DVC read; 1.0e-05 is a number in both.
        text = repr(value)
        return YAML().load(text if "." in text else text.replace("e", ".0e"))
    # "no" and "1:30" without quotes are false and 90 in YAML 1.1.
    if isinstance(value, str) and _reads_otherwise(value):
        return DoubleQuotedScalarString(value)
    return value


def _reads_otherwise(text: str) -> bool:
    """Return whether YAML 1.1 reads ``text`` as anything but this text."""
    try:
        return bool(yaml.safe_load(text) != text)
    except yaml.YAMLError:
        return False  # ruamel quotes it


def _plain(value: Any) -> str:
    """Return ``value`` for a person: without ruamel's types, and without a secret."""
    if isinstance(value, list):
        return repr([str(item) for item in value])
    if isinstance(value, dict):
        return repr({str(key): inner for key, inner in value.items()})
    if isinstance(value, str):
        return repr(redact(value))
    return repr(float(value) if isinstance(value, float) else value)
