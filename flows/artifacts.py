"""What a person sees of a run in Prefect's pages: a bar per family while it runs, the gate's verdicts, and its story.

Prefect prints the address of an image artifact below it, and ours would be a picture in base64: pictures stand in the
story (`flows.story`), small.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable
from functools import partial, wraps
from typing import ParamSpec, cast
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)
from prefect.logging import get_logger

from flows.outbox import outbox
from tasks.registry.register import Registration

PROGRESS = re.compile(r"progress: (\d+(?:\.\d+)?) (.*)")
EVERY = 5.0  # seconds between two movements of a progress bar

P = ParamSpec("P")


NUMBERS = itertools.count()


def _harmless(show: Callable[[], object]) -> None:
    """Call ``show``; what fails costs a warning and never a training run."""
    try:
        show()
    except Exception as error:
        get_logger("beauty").warning("the Prefect UI does not show this: %s", error)


def decoration(show: Callable[P, None]) -> Callable[P, None]:
    """Return ``show`` so that it is done on the side (`flows.outbox`): nobody waits for a Prefect server."""

    @wraps(show)
    def shown(*args: P.args, **kwargs: P.kwargs) -> None:
        call = partial(show, *args, **kwargs)
        outbox.put(f"{show.__name__} {next(NUMBERS)}", partial(_harmless, call))

    return shown


def key(*parts: str) -> str:
    """Return ``parts`` as an artifact key: small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def parse_progress(line: str) -> tuple[float, str] | None:
    """Return the share (0 to 1) and the text of a ``progress:`` line, or None for any other line."""
    found = PROGRESS.fullmatch(line)
    return (min(float(found[1]), 1.0), found[2]) if found else None


def progress_bar(verb: str, family: str, bars: dict[str, UUID]) -> Callable[[float, str], None]:
    """Return a function that moves the family's progress artifact now and then.

    A family has one in a run, which its stages use one after the other: ``bars`` is family → its artifact.
    """
    name = key("progress", family)
    moved = 0.0

    def draw(share: float, text: str) -> None:
        if bar := bars.get(family):
            update_progress_artifact(bar, 100 * share, description=text)
        else:
            made = create_progress_artifact(100 * share, key=name, description=text)
            bars[family] = cast(UUID, made)

    def move(share: float, text: str) -> None:
        nonlocal moved
        if time.monotonic() - moved < EVERY and share < 1:
            return
        moved = time.monotonic()
        outbox.put(key("progress", verb, family), partial(_harmless, partial(draw, share, text)))

    return move


@decoration
def publish_registration(registered: Registration) -> None:
    """Show the gate's verdict of a new version, criterion by criterion, with all its plain figures."""
    family, version = registered["family"], registered["version"]
    create_markdown_artifact(
        registered["verdict_markdown"],
        key=key("gate", family),
        description=f"{family} version {version}",
    )


def publish_page(name: str, description: str, markdown: str) -> None:
    """Show a page of Markdown under the key ``name``."""
    create_markdown_artifact(markdown, key=name, description=description)
