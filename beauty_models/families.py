"""The shape every family has: which stages, which functions, which paths stand for which names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

Metrics = dict[str, float]
"""Flat figures of a stage. Those of a baseline are named ``baseline/metric``; an interval is ``metric.low``, ``metric.high``."""

STAGES = {"ingest": "data", "pretrain": "pretrained", "finetune": "model", "evaluate": "report"}
"""Stage → the path name it writes; the others that its signature names, it reads."""

MODULES = {
    "ingest": "data",
    "pretrain": "pretrain",
    "finetune": "finetune",
    "evaluate": "evaluate",
    "predict": "predict",
}
"""Function → the module of the family that holds it."""


class Wording(NamedTuple):
    """How screens speak of a family's models; each family's ``__init__`` holds one as ``WORDING``."""

    figure: str  # what the sentence tells: a share of 1 among evaluate's figures
    sentence: str  # the model's side of it, with {right} of {of}
    names: dict[str, str]  # figures and baselines → what they are called in words
    example: tuple[str, ...]  # arguments of ``predict`` that every model of the family can answer


def names() -> list[str]:
    """Return the families: the packages beside this file that define ``Params``."""
    return sorted(
        p.parent.name
        for p in Path(__file__).parent.glob("*/__init__.py")
        if "class Params(" in p.read_text(encoding="utf-8")
    )


def function(name: str, family: str) -> Callable[..., Any]:
    """Return the family's function ``name``, a stage or ``predict``.

    Raises:
        ValueError: there is no such family or function.
    """
    if family not in names():
        raise ValueError(f"unknown family {family!r}; there are: {', '.join(names())}")
    if name not in MODULES:
        raise ValueError(f"unknown stage {name!r}; there are: {', '.join(MODULES)}")
    found: Callable[..., Any] = getattr(
        import_module(f"beauty_models.{family}.{MODULES[name]}"), name
    )
    return found


def wording(family: str) -> Wording:
    """Return how to speak of the family's models."""
    found: Wording = import_module(f"beauty_models.{family}").WORDING
    return found


def path(name: str, family: str) -> Path:
    """Return where the path called ``name`` (raw, data, pretrained, model, report) lies for ``family``."""
    return Path("data/raw") / family if name == "raw" else Path("build") / family / name


def path_names(stage: Callable[..., Any]) -> list[str]:
    """Return the names of the paths in a stage's signature: all its parameters but ``params``."""
    return [name for name in inspect.signature(stage).parameters if name != "params"]
