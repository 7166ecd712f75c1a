"""Where raw data comes from and what may be done with it, as the files beside it say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from beauty_models.files import read_json

# Files about the data. The manifest is written when it is fetched and has what the user says of
# the license, so it comes before the file that the data was delivered with.
ABOUT = ("manifest.json", "LICENSE.json")


def about(raw: Path) -> dict[str, Any]:
    """Return license, commercial_use and source of ``raw``, by the first of `ABOUT` that it has.

    Where none says anything, the terms of a public set count.
    """
    # Here, because its readers import the tables, and these import `ABOUT`.
    from beauty_models.intake.public_sets import license_of

    files = [raw / name for name in ABOUT if (raw / name).exists()]
    stated: dict[str, Any] = read_json(files[0]) if files else {}
    if not stated.get("license"):
        stated = {**stated, **license_of(raw)}
    return {
        "license": stated.get("license", ""),
        "commercial_use": stated.get("commercial_use"),
        "source": stated.get("source", ""),
    }
