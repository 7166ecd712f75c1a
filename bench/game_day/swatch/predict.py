"""What serves: the finish of one measured swatch."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from beauty_models.swatch.model import load

CLASSES = ["glossy", "matt"]


def predict(*, model: Path, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Return the finish for ``--shine X --depth Y``."""
    parser = argparse.ArgumentParser(prog="beauty predict swatch")
    parser.add_argument("--shine", type=float, required=True)
    parser.add_argument("--depth", type=float, required=True)
    options = parser.parse_args(arguments)
    logits = load(model)(torch.tensor([[options.shine, options.depth]]))
    return [{"finish": CLASSES[int(logits.argmax())]}]
