"""Where a model comes from: commit, DVC hashes, frozen split, licences and the hash of each of its files."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from beauty_models import families
from beauty_models.files import read_json

NOT_COMMERCIAL = re.compile(r"\bnc\b|non-?commercial|research", re.IGNORECASE)


def dvc_hashes(family: str) -> dict[str, str]:
    """Return the DVC hash of raw, code, data, pretrained and model as dvc.lock and data/raw/<family>.dvc hold them.

    Raises:
        ValueError: dvc.lock has no finished model of this family.
    """
    lock = _written_by_dvc(Path("dvc.lock")) if Path("dvc.lock").exists() else {}
    known = {
        out["path"]: out["md5"]
        for stage in lock.get("stages", {}).values()
        for out in stage.get("outs", [])
        if "md5" in out
    }
    raw = Path(f"{families.path('raw', family)}.dvc")
    if raw.exists():
        known[str(families.path("raw", family))] = _written_by_dvc(raw)["outs"][0]["md5"]
    names = ("raw", "code", "data", "pretrained", "model")  # code: the modules that the stages ran
    places = {name: str(families.path(name, family)) for name in names}
    if places["model"] not in known:
        raise ValueError(
            f"dvc.lock: holds no finished model of {family}; run `beauty retrain {family}`"
        )
    return {name: known[place] for name, place in places.items() if place in known}


def _written_by_dvc(file: Path) -> dict[str, Any]:
    """Read what DVC wrote by libyaml, ten times as fast as PyYAML's own parser, which is kept for what people write.

    libyaml's loader ends the process at 100,000 nested brackets.
    """
    loader: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    content: dict[str, Any] = yaml.load(file.read_text(encoding="utf-8"), Loader=loader)
    return content


def folder_hashes(folder: Path) -> dict[str, str]:
    """Return path below ``folder`` → SHA-256 of each file."""
    hashes = {}
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        with file.open("rb") as content:
            hashes[file.relative_to(folder).as_posix()] = hashlib.file_digest(
                content, "sha256"
            ).hexdigest()
    return hashes


def split_hash(family: str) -> str:
    """Return one SHA-256 over the frozen test split: what is called ``test*`` in the family's data folder.

    Raises:
        ValueError: there is none.
    """
    data = families.path("data", family)
    hashes = {path: value for path, value in folder_hashes(data).items() if path.startswith("test")}
    if not hashes:
        raise ValueError(f"{data}: holds no test split; run `beauty retrain {family}`")
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


def _git(*arguments: str) -> str | None:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def _licenses(folder: Path) -> dict[str, dict[str, Any]]:
    """Return file → licence and whether commercial use is allowed, of the JSON files of ``folder`` that state a licence."""
    found = {
        file.name: json.loads(file.read_text(encoding="utf-8"))
        for file in sorted(folder.glob("*.json"))
    }
    return {
        name: {"license": content["license"], "commercial_use": content.get("commercial_use")}
        for name, content in found.items()
        if isinstance(content, dict) and "license" in content
    }


def lineage(family: str, flow_run: str | None) -> dict[str, Any]:
    """Return everything that tells where build/<family>/model comes from.

    Raises:
        ValueError: there is no finished model or no test split.
    """
    model, raw = families.path("model", family), families.path("raw", family)
    manifest = read_json(raw / "manifest.json") if (raw / "manifest.json").exists() else {}
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
        "backbone_licenses": _licenses(model),
        "files": folder_hashes(model),
    }


def warnings(lineage: dict[str, Any]) -> list[str]:
    """Return a sentence for each licence in ``lineage`` that forbids commercial use or says nothing of it."""
    stated = {
        "data": lineage["data_license"],
        **{f"backbone ({name})": value for name, value in lineage["backbone_licenses"].items()},
    }
    told = []
    for what, entry in stated.items():
        name, allowed = str(entry["license"] or ""), entry["commercial_use"]
        if allowed is False or (allowed is None and NOT_COMMERCIAL.search(name)):
            told.append(
                f"The {what} may not be used commercially ({name or 'its licence says so'})."
            )
        elif not name:
            told.append(
                f"The {what} states no licence: clear the rights before it serves customers."
            )
    return told
