"""What a person sees of a run in the Prefect UI: progress, figures, pictures and the gate's verdict."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, cast
from uuid import UUID

import httpx
from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.exceptions import PrefectException
from prefect.logging import get_logger

from beauty_models.common.files import read_json
from flows.settings import running_ui

PROGRESS = re.compile(r"progress: (\d+(?:\.\d+)?) (.*)")
EVERY = 5.0  # seconds between two movements of a progress bar
PICTURES = 4  # at most, per family
PICTURE_BYTES = (
    300_000  # a larger picture stays in the report: artifacts live in Prefect's database
)


P = ParamSpec("P")


def decoration(show: Callable[P, None]) -> Callable[P, None]:
    """Return ``show`` so that a Prefect server that does not answer costs a warning and never a training run."""

    @wraps(show)
    def shown(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            show(*args, **kwargs)
        except (httpx.HTTPError, PrefectException) as error:
            get_logger("beauty").warning("the Prefect UI does not show this: %s", error)

    return shown


def key(*parts: str) -> str:
    """Return ``parts`` as an artifact key: small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def parse_progress(line: str) -> tuple[float, str] | None:
    """Return the share (0 to 1) and the text of a ``progress:`` line, or None for any other line."""
    found = PROGRESS.fullmatch(line)
    return (min(float(found[1]), 1.0), found[2]) if found else None


def progress_bar(verb: str, family: str) -> Callable[[float, str], None]:
    """Return a function that moves the stage's progress artifact, made with its first call."""
    bar: dict[str, UUID] = {}
    moved = 0.0

    @decoration
    def move(share: float, text: str) -> None:
        nonlocal moved
        if time.monotonic() - moved < EVERY and share < 1:
            return
        moved = time.monotonic()
        if bar:
            update_progress_artifact(bar["id"], 100 * share, description=text)
        else:
            made = create_progress_artifact(
                100 * share, key=key("progress", verb, family), description=text
            )
            bar["id"] = cast(UUID, made)

    return move


def table(figures: dict[str, float]) -> list[dict[str, Any]]:
    """Return flat metrics as rows, one per figure, with a column for the model and one for each baseline or champion."""
    rows: dict[str, dict[str, Any]] = {}
    for name, value in sorted(figures.items()):
        who, _, figure = name.rpartition("/")
        rows.setdefault(figure, {"figure": figure})[who or "model"] = f"{value:.4g}"
    columns = [
        "figure",
        "model",
        *sorted({column for row in rows.values() for column in row} - {"figure", "model"}),
    ]
    return [{column: row.get(column, "") for column in columns} for row in rows.values()]


@decoration
def publish_metrics(verb: str, family: str, extra: dict[str, float] | None = None) -> None:
    """Show metrics/<family>/<verb>.json, and ``extra`` figures such as ``champion/macro_f1``, as a table."""
    file = Path("metrics") / family / f"{verb}.json"
    if file.exists():
        rows = table({**read_json(file), **(extra or {})})
        create_table_artifact(
            rows, key=key("metrics", verb, family), description=f"# {family}: {verb}"
        )


@decoration
def publish_pictures(family: str) -> None:
    """Show the smaller PNG pictures of the family's report."""
    pictures = sorted((Path("build") / family / "report").glob("**/*.png"))
    for picture in [p for p in pictures if p.stat().st_size <= PICTURE_BYTES][:PICTURES]:
        url = "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
        create_image_artifact(
            url, key=key("picture", family, picture.stem), description=f"{family}: {picture.name}"
        )


@decoration
def publish_registration(registered: dict[str, Any]) -> None:
    """Show the gate's verdict, the metrics next to the champion's, and a link to the version in MLflow."""
    family, version = registered["family"], registered["version"]
    create_markdown_artifact(
        registered["verdict_markdown"],
        key=key("gate", family),
        description=f"{family} version {version}",
    )
    publish_metrics("evaluate", family, registered["metrics"])
    url = str(registered["mlflow_url"] or "")
    if not url.startswith("http"):
        url = f"{running_ui().get('mlflow', 'http://127.0.0.1:5000')}/#/models/{family}/versions/{version}"
    create_link_artifact(
        url, link_text=f"{family} version {version} in MLflow", key=key("mlflow", family)
    )
