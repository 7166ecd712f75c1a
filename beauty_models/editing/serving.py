"""Edits of whole tables and folders of photos, by a model that stays loaded.

For ``beauty predict editing --file IN --out OUT`` and for MLflow. Nothing is unpickled: MLflow
reads this module's name in the version's MLmodel file, and the weights are safetensors.
"""

from __future__ import annotations

import argparse
import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from beauty_models.serving.frames import cells

if TYPE_CHECKING:
    from beauty_models.editing.model import Editor

ACTIONS = ("cutout", "compose", "inpaint", "remove", "recolour")
PLACES = ("keep", "center", "bottom")  # those of `compose`, which needs OpenCV
SAMPLE = "sample"  # what a photo that anybody has is called: one that the project draws

# column of the frame → whether it must be there
COLUMNS = {
    "image": True,
    "do": False,
    "background": False,
    "place": False,
    "mask": False,
    "box": False,
    "to": False,
}
PICTURES = ("image", "mask")  # columns of pictures: a path, or a data: address
ANSWERS = ("picture", "sure", "filled_by", "former_color", "recolored", "notes")

# What `predict` takes besides the frame, with its value when not given; a row's cell comes first.
PARAMS: dict[str, int | float | str] = {
    "do": "cutout",
    "background": "",
    "shadow": 0,
    "place": "keep",
    "mask": "",
    "invert": 0,
    "box": "",
    "to": "",
    "save": "",  # the folder that pictures go to; without it they are answered as data: addresses
}


def parser() -> argparse.ArgumentParser:
    """Return the arguments of ``predict``; here, where ``--help`` need not wait for torch."""
    arguments = argparse.ArgumentParser(
        prog="beauty predict editing", description="Edit a product photo, or a folder of them."
    )
    arguments.add_argument("do", choices=ACTIONS, help="what is done")
    arguments.add_argument("photo", help="a photo, or a folder of them; sample is a drawn one")
    arguments.add_argument("--background", default="", help="compose: a photo, or #RRGGBB")
    arguments.add_argument("--shadow", action="store_true", help="compose: with a soft shadow")
    arguments.add_argument(
        "--place", default="keep", choices=PLACES, help="compose: where the product goes (keep)"
    )
    arguments.add_argument(
        "--mask",
        default="",
        help="inpaint: white is filled; recolour: white is recolored; a folder for a folder",
    )
    arguments.add_argument("--invert", action="store_true", help="of the mask black is meant")
    arguments.add_argument("--box", default="", help="remove: x,y,w,h in pixels, from the top left")
    arguments.add_argument("--to", default="", help="recolour: #RRGGBB")
    arguments.add_argument("--save", type=Path, help="a folder for the pictures")
    return arguments


class Served:
    """What answers data frames: the network is loaded with the first row that needs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._editor: Editor | None = None

    def editor(self) -> Editor:
        """Return the trained model; cut-outs, grounds and colors do without."""
        if self._editor is None:
            from beauty_models.editing.model import load  # torch

            self._editor = load(self.folder)
        return self._editor

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return `ANSWERS` and ``error`` for each row of ``frame``, with its index.

        ``picture`` is the place of the picture, or the picture itself as a ``data:`` address;
        ``sure`` how sure the cut-out is, 0 to 1; ``filled_by`` the fill that served; ``error`` is
        None, or why the row has no answer.
        """
        given = PARAMS | {k: v for k, v in (params or {}).items() if v is not None}
        columns = {name: cells(frame, name) for name in COLUMNS}
        answers = []
        for row in range(len(frame)):
            wished = {name: values[row].strip() for name, values in columns.items()}
            # What a row leaves open is what was given for all.
            values = given | {name: value for name, value in wished.items() if value}
            try:
                answer = self._answer(values)
            except ValueError as error:
                answer = {"error": str(error)}
            answers.append([answer.get(name) for name in (*ANSWERS, "error")])
        return pd.DataFrame(answers, frame.index, [*ANSWERS, "error"], dtype=object)

    def _answer(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to one row.

        Raises:
            ValueError: the row cannot be answered; the message says why.
        """
        from beauty_models.editing import edits

        image = str(values.get("image") or "")
        if not image:
            raise ValueError("no image: the row names no photo")
        result = edits.edit(image, edits.wish_of(values), self.editor)
        if values["save"]:
            return result.answer | {"picture": edits.save(result, image, Path(values["save"]))}
        picture = base64.b64encode(result.content).decode()
        return result.answer | {"picture": f"data:image/png;base64,{picture}"}


def _load_pyfunc(path: str) -> Served:
    """Return the model in the folder ``path``; the name is MLflow's."""
    return Served(Path(path))
