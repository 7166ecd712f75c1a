"""What is said of models, in the terminal and in Prefect alike: worth, commands, pages.

And of stages, why they must run.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beauty_models import code
from beauty_models.files import read_json

if TYPE_CHECKING:
    from tasks.registry.register import Registration
    from tasks.registry.registry import Version


def format_number(value: Any) -> str:
    """Return a number as people write it: 0.879 and not 0.8790000, 434 and not 434.0.

    Anything else is returned as it is.
    """
    if value is None:
        return "–"
    if not isinstance(value, float):
        return str(value)
    # A share of 1.0 keeps its point, a count such as n: 434.0 does not.
    if value.is_integer() and abs(value) > 1:
        return f"{value:.0f}"
    whole, point, decimals = f"{value:.4f}".partition(".")
    # NaN and infinity have no point.
    if not point:
        return whole
    return f"{whole}.{decimals.rstrip('0') or '0'}"


def format_interval(ends: Sequence[float] | None) -> str:
    """Return the ends of an interval, or nothing where none was measured."""
    return f"{format_number(ends[0])} – {format_number(ends[1])}" if ends else ""


def data_account(family: str) -> str:
    """Return in a line what was read for the family's data, and where its account lies.

    Nothing where it is not there: another machine read the data, or they are from before.
    """
    from beauty_models import families

    # Read as JSON: the module that writes it would bring pandas into every screen.
    file = families.path("data", family) / "account.json"
    if not file.exists():
        return ""
    account = read_json(file)
    told = []
    for counts in account["counts"]:
        parts = {"kept": counts["kept"]}
        for kind in ("dropped", "rejected"):
            parts[kind] = sum(row["count"] for row in counts[kind])
        listed = [f"{count:,} {name}" for name, count in parts.items() if count]
        told.append(f"{counts['read']:,} {counts['what']}, {', '.join(listed)}")
    guesses = len(account["guessed"])
    if guesses:
        told.append(f"{guesses} guess{'es' * (guesses > 1)}")
    return f"Read: {'; '.join(told)} ({file})"


def format_duration(seconds: float) -> str:
    """Return a time as people say it: 12.3 s, 4 min 5 s, 1 h 20 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    # Rounded first: 3599.6 s are 1 h 0 min, and not 59 min 60 s.
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


# As `tasks.pipeline.staleness` words it; a path has slashes.
CHANGED_MODULE = re.compile(rf"({code.PACKAGE.name}(?:\.\w+)*) changed")


def because(reasons: Sequence[str], family: str) -> list[str]:
    """Return why a stage of ``family`` must run, with many changed modules in one line.

    An upgrade of the code changes hundreds: the first ones, nearest to the stage, tell enough.
    """
    modules = [match[1] for match in map(CHANGED_MODULE.fullmatch, reasons) if match]
    if len(modules) <= code.SHOWN_MODULES:
        return list(reasons)
    others = [reason for reason in reasons if not CHANGED_MODULE.fullmatch(reason)]
    summary = (
        f"{len(modules)} modules changed: {code.shortened(modules)} "
        f"(`beauty why {family} --json` names all)"
    )
    return [summary, *others]


def worth(model: Registration) -> str:
    """Return in one sentence what a registered model is worth, and what it became."""
    from tasks.registry import gate

    family = model["family"]
    sentence = gate.worth(family, model["verdict"], model["metrics"])
    standing = _standing(model)
    return f"{family}: {sentence}; {standing}" if sentence else f"{family}: {standing}"


def _standing(model: Registration) -> str:
    """Return in words what the model became: champion or challenger."""
    version = model["version"]
    if "champion" in model["aliases"]:
        return f"it is the champion (version {version})."
    return f"it did not pass the gate and is kept as challenger (version {version})."


def predict_command(model: Registration | Version) -> str:
    """Return a command that works and asks this very model."""
    from beauty_models import families

    family = model["family"]
    # The champion is asked without a number, and so is whoever succeeds it.
    arguments = ["predict", family]
    if "champion" not in model["aliases"]:
        arguments += ["--version", str(model["version"])]
    return beauty_command(*arguments, *families.wording(family).example)


def beauty_command(*arguments: str) -> str:
    """Return a ``beauty`` command line that works where it is shown.

    It has the path of `beauty` if the shell does not find it.
    """
    name = "beauty"
    if not shutil.which(name):
        beauty = Path(sys.executable).with_name(name)
        name = os.path.relpath(beauty) if beauty.is_relative_to(Path.cwd()) else str(beauty)
    return shlex.join([name, *arguments])


def mlflow_page(model: Registration) -> str | None:
    """Return the model's page in MLflow while something serves it.

    Else None: a dead address helps nobody.
    """
    from flows.settings import running_ui

    # The address was made when the model was registered; its server may have ended since.
    url = str(model["mlflow_url"] or "")
    served = running_ui() or os.environ.get("MLFLOW_TRACKING_URI", "").startswith("http")
    return url if served and url.startswith("http") else None
