"""What a person sees of a run in Prefect's pages: a bar per family, samples, verdicts, its story.

Prefect prints the address of an image artifact below it, and ours would be a picture in base64:
pictures stand in pages of Markdown, small.
"""

from __future__ import annotations

import base64
import io
import itertools
import json
import re
import time
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import ParamSpec, cast
from uuid import UUID

from flows.outbox import outbox
from flows.prefect_api import get_logger
from tasks.registry.register import Registration

PROGRESS = re.compile(r"progress: (\d+(?:\.\d+)?) (.*)")
PICTURE = re.compile(r"picture: (\{.*\})")
# Pixels: the longer side of a sheet of samples. As noise, the costliest, it takes 470 kB on its
# page, as faces 30 to 60.
SHEET_SIDE = 768
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


def parse_picture(line: str) -> tuple[Path, str] | None:
    """Return the file and the caption of a ``picture:`` line; None for any other line."""
    # `beauty_models.progress` writes them; a line that only looks like one stays a line.
    match = PICTURE.fullmatch(line)
    if match is None:
        return None
    try:
        told = json.loads(match[1])
        return Path(told["file"]), str(told["caption"])
    except (ValueError, KeyError, TypeError):
        return None


def progress_bar(
    verb: str, family: str, artifacts: dict[str, UUID]
) -> Callable[[float, str], None]:
    """Return a function that moves the family's progress artifact now and then.

    A family has one in a run, which its stages use one after the other: ``artifacts`` are those
    that the run replaces, by key.
    """
    key = artifact_key("progress", family)
    moved_at = 0.0

    def draw(share: float, text: str) -> None:
        # Here, because it takes a while to import, and a run with nothing to do shows no bar.
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        if bar := artifacts.get(key):
            update_progress_artifact(bar, 100 * share, description=text)
        else:
            created = create_progress_artifact(100 * share, key=key, description=text)
            artifacts[key] = cast(UUID, created)

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


def sample_sheet(verb: str, family: str, artifacts: dict[str, UUID]) -> Callable[[Path, str], None]:
    """Return a function that shows a picture file that the stage has just written.

    A stage has one artifact for them in a run, in which the newest picture takes the place of the
    one before: ``artifacts`` are those that the run replaces, by key.
    """
    key = artifact_key("samples", family, verb)

    def publish(content: bytes, caption: str) -> None:
        # Enlarged, for a face of 32 pixels is a stamp on a screen.
        markdown = inline_picture(io.BytesIO(content), caption, SHEET_SIDE, enlarge=True) + "\n"
        if artifact := artifacts.get(key):
            _replace_page(artifact, caption, markdown)
        else:
            artifacts[key] = publish_page(key, caption, markdown)

    def read_and_send(file: Path, caption: str) -> None:
        # Now, and not when a slow server has time for it: another run may write there by then.
        content = file.read_bytes()
        outbox.put(key, partial(_without_raising, partial(publish, content, caption)))

    def show(file: Path, caption: str) -> None:
        _without_raising(partial(read_and_send, file, caption))

    return show


def inline_picture(file: Path | io.BytesIO, name: str, side: int, *, enlarge: bool = False) -> str:
    """Return a picture as Markdown that needs no other file; its longer side is ``side`` at most.

    With ``enlarge`` a smaller one is made as many times larger as there is room for.

    Raises:
        OSError: ``file`` is no picture.
    """
    from PIL import Image

    with Image.open(file) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((side, side))
    times = side // max(picture.size)
    if enlarge and times > 1:
        width, height = picture.size
        picture = picture.resize((times * width, times * height), Image.Resampling.BICUBIC)
    webp = io.BytesIO()
    picture.save(webp, "WEBP", quality=70)
    address = "data:image/webp;base64," + base64.b64encode(webp.getvalue()).decode()
    return f"![{name}]({address})"


@in_background
def publish_registration(registered: Registration) -> None:
    """Show the gate's verdict of a new version, criterion by criterion, with its plain metrics."""
    family = registered["family"]
    name = f"{family} version {registered['version']}"
    publish_page(artifact_key("gate", family), name, registered["verdict_markdown"])


def publish_page(key: str, description: str, markdown: str) -> UUID:
    """Show a page of Markdown under the artifact key ``key``; return the artifact."""
    from prefect.artifacts import create_markdown_artifact

    return cast(UUID, create_markdown_artifact(markdown, key=key, description=description))


def _replace_page(artifact: UUID, description: str, markdown: str) -> None:
    """Show another page in the place of the one that ``artifact`` holds."""
    from prefect.client.orchestration import get_client

    body = {"description": description, "data": markdown}
    with get_client(sync_client=True) as client:
        # Not by its `update_artifact`, which also sends an event that holds the whole page: the
        # server would keep each picture for a week.
        client.request("PATCH", "/artifacts/{id}", json=body, path_params={"id": artifact})
