"""The model registry in MLflow: candidates as versions, ``champion`` and ``challenger`` as aliases.

Stages of MLflow are not used. A version's source is the model folder of its run: safetensors and
JSON as the family saved them, no pickle, and the MLmodel file of `tasks.registry.flavor`.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, TypedDict, cast

from beauty_models import families
from beauty_models.files import new_folder
from tasks.registry import succession
from tasks.registry.connection import (
    Client,
    client,
    ignore_existing,
    now,
    overwrite,
    registration_lock,
    tracking_uri,
    translated_errors,
)
from tasks.registry.lineage import Lineage, folder_hashes
from tasks.registry.succession import CHALLENGER, SINCE, Standing


class Version(TypedDict):
    """What is known of a version. ``gate`` and ``lineage`` are as they were when it was registered.

    An older release may have put fewer keys into them.
    """

    family: str
    version: int
    aliases: list[str]
    metrics: dict[str, float]
    gate: dict[str, Any]  # see `tasks.registry.gate.Verdict`
    lineage: dict[str, Any]  # see `tasks.registry.lineage.Lineage`


def aliases(registry: Client, family: str) -> dict[str, int]:
    """Return alias → version of the family; empty when nothing is registered yet."""
    with translated_errors():
        # The champion may be claimed and its alias not moved yet: what is asked for is the claim.
        succession.settle(registry, family)
        return succession.aliases(registry, family)


def standing(registry: Client, family: str) -> Standing:
    """Return what a candidate is judged against now."""
    with translated_errors():
        return succession.settle(registry, family)


def add_version(registry: Client, family: str, run: str, description: str) -> int:
    """Make the run's model folder a version of the family, without an alias yet; return its number.

    ``description`` is what its page in MLflow says, Markdown.
    """
    with translated_errors():
        # Two machines may both make the family's model, and one of them be told that it exists.
        if not registry.search_registered_models(f"name='{family}'"):
            with ignore_existing():
                registry.create_registered_model(family)
        version = registry.create_model_version(
            family, f"runs:/{run}/model", run_id=run, description=description
        )
        return int(version.version)


def set_description(registry: Client, family: str, version: int, description: str) -> None:
    """Set what the page of a version says of it, Markdown."""
    with translated_errors():
        registry.update_model_version(family, str(version), description)


def tag_version(registry: Client, family: str, version: int, tags: dict[str, str]) -> None:
    """Set ``tags`` of a version, in place of former ones of the same names."""
    with translated_errors():
        for name, value in tags.items():
            overwrite(registry.set_model_version_tag, family, str(version), name, value)


def promote(registry: Client, family: str, version: int, judged_against: Standing) -> bool:
    """Make ``version`` champion, if it was judged against the present one; return whether it is."""
    with translated_errors():
        return succession.succeed(registry, family, version, judged_against)


def keep_as_challenger(registry: Client, family: str, version: int) -> None:
    """Point the alias ``challenger`` at ``version``."""
    with translated_errors():
        overwrite(registry.set_registered_model_alias, family, CHALLENGER, str(version))


def versions(family: str | None = None) -> list[Version]:
    """Return what is registered of ``family``, or of all families, newest first."""
    registry = client()
    described = []
    for name in [family] if family else families.names():
        pointers = aliases(registry, name)
        described += [_describe(registry, version, pointers) for version in _all(registry, name)]
    return described


def _all(registry: Client, family: str) -> list[Any]:
    """Return MLflow's versions of a family, newest first."""
    with translated_errors():
        registered = registry.search_model_versions(f"name='{family}'")
        return sorted(registered, key=lambda version: -int(version.version))


def _describe(registry: Client, version: Any, pointers: dict[str, int]) -> Version:
    """Return what is known of one of MLflow's versions; ``pointers`` is alias → version."""
    with translated_errors():
        logged = registry.get_run(version.run_id).data.metrics
    stages = families.stages(version.name)
    metrics = {}
    for name in sorted(logged):
        # STAGE/METRIC, the end of a training curve or what an export came to, judges no version.
        if name.partition("/")[0] not in stages:
            metrics[name] = logged[name]
    number = int(version.version)
    return {
        "family": version.name,
        "version": number,
        "aliases": sorted(alias for alias, pointed in pointers.items() if pointed == number),
        "metrics": metrics,
        "gate": json.loads(version.tags.get("gate", "{}")),
        "lineage": json.loads(version.tags.get("lineage", "{}")),
    }


def find(registry: Client, family: str, identity: str) -> int | None:
    """Return the version whose registration under ``identity`` was finished."""
    for version in _all(registry, family):
        if version.tags.get("identity") == identity:
            return int(version.version)
    return None


def mark_finished(registry: Client, family: str, version: int, identity: str) -> None:
    """Mark the registration of ``version`` as finished.

    One that was killed has no such mark, and is done again.
    """
    tag_version(registry, family, version, {"identity": identity})


