"""A typed, closed view of params.yaml: every value comes from the file, an unknown or missing key is an error."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

PARAMS_FILE = Path("params.yaml")


class Section(BaseModel):
    """A block of params.yaml. Frozen; keys that the class does not name are refused; no defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Gate(Section):
    """What a candidate must reach to become champion; the same for every family."""

    metric: str  # a key of metrics/<family>/evaluate.json, larger is better
    floor: float  # the least value of `metric` that may serve
    tolerance: float  # how far below the champion still counts as "not worse"


F = TypeVar("F", bound=Section)


def read(file: Path = PARAMS_FILE) -> dict[str, Any]:
    """Return the family blocks of ``file``, unchecked.

    Raises:
        ValueError: the file is missing, is not YAML, or has no ``families`` mapping.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{file}: no such file; run from the project's root folder") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{file}: not valid YAML: {error}") from error
    families = content.get("families") if isinstance(content, dict) else None
    if not isinstance(families, dict) or not families:
        raise ValueError(f"{file}: needs a mapping `families:` with one block per family")
    return families


def merge(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with the leaves of ``overlay`` in place of its own; neither is changed."""
    merged = dict(base)
    for key, value in overlay.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def check(family: str, block: dict[str, Any], file: Path = PARAMS_FILE) -> Any:
    """Return the family's ``Params`` for ``block``.

    Raises:
        ValueError: naming the file, the full key and what is wrong with its value, one line per key.
    """
    params: type[Section] = import_module(f"beauty_models.{family}").Params
    try:
        return params.model_validate(block)
    except ValidationError as error:
        lines = [f"{file}: families.{family}.{'.'.join(map(str, e['loc']))}: {e['msg']} (got {e['input']!r:.80})" for e in error.errors()]
        raise ValueError("\n".join(lines)) from None


def load(family: str, file: Path = PARAMS_FILE) -> Any:
    """Return the checked ``Params`` of one family.

    Raises:
        ValueError: as `read` and `check`, or ``file`` has no block for ``family``.
    """
    families = read(file)
    if family not in families:
        raise ValueError(f"{file}: no block families.{family}; it has {', '.join(families)}")
    return check(family, families[family], file)
