"""Make-up for whole tables and folders of photos, by a model that stays loaded.

For ``beauty predict makeup --file IN --out OUT`` and for MLflow. Nothing is unpickled: MLflow reads
this module's name in the version's MLmodel file, and the weights are safetensors.
"""

from __future__ import annotations

import argparse
import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from beauty_models.serving.frames import cells

if TYPE_CHECKING:
    from beauty_models.makeup.model import Transfer
    from beauty_models.makeup.predict import Result
    from beauty_models.makeup.shades import ShadeTable

# column of the frame → whether it must be there
COLUMNS = {
    "face": True,
    "lipstick": False,
    "blush": False,
    "eyeshadow": False,
    "foundation": False,
    "finish": False,
    "strength": False,
    "reference": False,
    "which": False,
}
PICTURES = ("face", "reference")  # columns of pictures: a path, or a data: address
ANSWERS = ("picture", "strip", "parts", "number", "faces", "watermark", "notes")

# The names of `cosmetics`, which needs OpenCV.
COSMETICS = ("foundation", "blush", "eyeshadow", "lipstick")
FINISHES = ("matte", "satin", "gloss")

# What `predict` takes besides the frame, with its value when not given; a row's cell comes first.
PARAMS: dict[str, int | float | str] = {
    "lipstick": "",
    "blush": "",
    "eyeshadow": "",
    "foundation": "",
    "finish": "satin",
    "strength": 0.8,
    "reference": "",
    "which": 0,
    "shades": "",  # a table of shades
    "save": "",  # the folder that pictures go to; without it they are answered as data: addresses
}


def parser() -> argparse.ArgumentParser:
    """Return the arguments of ``predict``; here, where ``--help`` need not wait for torch."""
    arguments = argparse.ArgumentParser(
        prog="beauty predict makeup", description="Put a shade or a look on a face."
    )
    ask = arguments.add_argument_group("one of them")
    ask.add_argument("--face", help="the photo that make-up is put on; sample is a portrait")
    ask.add_argument("--match", help="a photo: name the shades nearest to its lips")
    ask.add_argument("--check", type=Path, help="a picture: tell whether it bears the watermark")
    for cosmetic in COSMETICS:
        arguments.add_argument(f"--{cosmetic}", help="#RRGGBB, r,g,b, or a shade's name")
    arguments.add_argument(
        "--finish", default="satin", choices=FINISHES, help="of the lipstick (satin)"
    )
    arguments.add_argument("--strength", type=float, default=0.8, help="0 to 1 (0.8)")
    arguments.add_argument("--reference", default="", help="a photo whose look is put on")
    arguments.add_argument("--shades", type=Path, help="a table of shades: CSV, TSV, JSON, Parquet")
    arguments.add_argument(
        "--which", type=int, default=0, help="number of the face, 1 is the largest one"
    )
    arguments.add_argument("--top", type=int, default=5, help="shades that --match names (5)")
    arguments.add_argument("--save", type=Path, help="a folder for the picture and the strip")
    arguments.add_argument(
        "--format",
        default="png",
        choices=("png", "same"),
        help="same: JPEG where the photo is one (png)",
    )
    return arguments


class Served:
    """What answers data frames: the transfer is loaded with the first row that needs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._transfer: Transfer | None = None

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return `ANSWERS` and ``error`` for each row of ``frame``, with its index.

        ``picture`` is the place of the picture, or the picture itself as a ``data:`` address;
        ``strip`` the place of before and after; ``parts`` what was put on, where, and its color.
        ``error`` is None, or why the row has no answer.

        Raises:
            ValueError: the table of shades cannot be read.
        """
        from beauty_models.makeup.shades import read_table

        given = PARAMS | {k: v for k, v in (params or {}).items() if v is not None}
        table = read_table(Path(str(given["shades"]))) if given["shades"] else None
        columns = {name: cells(frame, name) for name in COLUMNS}
        answers = []
        for row in range(len(frame)):
            wished = {name: values[row].strip() for name, values in columns.items()}
            # What a row leaves open is what was given for all.
            values = given | {name: value for name, value in wished.items() if value}
            try:
                answer = self._answer(values, table)
            except ValueError as error:
                answer = {"error": str(error)}
            answers.append([answer.get(name) for name in (*ANSWERS, "error")])
        return pd.DataFrame(answers, frame.index, [*ANSWERS, "error"], dtype=object)

    def _answer(self, values: dict[str, Any], table: ShadeTable | None) -> dict[str, Any]:
        """Return the answer to one row.

        Raises:
            ValueError: the row cannot be answered; the message says why.
        """
        from beauty_models.makeup import cosmetics, predict

        face = str(values.get("face") or "")
        if not face:
            raise ValueError("no face: the row names no photo")
        look = predict.look_of(values, table)
        reference = str(values["reference"])
        if not look.shades and not reference:
            raise ValueError(f"nothing to put on: give {', '.join(cosmetics.PARTS)} or reference")
        which = _whole_number(values["which"])
        wish = predict.Wish(look, reference, which)
        result = predict.try_on(face, wish, self._loaded() if reference else None)
        return result.answer | self._kept(result, face, str(values["save"]))

    def _loaded(self) -> Transfer:
        if self._transfer is None:
            from beauty_models.makeup.model import load  # torch, which shades do not need

            self._transfer = load(self.folder)
        return self._transfer

    def _kept(self, result: Result, face: str, folder: str) -> dict[str, str]:
        """Return where the picture is, or the picture itself where no folder was named."""
        from beauty_models.makeup import photos, predict

        if folder:
            return predict.save(result, face, Path(folder), "png")
        content, _ = photos.encode(result.photo, result.image, "png")
        return {"picture": f"data:image/png;base64,{base64.b64encode(content).decode()}"}


def _whole_number(value: Any) -> int:
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"which {value!r}: not a number; the largest face is 1") from None
    if number < 0 or number != int(number):
        raise ValueError(f"which {value}: the largest face is 1")
    return int(number)


def _load_pyfunc(path: str) -> Served:
    """Return the model in the folder ``path``; the name is MLflow's."""
    return Served(Path(path))
