"""A saved model that stays loaded and answers tables.

For MLflow, and for ``beauty predict swatch --file IN --out OUT``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from beauty_models.swatch import CLASSES, MEASURED

COLUMNS = dict.fromkeys(MEASURED, True)  # column of the table → whether it must be there
ANSWERS = ("finish", "probability")  # columns of what is answered, besides `error`
PARAMS: dict[str, int] = {}  # what `predict` takes besides the table, with its value when not given


def parser() -> argparse.ArgumentParser:
    """Return the arguments of ``predict``; here, where ``--help`` need not wait for torch."""
    arguments = argparse.ArgumentParser(
        prog="beauty predict swatch", description="The finish of one measured swatch."
    )
    for name in MEASURED:
        arguments.add_argument(
            f"--{name}", type=float, required=True, help=f"its measured {name}, 0 to 1"
        )
    return arguments


class Served:
    """A loaded model."""

    def __init__(self, folder: Path) -> None:
        from beauty_models.swatch.model import load  # torch, which registering does not need

        self.network = load(folder)

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return finish, probability and error for each row of ``frame``, with its index.

        ``error`` is None, or why the row has no answer.
        """
        measured = frame[MEASURED].apply(pd.to_numeric, errors="coerce")
        readable = measured.notna().all(axis=1).to_numpy()
        reason = f"{' or '.join(MEASURED)} is no number"
        answers: list[list[object]] = [[None, None, reason] for _ in readable]
        probabilities = self.network.probabilities(measured[readable])
        for row, of_classes in zip(readable.nonzero()[0], probabilities, strict=True):
            best = int(of_classes.argmax())
            answers[row] = [CLASSES[best], round(float(of_classes[best]), 4), None]
        return pd.DataFrame(answers, frame.index, [*ANSWERS, "error"], dtype=object)


def _load_pyfunc(path: str) -> Served:
    """Return the model in the folder ``path``; the name is MLflow's."""
    return Served(Path(path))
