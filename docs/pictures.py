"""Draw the screens of the ``beauty`` command as the pictures of docs/images: ``python docs/pictures.py``.

The commands really run, each in a terminal of 80 columns, in a scratch clone of this checkout's last commit, or with
``--project DIR`` in a project that has been trained before. What they print becomes an SVG, and chromium makes a PNG of it
(``apt install chromium``). Fonts with Chinese characters (``apt install fonts-noto-cjk``) are needed for the examples.
"""

from __future__ import annotations

import argparse
import fcntl
import io
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs/images"
COLUMNS, LINES = 80, 50
SCALE = 0.8  # of rich's drawing, which is made for slides
MARGIN = 40  # pixels: the least that chromium's window is larger than the drawing


def screen(command: list[str], project: Path) -> str:
    """Return what ``command`` prints to a terminal of 80 columns; its standard error goes to ours.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    environment.pop("COLUMNS", None)
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    environment["PYTHONPATH"] = str(project)
    shown = [sys.executable, "-m", "flows.cli", *command]
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
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        if chromium is None:
            raise SystemExit("error: chromium is not installed: apt install chromium")
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--screenshot={target}"]
        # A new headless window loses some of its height to a frame that nobody sees.
        window = f"--window-size={width},{height + 2 * MARGIN}"
        subprocess.run([chromium, *options, window, page.as_uri()], check=True, capture_output=True)
    crop(target, width, height)


def crop(file: Path, width: int, height: int) -> None:
    """Cut the picture to the drawing and store it with few colours: a screen has no more."""
    from PIL import Image

    with Image.open(file) as picture:
        cut = picture.convert("RGB").crop((0, 0, width, height))
    cut.quantize(64).save(file, optimize=True)


def main() -> int:
    """Parse the command line, run the commands and draw their screens."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--project", type=Path, help="run there instead of in a new clone")
    parser.add_argument("--families", nargs="*", default=["sentiment"], help="what is retrained")
    parser.add_argument("--profile", default="", help="such as toy, which takes a minute")
    parser.add_argument("--images", type=Path, default=IMAGES, help="where the pictures go")
    options = parser.parse_args()
    options.images.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="beauty-pictures-") as folder:
        project = options.project
        if project is None:
            project = Path(folder) / "beauty-models"
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(project)], check=True)
        profile = ["--profile", options.profile] if options.profile else []
        # `why` first: nothing has run, or what has changed since.
        screens = {"why": ["why", *options.families]}
        screens["retrain"] = ["retrain", *options.families, *profile]
        screens["models"] = ["models"]
        for name, command in screens.items():
            picture = options.images.resolve() / f"{name}.png"
            draw(picture, command, screen(command, project.resolve()))
            print(f"{picture}: {picture.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
