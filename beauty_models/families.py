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


COMMON_NAMES = {
    "macro_f1": "macro-F1",
    "majority": "always the commonest class",
    "tfidf_logreg": "word counts (TF-IDF + logistic regression)",
}
"""Figures and baselines that several families measure → what they are called in words."""

COMMON_HEADLINES = {
    "ingest": {"n": "kept", "rejected": "rejected"},
    "pretrain": {"loss": "loss_after"},
    "evaluate": {"n": "n"},
}
"""Stage → short name in DVC's table → the figure, unless a family says otherwise."""


class Wording(NamedTuple):
    """How screens speak of a family's models; each family's ``__init__`` holds one as ``WORDING``."""

    figure: str  # what the sentence tells: a share of 1 among evaluate's figures
    sentence: str  # the model's side of it, with {right} of {of}
    headlines: dict[str, dict[str, str]]  # as in `COMMON_HEADLINES`, beyond those
    names: dict[str, str]  # as in `COMMON_NAMES`, beyond those
    example: tuple[str, ...]  # arguments of ``predict`` that every model of the family can answer
    picture: str = ""  # the picture of the report that tells most when it is small, if there is one


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
    found: Callable[..., Any] = getattr(import_module(module(name, family)), name)
    return found


def module(name: str, family: str) -> str:
    """Return the name of the module that holds the family's function ``name``."""
    return f"beauty_models.{family}.{MODULES[name]}"


def wording(family: str) -> Wording:
    """Return how to speak of the family's models."""
    found: Wording = import_module(f"beauty_models.{family}").WORDING
    return found


def in_words(family: str, name: str) -> str:
    """Return what a figure or a baseline of the family is called in words, or its name where it has none."""
    return wording(family).names.get(name) or COMMON_NAMES.get(name, name)


def strongest_baseline(metric: str, figures: Metrics) -> str | None:
    """Return the baseline that counts (evaluate measured the lead over it) and is best by ``metric``."""
    ending = f"/{metric}.margin_low"
    names = [key.removesuffix(ending) for key in figures if key.endswith(ending)]
    known = [name for name in names if f"{name}/{metric}" in figures]
    return max(known, key=lambda name: figures[f"{name}/{metric}"], default=None)


def headline(stage: str, family: str, figures: Metrics) -> Metrics:
    """Return the few of a stage's ``figures`` that DVC shows side by side, under names that all families share.

    A column of ``dvc metrics show`` is a name, so names of their own would make the table as wide as there are families.
    Where a score has baselines, ``baseline`` is the strongest one's, ``lead`` the least lower bound of the lead over any.
    """
    chosen = COMMON_HEADLINES.get(stage, {}) | wording(family).headlines.get(stage, {})
    found = {short: figures[name] for short, name in chosen.items() if name in figures}
    metric = chosen.get("score", "")
    if baseline := strongest_baseline(metric, figures):
        ending = f"/{metric}.margin_low"
        found["baseline"] = figures[f"{baseline}/{metric}"]
        found["lead"] = min(value for name, value in figures.items() if name.endswith(ending))
    return found


def path(name: str, family: str) -> Path:
    """Return where the path called ``name`` (raw, code, data, pretrained, model, report) lies for ``family``."""
    return Path("data/raw") / family if name == "raw" else Path("build") / family / name


def path_names(stage: Callable[..., Any]) -> list[str]:
    """Return the names of the paths in a stage's signature: all its parameters but ``params``."""
    return [name for name in inspect.signature(stage).parameters if name != "params"]
