"""What is said of models, in the terminal and in Prefect alike: their worth, their commands, their pages."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Model = dict[str, Any]
"""A registered model, as `tasks.registry.register.register` returns it."""


def figure(value: Any) -> str:
    """Return a number as people write it: 0.879 and not 0.8790000, 434 and not 434.0; anything else as it is."""
    if value is None:
        return "–"
    if not isinstance(value, float):
        return str(value)
    if value.is_integer() and abs(value) > 1:
        return f"{value:.0f}"
    whole, point, decimals = f"{value:.4f}".partition(".")
    return f"{whole}{point}{decimals.rstrip('0') or '0'}" if point else whole


def interval(ends: Sequence[float] | None) -> str:
    """Return the ends of an interval, or nothing where none was measured."""
    return f"{figure(ends[0])} – {figure(ends[1])}" if ends else ""


def duration(seconds: float) -> str:
    """Return a time as people say it: 12.3 s, 4 min 5 s, 1 h 20 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def worth(model: Model) -> str:
    """Return in one sentence what a registered model is worth, and what it became."""
    from tasks.registry import gate

    family = model["family"]
    sentence = gate.worth(family, model["verdict"], model["metrics"])
    became = _became(model)
    return f"{family}: {sentence}; {became}" if sentence else f"{family}: {became}"


def _became(model: Model) -> str:
    version = model["version"]
    if "champion" in model["aliases"]:
        return f"it is the champion (version {version})."
    return f"it did not pass the gate and is kept as challenger (version {version})."


def question(model: Model) -> str:
    """Return a command that works and asks this very model."""
    from beauty_models import families

    family = model["family"]
    which = [] if "champion" in model["aliases"] else ["--version", str(model["version"])]
    return command("predict", family, *which, *families.wording(family).example)


def command(*arguments: str) -> str:
    """Return a ``beauty`` command line that works where it is shown: with the path of `beauty` if the shell does not find it."""
    name = "beauty"
    if not shutil.which(name):
        beauty = Path(sys.executable).with_name(name)
        name = os.path.relpath(beauty) if beauty.is_relative_to(Path.cwd()) else str(beauty)
    return " ".join([name, *map(shlex.quote, arguments)])


def page(model: Model) -> str | None:
    """Return the model's page in MLflow while something serves it, else None: a dead address helps nobody."""
    from flows.settings import running_ui

    url = str(model["mlflow_url"] or "")
    served = running_ui() or os.environ.get("MLFLOW_TRACKING_URI", "").startswith("http")
    return url if served and url.startswith("http") else None