def rollback(family: str, to: int | None = None) -> Version:
    """Point ``champion`` at version ``to``, or at the champion before the present one.

    The version it leaves is no longer counted as a former champion, so a second rollback goes
    further back.

    Returns:
        The version that is champion now.

    Raises:
        ValueError: there is no champion, no former one, or no version ``to``; its files are
            damaged; or another process changed the champion meanwhile.
    """
    with registration_lock(family):
        registry = client()
        present = standing(registry, family)
        by_number = {int(version.version): version for version in _all(registry, family)}
        target = _rollback_target(family, by_number, present.champion) if to is None else to
        if target not in by_number or target == present.champion:
            problem = "is the champion" if target == present.champion else "is not registered"
            raise ValueError(f"{family}: version {target} {problem}; see `beauty models`")
        # Downloaded only to be hashed: damaged files are refused.
        with tempfile.TemporaryDirectory(prefix="beauty-") as folder:
            download_model(family, target, into=Path(folder) / "version")
        if not promote(registry, family, target, present):
            raise ValueError(
                f"{family}: another process has just changed the champion; look at `beauty models` "
                "and try again"
            )
        with translated_errors():
            # It was taken back: the next rollback does not come to it.
            if present.champion is not None:
                registry.delete_model_version_tag(family, str(present.champion), SINCE)
                registry.set_model_version_tag(family, str(present.champion), "rolled_back", now())
            return _describe(registry, by_number[target], aliases(registry, family))


def _rollback_target(family: str, by_number: dict[int, Any], present: int | None) -> int:
    """Return the version that was champion last before ``present``.

    Raises:
        ValueError: there is none.
    """
    if not by_number:
        raise ValueError(
            f"{family}: there is no champion, and no version at all; `beauty retrain {family}` "
            "makes the first"
        )
    if present is None:
        raise ValueError(
            f"{family}: there is no champion yet, and none before it; `beauty models {family}` "
            f"lists the versions, `beauty rollback {family} --to VERSION` makes one champion"
        )
    former = []
    for number, version in by_number.items():
        if SINCE in version.tags and number != present:
            # Times of ISO 8601 in UTC sort as text.
            former.append((version.tags[SINCE], number))
    if not former:
        others = sorted(set(by_number) - {present}, reverse=True)
        remedy = f"it is the only version; `beauty retrain {family}` makes another"
        if others:
            listed = ", ".join(map(str, others))
            remedy = f"`beauty rollback {family} --to VERSION` makes another one champion: {listed}"
        raise ValueError(
            f"{family}: there is no champion before version {present} to go back to; {remedy}"
        )
    return max(former)[1]


def champion_version(family: str, version: int | None = None) -> int:
    """Return ``version`` or, without one, the champion's.

    Raises:
        ValueError: there is none.
    """
    number = version or aliases(client(), family).get("champion")
    if number is None:
        raise ValueError(
            f"{family}: no champion is registered yet; run `beauty retrain {family}`, or name a "
            "version of `beauty models`"
        )
    return number


def download_model(family: str, version: int | None = None, *, into: Path) -> Path:
    """Download the model of a version, the champion without one, below ``into``.

    Returns:
        The model's folder.

    Raises:
        ValueError: there is no such version, or its files are not those that were registered.
    """
    number = champion_version(family, version)
    with new_folder(into) as new:
        download(family, number, "model", new)
        # `new_folder` drops what lies there when this raises: damaged files are never served.
        if folder_hashes(new / "model") != version_lineage(family, number)["files"]:
            raise ValueError(
                f"{family} version {number}: its files are not those that were registered; choose "
                "another version"
            )
    return into / "model"


def version_lineage(family: str, version: int) -> Lineage:
    """Return where a version comes from.

    Raises:
        ValueError: there is no such version, or it was registered by other means.
    """
    tags = _version(client(), family, version).tags
    if "lineage" not in tags:
        raise ValueError(
            f"{family} version {version}: it has no lineage, so `beauty` did not register it; "
            "choose another version"
        )
    return cast(Lineage, json.loads(tags["lineage"]))


def _version(registry: Client, family: str, number: int) -> Any:
    """Return one of MLflow's versions.

    Raises:
        ValueError: there is no such version.
    """
    for version in _all(registry, family):
        if int(version.version) == number:
            return version
    raise ValueError(f"{family}: version {number} is not registered; see `beauty models`")


def download(family: str, version: int, path: str, folder: Path) -> Path:
    """Put the artifact ``path``, a file or a folder, of a version's run into ``folder``.

    Returns:
        Where it lies.

    Raises:
        ValueError: there is no such version or artifact.
    """
    from mlflow.artifacts import download_artifacts

    run = _version(client(), family, version).run_id
    with translated_errors():
        path_here = download_artifacts(
            run_id=run, artifact_path=path, dst_path=str(folder), tracking_uri=tracking_uri()
        )
    return Path(path_here)
