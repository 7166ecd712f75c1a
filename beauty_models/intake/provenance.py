"""Where raw data comes from and what may be done with it, as the files beside it say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from beauty_models.files import read_json

ABOUT = ("manifest.json", "LICENSE.json")  # files about the data; the earlier one knows better


def about(raw: Path) -> dict[str, Any]:
    """Return the license, commercial_use and source of the files in ``raw``, as the files about them say."""
    stated: dict[str, Any] = next(
        (read_json(raw / name) for name in ABOUT if (raw / name).exists()), {}
    )
    return {
        "license": stated.get("license", ""),
        "commercial_use": stated.get("commercial_use"),
        "source": stated.get("source", ""),
    }
