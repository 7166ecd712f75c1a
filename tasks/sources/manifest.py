"""What stands beside raw data: manifest.json, ours, and LICENSE.json, which a delivery may bring.

The manifest names source, licence, and size and SHA-256 of each file. It has no time stamps, so the
same delivery gives the same DVC hash.
"""

from __future__ import annotations

from pathlib import Path
from typing import NotRequired, TypedDict

from beauty_models.files import read_json
from beauty_models.intake import folders

MANIFEST = "manifest.json"
LICENSE = "LICENSE.json"


class Entry(TypedDict):
    """A file of the manifest."""

    path: str  # below the folder, with /
    bytes: int
    sha256: str
    etag: NotRequired[str]  # of the S3 object that it was


class License(TypedDict):
    """A licence in its own words, and whether it allows commercial use (None: not known)."""

    license: str
    commercial_use: bool | None


class Manifest(License):
    """All of manifest.json."""

    source: str
    kind: str  # starter, toy, local or s3
    files: list[Entry]
    starter_sha256: NotRequired[str]  # of the code that drew a starter or toy set


def is_data_file(path: str) -> bool:
    """Return whether the file at ``path`` below the source is data.

    It is not when it is hidden or of a system's making, in such a folder, or a manifest of ours.
    """
    return path != MANIFEST and not any(map(folders.is_litter, path.split("/")))


def stated_license(from_params: str, folder: Path, former: License | None = None) -> License:
    """Return the licence of the data in ``folder``.

    What params.yaml says goes before LICENSE.json, and that before what is known of a public set's
    terms; where nothing says anything it is empty. ``former`` was stated of the same files before:
    archives are not looked into again then.

    Raises:
        ValueError: LICENSE.json is not a JSON object.
    """
    if from_params:
        return {"license": from_params, "commercial_use": None}
    if not (folder / LICENSE).exists():
        # Here, because it loads the libraries for pictures, which `beauty` does without.
        from beauty_models.intake.public_sets import SETS, license_of

        terms = license_of(folder, packed=former is None)
        if former and not terms["license"]:
            # Of several sets the terms stand one behind the other.
            known = {public_set.license for public_set in SETS}
            if former["license"] and known.issuperset(former["license"].split("; ")):
                terms = former
        return {"license": terms["license"], "commercial_use": terms["commercial_use"]}
    content = read_json(folder / LICENSE)
    if not isinstance(content, dict):
        raise ValueError(
            f'{folder / LICENSE}: needs {{"license": "...", "commercial_use": true or false}}'
        )
    return {
        "license": str(content.get("license", "")),
        "commercial_use": content.get("commercial_use"),
    }
