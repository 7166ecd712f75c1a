"""A saved model as MLflow loads it.

``mlflow.pyfunc.load_model("models:/sentiment@champion").predict(frame)`` answers.
Nothing is unpickled: MLflow reads this module's name in the version's MLmodel file, and the weights
are safetensors.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# Imports within functions are those that an answer to one text, a look at --help or registering
# does without: torch is seconds, pandas a good part of one.

COLUMNS = {"text": True}  # column of the frame → whether it must be there
ANSWERS = ("class", "probabilities", "aspects")  # columns of what is answered, besides `error`
# what `predict` takes besides the frame, with its value when not given
PARAMS: dict[str, int] = {}


def parser() -> argparse.ArgumentParser:
    """Return the arguments of ``predict``; here, where ``--help`` need not wait for torch."""
    arguments = argparse.ArgumentParser(
        prog="beauty predict sentiment",
        description="Class, probabilities and aspects of reviews.",
    )
    arguments.add_argument(
        "--text", action="append", required=True, help="a review; may be repeated"
    )
    return arguments


class Served:
    """A model that stays loaded and answers data frames."""

    def __init__(self, folder: Path) -> None:
        from beauty_models.sentiment.model import load

        self.classifier = load(folder)

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return class, probabilities, aspects and error for each row of ``frame``, with its index.

        ``error`` is None, or why the row has no answer.
        """
        import pandas as pd

        from beauty_models.sentiment.predict import describe
        from beauty_models.serving.frames import cells

        texts = cells(frame, "text")
        with_text = [row for row, text in enumerate(texts) if text.strip()]
        given = [texts[row] for row in with_text]
        # float32, as `predict` answers
        predictions = self.classifier.predict(given, "", "float32")
        answers = describe(self.classifier, given, predictions)
        unanswered = {**dict.fromkeys(ANSWERS), "error": "no text"}
        rows: list[dict[str, Any]] = [unanswered for _ in texts]
        for row, answer in zip(with_text, answers, strict=True):
            rows[row] = {**answer, "error": None}
        # object: None stays None and does not become NaN
        return pd.DataFrame(rows, frame.index, [*ANSWERS, "error"], dtype=object)


def _load_pyfunc(path: str) -> Served:
    """Return the model in the folder ``path``; the name is MLflow's."""
    return Served(Path(path))
