"""The shape every family has: which stages, which functions, which paths stand for which names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

Metrics = dict[str, float]
"""Flat figures of a stage. Those of a baseline are named ``baseline/metric``.

An interval is ``metric.low``, ``metric.high``.
"""

STAGES = {"ingest": "data", "pretrain": "pretrained", "finetune": "model", "evaluate": "report"}
"""Stage that every family has → the path name it writes; others of its signature it reads.

A family with more of them (an export for the edge, a distillation) says so by ``OPTIONAL_STAGES``
in its ``__init__``, a dict of the same form; params.yaml's ``stages`` switches them on. The module
is called as the stage is.
"""

MODULES = {"ingest": "data"}
"""Function → the module of the family that holds it, where that has another name."""


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
    """How screens speak of a family's models.

    Each family's ``__init__`` holds one as ``WORDING``.
    """

    figure: str  # what the sentence tells: a share of 1 among evaluate's figures
    sentence: str  # the model's side of it, with {right} of {of}
    headlines: dict[str, dict[str, str]]  # as in `COMMON_HEADLINES`, beyond those
    names: dict[str, str]  # as in `COMMON_NAMES`, beyond those
    example: tuple[str, ...]  # arguments of ``predict`` that every model of the family can answer
    ablations: frozenset[str] = frozenset()  # what evaluate compares that is a part of the model
    smaller_is_better: bool = False  # of evaluate's score among the headlines: it is a distance
    picture: str = ""  # the picture of the report that tells most when it is small, if there is one


def names() -> list[str]:
    """Return the families: the packages beside this file that define ``Params``."""
    return sorted(
        p.parent.name
        for p in Path(__file__).parent.glob("*/__init__.py")
        if "class Params(" in p.read_text(encoding="utf-8")
    )


def optional_stages(family: str) -> dict[str, str]:
    """Return the stages that the family has beyond `STAGES` → the path names that they write.

    None for a family that is not here: a registry may hold versions of what a checkout has not.
    """
    if family not in names():
        return {}
    declared: dict[str, str] = getattr(
        import_module(f"beauty_models.{family}"), "OPTIONAL_STAGES", {}
    )
    return declared


def stages(family: str) -> dict[str, str]:
    """Return all stages that the family can run → the path names that they write."""
    return STAGES | optional_stages(family)


def places(family: str) -> list[str]:
    """Return every path name that a stage of the family reads or writes."""
    return ["raw", *stages(family).values()]


def function(name: str, family: str) -> Callable[..., Any]:
    """Return the family's function ``name``, a stage or ``predict``.

    Raises:
        ValueError: there is no such family or function.
    """
    if family not in names():
        raise ValueError(f"unknown family {family!r}; there are: {', '.join(names())}")
    known = [*stages(family), "predict"]
    if name not in known:
        raise ValueError(f"{family} has no stage {name!r}; it has: {', '.join(known)}")
    found: Callable[..., Any] = getattr(import_module(module(name, family)), name)
    return found


def module(name: str, family: str) -> str:
    """Return the name of the module that holds the family's function ``name``."""
    return f"beauty_models.{family}.{MODULES.get(name, name)}"


def wording(family: str) -> Wording:
    """Return how to speak of the family's models."""
    found: Wording = import_module(f"beauty_models.{family}").WORDING
    return found


def in_words(family: str, name: str) -> str:
    """Return what a figure or a baseline of the family is called in words, else its name."""
    return wording(family).names.get(name) or COMMON_NAMES.get(name, name)


NOT_APPLICABLE = "not_applicable"
"""``NAME/not_applicable`` in evaluate.json.

The data lack what the baseline NAME needs, so nothing was measured.
"""


def compared(metric: str, metrics: Metrics) -> list[str]:
    """Return what evaluate compared the model with by ``metric``: baselines and ablations."""
    ending = f"/{metric}"
    return [key.removesuffix(ending) for key in metrics if key.endswith(ending)]


def strongest(
    metric: str, metrics: Metrics, baselines: Iterable[str], larger_is_better: bool = True
) -> str | None:
    """Return which of ``baselines`` is best by ``metric``; None where none was measured."""
    measured = [name for name in baselines if f"{name}/{metric}" in metrics]
    sign = 1 if larger_is_better else -1
    return max(measured, key=lambda name: sign * metrics[f"{name}/{metric}"], default=None)


def lead(
    metric: str, metrics: Metrics, baseline: str, larger_is_better: bool = True
) -> float | None:
    """Return by how much the model is better than ``baseline`` at least.

    Above 0 it is surely better.

    ``margin`` is the model's metric minus the baseline's, so where smaller is better the upper end
    of its interval is the least lead. None where no such margin was measured.
    """
    if larger_is_better:
        return metrics.get(f"{baseline}/{metric}.margin_low")
    end = metrics.get(f"{baseline}/{metric}.margin_high")
    return None if end is None else 0.0 - end  # -end would print as -0.0000 at a tie


def headline(stage: str, family: str, figures: Metrics) -> Metrics:
    """Return the few of a stage's ``figures`` that DVC shows, under names that families share.

    A column of ``dvc metrics show`` is a name, so names of their own would make the table as wide
    as there are families. Where a score has baselines, ``baseline`` is the strongest one's,
    ``lead`` the least lower bound of the lead over any. The gate has no say here: a stage's output
    depends on its own params alone.
    """
    chosen = COMMON_HEADLINES.get(stage, {}) | wording(family).headlines.get(stage, {})
    found = {short: figures[name] for short, name in chosen.items() if name in figures}
    metric = chosen.get("score", "")
    ablations = wording(family).ablations
    larger = not wording(family).smaller_is_better
    baselines = [name for name in compared(metric, figures) if name not in ablations]
    if baseline := strongest(metric, figures, baselines, larger):
        found["baseline"] = figures[f"{baseline}/{metric}"]
        leads = [lead(metric, figures, name, larger) for name in baselines]
        found["lead"] = min(value for value in leads if value is not None)
    return found


def path(name: str, family: str) -> Path:
    """Return where the path called ``name`` (raw, code, data, …, see `places`) lies."""
    return Path("data/raw") / family if name == "raw" else Path("build") / family / name


def path_names(stage: Callable[..., Any]) -> list[str]:
    """Return the names of the paths in a stage's signature: all its parameters but ``params``."""
    return [name for name in inspect.signature(stage).parameters if name != "params"]
