"""Tutorials for whole tables of requests, by a model that stays loaded.

For ``beauty predict tutorial --file IN --out OUT`` and for MLflow. Nothing is unpickled: MLflow
reads this module's name in the version's MLmodel file, and the weights are safetensors.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from beauty_models.tutorial.structure import Request

# Imports within functions are those that a look at --help or registering does without: torch takes
# seconds, pandas a good part of one.

# column of the frame → whether it must be there
COLUMNS = {
    "look": True,
    "language": False,
    "occasion": False,
    "skin_type": False,
    "products": False,
    "steps": False,
    "exclude": False,
}
ANSWERS = ("title", "language", "products", "tools", "steps", "markdown", "unmet")
# what `predict` takes besides the frame, with its value when not given
PARAMS: dict[str, int | float] = {
    "temperature": 0.7,
    "top_k": 50,
    "top_p": 0.9,
    "repetition_penalty": 1.05,
    "seed": 7,
}
FORMATS = ("json", "markdown", "html")


def parser() -> argparse.ArgumentParser:
    """Return the arguments of ``predict``; here, where ``--help`` need not wait for torch."""
    arguments = argparse.ArgumentParser(
        prog="beauty predict tutorial",
        description="Write a make-up tutorial; an editor must read it before it is published.",
    )
    arguments.add_argument("look", nargs="?", default="", help="a look or a title")
    arguments.add_argument(
        "--products", nargs="+", action="extend", default=[], help="that are to be used"
    )
    arguments.add_argument("--skin", default="", help="dry, oily, combination, sensitive, normal")
    arguments.add_argument("--occasion", default="", help="such as office, party, wedding")
    arguments.add_argument(
        "--steps", type=int, default=0, help="how many; 0 leaves it to the model"
    )
    arguments.add_argument("--language", default="", help="zh or en; told from the look if missing")
    arguments.add_argument(
        "--exclude", nargs="+", action="extend", default=[], help="allergens that must not occur"
    )
    arguments.add_argument("-n", type=int, default=1, help="how many tutorials (1)")
    arguments.add_argument(
        "--format", choices=FORMATS, default="json", help="of the answer: json, markdown or html"
    )
    arguments.add_argument(
        "--stream", action="store_true", help="show the text on standard error as it is written"
    )
    for name, value in PARAMS.items():
        flag = f"--{name.replace('_', '-')}"
        help_ = f"of the drawing of tokens ({value})"
        arguments.add_argument(flag, type=type(value), default=value, help=help_)
    return arguments


def split_list(cell: str) -> tuple[str, ...]:
    """Return the items of a cell such as ``lipstick; blush``, in any comma or semicolon."""
    import re

    items = [item.strip() for item in re.split(r"[;；,，、|]", cell)]
    return tuple(item for item in items if item)


def request_of(cells: dict[str, str]) -> Request:
    """Return what a row asks for.

    Raises:
        ValueError: the number of steps is no whole number.
    """
    from beauty_models.tutorial.structure import Request

    steps = cells["steps"].strip()
    if steps.endswith(".0"):  # a column of numbers with an empty cell holds floats
        steps = steps[:-2]
    if steps and not steps.isdecimal():
        raise ValueError(f"steps: {steps!r:.40} is not a whole number")
    return Request(
        look=cells["look"],
        language=cells["language"].strip(),
        occasion=cells["occasion"],
        skin_type=cells["skin_type"],
        products=split_list(cells["products"]),
        steps=int(steps or 0),
        excluded=split_list(cells["exclude"]),
    )


class Served:
    """A model that stays loaded and answers data frames."""

    def __init__(self, folder: Path) -> None:
        from beauty_models.tutorial.model import load

        self.language_model = load(folder)

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return a tutorial and ``error`` for each row of ``frame``, with its index.

        ``error`` is None, or why the row has no tutorial.
        """
        import pandas as pd

        from beauty_models.serving.frames import cells
        from beauty_models.tutorial.generation import Sampling
        from beauty_models.tutorial.structure import to_markdown
        from beauty_models.tutorial.writing import write

        columns = {name: cells(frame, name) for name in COLUMNS}
        rows: list[dict[str, Any]] = [{} for _ in range(len(frame))]
        asked = []
        for number in range(len(frame)):
            try:
                request = request_of({name: column[number] for name, column in columns.items()})
            except ValueError as error:
                rows[number] = {"error": str(error)}
                continue
            asked.append((number, request))
        sampling = Sampling(**(PARAMS | (params or {})))
        answers = write(self.language_model, [request for _, request in asked], sampling)
        for (number, _), answer in zip(asked, answers, strict=True):
            if answer.tutorial is None:
                rows[number] = {"error": answer.refused}
                continue
            tutorial = answer.tutorial
            rows[number] = {
                "title": tutorial.title,
                "language": tutorial.language,
                "products": list(tutorial.products),
                "tools": list(tutorial.tools),
                "steps": list(tutorial.steps),
                "markdown": to_markdown(tutorial),
                "unmet": list(answer.unmet),
            }
        names = [*ANSWERS, "error"]
        complete = [{name: row.get(name) for name in names} for row in rows]
        # object: None stays None and does not become NaN
        return pd.DataFrame(complete, frame.index, names, dtype=object)


def _load_pyfunc(path: str) -> Served:
    """Return the model in the folder ``path``; the name is MLflow's."""
    return Served(Path(path))
