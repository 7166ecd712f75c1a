"""Where a model comes from: commit, DVC hashes, frozen split, licences and hashes of its files."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

import yaml

from beauty_models import families, params
from beauty_models.files import read_json
from tasks.sources.manifest import MANIFEST, License

NOT_COMMERCIAL = re.compile(r"\bnc\b|non-?commercial|research", re.IGNORECASE)


class Lineage(TypedDict):
    """Everything that tells where a model comes from; it is stored with the version, as JSON."""

    git_commit: str | None
    git_dirty: bool  # there were uncommitted changes
    dvc: dict[str, str]  # see `dvc_hashes`
    split_sha256: str
    flow_run: str | None  # Prefect's id
    data_source: str | None
    data_license: License
    backbone_licenses: dict[str, License]  # the files that state it → licence
    files: dict[str, str]  # path below the model's folder → SHA-256


def lineage(family: str, flow_run: str | None) -> Lineage:
    """Return everything that tells where build/<family>/model comes from.

    Raises:
        ValueError: there is no finished model or no test split.
    """
    model = families.path("model", family)
    manifest_file = families.path("raw", family) / MANIFEST
    manifest = read_json(manifest_file) if manifest_file.exists() else {}
    return {
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": bool(_git("status", "--porcelain")),
        "dvc": dvc_hashes(family),
        "split_sha256": split_hash(family),
        "flow_run": flow_run,
        "data_source": manifest.get("source"),
        "data_license": {
            "license": manifest.get("license", ""),
            "commercial_use": manifest.get("commercial_use"),
        },
        "backbone_licenses": _backbone_licenses(model),
        "files": folder_hashes(model),
    }


def dvc_hashes(family: str) -> dict[str, str]:
    """Return the DVC hash of raw, code, data, pretrained and model.

    They are those that dvc.lock and data/raw/<family>.dvc hold.

    Raises:
        ValueError: dvc.lock has no finished model of this family, or as `params.stages`.
    """
    hashes = dict(_recorded_outs(family))
    # code: which modules the stages ran
    optional = params.optional_outputs(family).values()
    names = ("raw", "code", "data", "pretrained", "model", *optional)
    places = {name: str(families.path(name, family)) for name in names}
    # Raw data may have come without DVC, and older releases recorded no code.
    if places["model"] not in hashes:
        raise ValueError(
            f"dvc.lock: holds no finished model of {family}; run `beauty retrain {family}`"
        )
    return {name: hashes[place] for name, place in places.items() if place in hashes}


def _recorded_outs(family: str) -> Iterator[tuple[str, str]]:
    """Yield path and hash of each output that DVC has recorded, and of the family's raw data."""
    if Path("dvc.lock").exists():
        for stage in _written_by_dvc(Path("dvc.lock")).get("stages", {}).values():
            for out in stage.get("outs", []):
                if "md5" in out:
                    yield out["path"], out["md5"]
    raw = families.path("raw", family)
    recorded = Path(f"{raw}.dvc")
    if recorded.exists():
        yield str(raw), _written_by_dvc(recorded)["outs"][0]["md5"]


def _written_by_dvc(file: Path) -> dict[str, Any]:
    """Read what DVC wrote by libyaml, ten times as fast as PyYAML's own parser.

    That one is kept for what people write: libyaml's loader ends the process at 100,000 nested
    brackets.
    """
    loader: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    content: dict[str, Any] = yaml.load(file.read_text(encoding="utf-8"), Loader=loader)
    return content


def folder_hashes(folder: Path) -> dict[str, str]:
    """Return path below ``folder`` → SHA-256 of each file."""
    hashes = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            path = file.relative_to(folder).as_posix()
            with file.open("rb") as content:
                hashes[path] = hashlib.file_digest(content, "sha256").hexdigest()
    return hashes


def split_hash(family: str) -> str:
    """Return one SHA-256 over the frozen test split.

    That is what is called ``test*`` in the family's data folder.

    Raises:
        ValueError: there is none.
    """
    data = families.path("data", family)
    # A family may freeze more than a table: pictures, or questions with their answers.
    hashes = {path: value for path, value in folder_hashes(data).items() if path.startswith("test")}
    if not hashes:
        raise ValueError(f"{data}: holds no test split; run `beauty retrain {family}`")
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


def _git(*arguments: str) -> str | None:
    """Return what git says, or None where it fails, as outside of a repository."""
    # A checkout without git, such as an unpacked archive, can train and register as well.
    git = subprocess.run(["git", *arguments], capture_output=True, text=True)
    return git.stdout.strip() if git.returncode == 0 else None


def _backbone_licenses(model: Path) -> dict[str, License]:
    """Return the licence of each backbone, as the JSON files of the folder ``model`` state them.

    The key is the file; or all files, with commas, that say the same of the same backbone. So does
    sentiment's ``classifier.json``, which repeats ``backbone.json``: each licence is told once.
    """
    files: dict[tuple[str, str, bool | None], list[str]] = {}
    for file in sorted(model.glob("*.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(content, dict) and "license" in content:
            base = str(content.get("base", ""))
            stated = (base, content["license"], content.get("commercial_use"))
            files.setdefault(stated, []).append(file.name)
    licenses: dict[str, License] = {}
    for (_, license, commercial_use), names in files.items():
        licenses[", ".join(names)] = {"license": license, "commercial_use": commercial_use}
    return licenses


def warnings(lineage: Lineage) -> list[str]:
    """Return a sentence for each licence that forbids commercial use or says nothing of it."""
    licenses = {"data": lineage["data_license"]}
    for files, license in lineage["backbone_licenses"].items():
        licenses[f"backbone ({files})"] = license
    sentences = []
    for subject, license in licenses.items():
        name = str(license["license"] or "")
        allowed = license["commercial_use"]
        # A licence's name is taken at its word only where nobody has said what it allows.
        if allowed is False or (allowed is None and NOT_COMMERCIAL.search(name)):
            reason = name or "its licence says so"
            sentences.append(f"The {subject} may not be used commercially ({reason}).")
        elif not name:
            sentences.append(
                f"The {subject} states no licence: clear the rights before it serves customers."
            )
    return sentences
