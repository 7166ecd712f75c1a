"""Make the pictures of docs/images of a run that really takes place: ``python docs/pictures.py``.

The commands of ``beauty`` run, each in a terminal of 80 columns, in a scratch clone of this
checkout's last commit, or with ``--project DIR`` in a project that has been trained before; what
they print becomes an SVG, and chromium makes a PNG of it (``apt install chromium``). The run goes
to Prefect and MLflow as ``make ui`` serves them, and their pages of it are photographed. ``--only
pages`` photographs the pages of the project's last run alone, and ``--only screens`` leaves them
out. Fonts with Chinese characters (``apt install fonts-noto-cjk``) are needed for the examples.
"""

from __future__ import annotations

import argparse
import fcntl
import io
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs/images"
COLUMNS, LINES = 80, 50
SCALE = 0.8  # of rich's drawing, which is made for slides
MARGIN = 40  # pixels: the least that chromium's window is larger than the drawing
PAGE = 1280  # pixels: the width of a page
ASSISTANT = 440  # pixels: what MLflow keeps at its right for an assistant that is not set up here
LOAD_MS = 30_000  # of a page's own time, which runs as fast as it can


def surroundings(project: Path) -> dict[str, str]:
    """Return the environment in which a command finds the project's code and this Python."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(project)}


def screen(command: list[str], project: Path) -> str:
    """Return what ``command`` prints to a terminal of 80 columns; its standard error goes to ours.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = surroundings(project) | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    environment.pop("COLUMNS", None)
    shown = [sys.executable, "-m", "cli.main", *command]
    with subprocess.Popen(shown, cwd=project, stdout=theirs, env=environment) as child:
        os.close(theirs)
        printed = bytearray()
        while True:
            try:
                some = os.read(ours, 65536)
            except OSError:  # how Linux says that the other end of a terminal is closed
                break
            if not some:
                break
            printed += some
    os.close(ours)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, shown)
    return printed.decode().replace("\r\n", "\n")


def draw(target: Path, command: list[str], printed: str) -> None:
    """Draw what ``command`` printed to the PNG file ``target``."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(printed.strip("\n")))
    svg = console.export_svg(title=" ".join(["beauty", *command]), theme=MONOKAI)
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert size, "rich writes the size of its drawing as viewBox"
    width, height = (round(float(side) * SCALE) for side in size.groups())
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        style = f"body{{margin:0}} svg{{display:block;width:{width}px;height:{height}px}}"
        page.write_text(f"<meta charset=utf-8><style>{style}</style>{svg}", encoding="utf-8")
        photograph(page.as_uri(), target, width, height)
    crop(target, width, height, colours=64)


def photograph(address: str, target: Path, width: int, height: int) -> None:
    """Store a picture of the page at ``address`` in the PNG file ``target``.

    At least ``width`` by ``height`` pixels of it.
    """
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("error: chromium is not installed: apt install chromium")
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--screenshot={target}"]
    options += [f"--virtual-time-budget={LOAD_MS}", "--no-proxy-server"]
    # A new headless window loses some of its height to a frame that nobody sees.
    window = f"--window-size={width},{height + 2 * MARGIN}"
    subprocess.run([chromium, *options, window, address], check=True, capture_output=True)


def crop(file: Path, width: int, height: int, colours: int) -> None:
    """Cut the picture to the drawing and store it with few colours: a screen has no more."""
    from PIL import Image

    with Image.open(file) as picture:
        cut = picture.convert("RGB").crop((0, 0, width, height))
    cut.quantize(colours).save(file, optimize=True)


@contextmanager
def served(project: Path) -> Iterator[dict[str, str]]:
    """Serve the project's Prefect and MLflow while the block runs, unless somebody does.

    Yield their addresses.

    Raises:
        RuntimeError: they do not come up.
    """
    from flows.settings import free_port, running_ui

    if urls := running_ui(project):
        yield urls
        return
    ports = ["--prefect-port", str(free_port()), "--mlflow-port", str(free_port())]
    command = [sys.executable, "-m", "cli.ui", *ports]
    with subprocess.Popen(
        command, cwd=project, env=surroundings(project), stdout=subprocess.DEVNULL
    ) as pages:
        try:
            while pages.poll() is None and not (urls := running_ui(project)):
                time.sleep(0.2)
            if pages.poll() is not None:
                raise RuntimeError(f"the pages do not come up; see {project}/.beauty/logs")
            yield urls
        finally:
            pages.send_signal(signal.SIGTERM)


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    """Return the JSON that a server of this machine answers; with a ``body`` it is posted."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json"})
    with build_opener(ProxyHandler({})).open(request, timeout=300) as answer:
        return json.load(answer)


