"""What a person sees of a run in Prefect's pages: a bar per family, the gate's verdicts, its story.

Prefect prints the address of an image artifact below it, and ours would be a picture in base64:
pictures stand in the story (`flows.story`), small.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable
from functools import partial, wraps
from typing import ParamSpec, cast
from uuid import UUID

from flows.outbox import outbox
from flows.prefect_api import get_logger
from tasks.registry.register import Registration

PROGRESS = re.compile(r"progress: (\d+(?:\.\d+)?) (.*)")
MOVE_EVERY_S = 5.0  # between two movements of a progress bar
CALL_NUMBERS = itertools.count()

P = ParamSpec("P")


def _without_raising(show: Callable[[], object]) -> None:
    """Call ``show``; what fails costs a warning and never a training run."""
    try:
        show()
    except Exception as error:
        get_logger("beauty").warning("the Prefect UI does not show this: %s", error)


def in_background(show: Callable[P, None]) -> Callable[P, None]:
    """Return ``show`` so that it is done on the side: nobody waits for a Prefect server."""

    @wraps(show)
    def put(*args: P.args, **kwargs: P.kwargs) -> None:
        call = partial(show, *args, **kwargs)
        # A key of its own: no page takes the place of another one that still waits.
        outbox.put(f"{show.__name__} {next(CALL_NUMBERS)}", partial(_without_raising, call))

    return put


def artifact_key(*parts: str) -> str:
    """Return ``parts`` as an artifact key: small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def parse_progress(line: str) -> tuple[float, str] | None:
    """Return the share (0 to 1) and the text of a ``progress:`` line; None for any other line."""
    # `beauty_models.progress` writes them; a line that only looks like one stays a line.
    match = PROGRESS.fullmatch(line)
    if match is None:
        return None
    return min(float(match[1]), 1.0), match[2]


def progress_bar(verb: str, family: str, bars: dict[str, UUID]) -> Callable[[float, str], None]:
    """Return a function that moves the family's progress artifact now and then.

    A family has one in a run, which its stages use one after the other: ``bars`` is family → its
    artifact.
    """
    key = artifact_key("progress", family)
    moved_at = 0.0

    def draw(share: float, text: str) -> None:
        # Here, because it takes a while to import, and a run with nothing to do shows no bar.
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        if bar := bars.get(family):
            update_progress_artifact(bar, 100 * share, description=text)
        else:
            created = create_progress_artifact(100 * share, key=key, description=text)
            bars[family] = cast(UUID, created)

    # A bar that moves at each step would ask the server a thousand times an epoch.
    def move(share: float, text: str) -> None:
        nonlocal moved_at
        # The end is shown in any case: nothing comes after it.
        if time.monotonic() - moved_at < MOVE_EVERY_S and share < 1:
            return
        moved_at = time.monotonic()
        call = partial(_without_raising, partial(draw, share, text))
        outbox.put(artifact_key("progress", verb, family), call)

    return move


@in_background
def publish_registration(registered: Registration) -> None:
    """Show the gate's verdict of a new version, criterion by criterion, with its plain metrics."""
    family = registered["family"]
    name = f"{family} version {registered['version']}"
    publish_page(artifact_key("gate", family), name, registered["verdict_markdown"])


def publish_page(key: str, description: str, markdown: str) -> None:
    """Show a page of Markdown under the artifact key ``key``."""
    from prefect.artifacts import create_markdown_artifact

    create_markdown_artifact(markdown, key=key, description=description)