def story_page(prefect: str) -> tuple[str, int]:
    """Return the address of the newest story that tells of a new model, and how many pixels high it
    is.
    """
    wanted = {"artifacts": {"key": {"any_": ["retrain"]}}, "sort": "CREATED_DESC"}
    for found in ask(f"{prefect}/api/artifacts/filter", wanted):
        if "| this model |" in found["data"]:
            height = 650 + 500 * found["data"].count("Ask it:")
            return f"{prefect}/artifacts/artifact/{found['id']}", height
    raise RuntimeError("no run of this project has told of a new model")


def mlflow_pages(mlflow: str, family: str) -> dict[str, str]:
    """Return picture → address: the family's newest version, and the curves of its training."""
    api = f"{mlflow}/ajax-api/2.0/mlflow"
    model = ask(f"{api}/registered-models/get?name={family}")["registered_model"]
    newest = max(model["latest_versions"], key=lambda version: int(version["version"]))
    run = newest["run_id"]
    experiment = ask(f"{api}/runs/get?run_id={run}")["run"]["info"]["experiment_id"]
    return {
        "mlflow-version": f"{mlflow}/#/models/{family}/versions/{newest['version']}",
        "mlflow-curves": f"{mlflow}/#/experiments/{experiment}/runs/{run}/model-metrics",
    }


HEIGHTS = {"mlflow-version": 1060, "mlflow-curves": 630}
"""Picture → pixels of the page that are shown."""


def draw_pages(urls: dict[str, str], family: str, images: Path) -> list[Path]:
    """Photograph the story of the last run and the version of ``family``; return the pictures."""
    story = images / "prefect-story.png"
    address, height = story_page(urls["prefect"])
    photograph(address, story, PAGE, height)
    crop(story, PAGE, height, colours=128)
    drawn = [story]
    for name, page in mlflow_pages(urls["mlflow"], family).items():
        target = images / f"{name}.png"
        photograph(page, target, PAGE + ASSISTANT, HEIGHTS[name])
        crop(target, PAGE, HEIGHTS[name], colours=128)
        drawn.append(target)
    return drawn


def draw_screens(
    families: list[str], profile: list[str], project: Path, images: Path
) -> list[Path]:
    """Run the commands and draw their screens; return the pictures."""
    # `why` first: nothing has run, or what has changed since.
    screens = {"why": ["why", *families]}
    screens["retrain"] = ["retrain", *families, *profile]
    screens["models"] = ["models"]
    for name, command in screens.items():
        draw(images / f"{name}.png", command, screen(command, project))
    return [images / f"{name}.png" for name in screens]


def main() -> int:
    """Parse the command line, run the commands and draw their screens."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--project", type=Path, help="run there instead of in a new clone")
    parser.add_argument("--families", nargs="*", default=["sentiment"], help="what is retrained")
    parser.add_argument("--profile", default="", help="such as toy, which takes a minute")
    parser.add_argument("--images", type=Path, default=IMAGES, help="where the pictures go")
    parser.add_argument("--only", choices=["screens", "pages"], help="one kind of pictures")
    options = parser.parse_args()
    images = options.images.resolve()
    images.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="beauty-pictures-") as folder:
        project = options.project
        if project is None:
            project = Path(folder) / "beauty-models"
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(project)], check=True)
        project = project.resolve()
        profile = ["--profile", options.profile] if options.profile else []
        drawn = []
        with served(project) as urls:
            if options.only != "pages":
                drawn += draw_screens(options.families, profile, project, images)
            if options.only != "screens":
                drawn += draw_pages(urls, options.families[0], images)
    for picture in drawn:
        print(f"{picture}: {picture.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
