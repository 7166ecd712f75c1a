"""Evaluate a registered model on data that nobody here has split: all of it is test, but for what the model was trained on.

Who calls it: ``beauty evaluate``. It fetches the source into a temporary folder, ingests it with the parameters the model was
trained with, and scores the model and the baselines, which learn from the model's own training data, side by side.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from beauty_models import families, params
from beauty_models.files import read_json
from beauty_models.intake import tables
from tasks.pipeline import cache, command, stage
from tasks.registry import registry
from tasks.registry.lineage import dvc_hashes
from tasks.sources import fetch
from tasks.state import STATE, OnLine


def evaluate_on(
    family: str,
    source: str,
    version: int | None,
    mapping: dict[str, str],
    on_line: OnLine = print,
    ingest: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the figures of ``version`` (None: the champion) on everything that ``source`` holds.

    ``mapping`` is field → the column that holds it; ``ingest`` are parameters of ingest that this data needs, such as
    what its labels mean, beside those that the model was trained with. The report stays in `.beauty/evaluations/<family>`.

    Returns:
        family, version, n (rows scored), metrics, intervals (metric → [low, high]), baselines (name → metric → figure),
        rejected (rows that ingest refused) and seen_in_training (rows left out because the model was trained on them).

    Raises:
        ValueError: there is no such version or source, or no row is left to score.
        RuntimeError: a stage or the network broke.
    """
    number = registry.champion_version(family, version)
    with tempfile.TemporaryDirectory(prefix="beauty-") as folder:
        scratch = Path(folder)
        model = registry.champion(family, number, into=scratch / "version")
        trained = yaml.safe_load(
            registry.download(family, number, "params.yaml", scratch).read_text(encoding="utf-8")
        )["families"][family]
        block = params.merge(
            params.read()[family], {"ingest": params.merge(trained["ingest"], ingest or {})}
        )  # all else is for the code of today
        settings = _settings(family, block, source, mapping, scratch)
        raw, new, data = scratch / "raw", scratch / "new", scratch / "data"
        raw.mkdir()
        fetch.take(family, source, "", raw, scratch / "downloads", on_line)
        _check_columns(mapping, raw)
        try:
            command.python(
                *_stage("ingest", family, settings, scratch),
                "--raw",
                raw,
                "--data",
                new,
                on_line=on_line,
            )
        except ValueError as error:
            raise ValueError(str(error).replace(f"{raw}{os.sep}", "")) from None
        _training_data(family, registry.lineage(family, number)["dvc"]["data"], data, on_line)
        seen = _only_unseen(data, new)
        report = STATE / "evaluations" / family
        report.parent.mkdir(exist_ok=True)
        command.python(
            *_stage("evaluate", family, settings, scratch),
            "--data",
            data,
            "--model",
            model,
            "--report",
            report,
            on_line=on_line,
        )
        on_line(f"evaluate: the report is {report / 'index.html'}")
        rejected = int(read_json(scratch / "ingest.json")["rejected"])
        return {
            "family": family,
            "version": number,
            **_shaped(read_json(scratch / "evaluate.json")),
            "rejected": rejected,
            "seen_in_training": seen,
        }


def _stage(stage: str, family: str, settings: Path, scratch: Path) -> list[str]:
    return [
        "-m",
        "beauty_models",
        stage,
        family,
        "--params",
        str(settings),
        "--metrics",
        str(scratch / f"{stage}.json"),
    ]


def _settings(
    family: str, block: dict[str, Any], source: str, mapping: dict[str, str], scratch: Path
) -> Path:
    """Write ``block``, with everything going to the test split, as a params.yaml; return the file."""
    ingest = block["ingest"]
    if unknown := sorted(set(mapping) - set(ingest["columns"])):
        raise ValueError(
            f"--map {unknown[0]}=…: there is no field {unknown[0]!r}; there are {', '.join(ingest['columns'])}"
        )
    ingest["columns"] |= {field: [column] for field, column in mapping.items()}
    ingest |= {"limit": 0, "split": {"train": 0, "validation": 0, "test": 1}}
    block["source"] = source
    file = scratch / "settings.yaml"
    params.check(family, block, Path(f"the parameters of the registered {family}"))
    file.write_text(
        yaml.safe_dump({"families": {family: block}}, allow_unicode=True), encoding="utf-8"
    )
    return file


def _check_columns(mapping: dict[str, str], raw: Path) -> None:
    """Refuse a mapping to a column that no table of ``raw`` has: ingest would take it for a field that is not given."""
    if mapping:
        files = sorted(
            file
            for file in raw.rglob("*")
            if file.suffix.lower() in tables.SUFFIXES
            and file.name not in (fetch.MANIFEST, fetch.LICENSE)
        )
        columns = list(
            dict.fromkeys(column for file in files for column in tables.read(file).rows.columns)
        )
        for field, column in mapping.items():
            if column.casefold() not in {name.strip().casefold() for name in columns}:
                raise ValueError(
                    f"--map {field}={column}: there is no column {column!r}; there are {', '.join(columns)}"
                )


def _training_data(family: str, md5: str, data: Path, on_line: OnLine) -> None:
    """Put the data folder with the DVC hash ``md5`` at ``data``: from build/ when it is that one, else from DVC's cache or remote.

    All of it is read and compared with that hash; what is damaged in the cache is told, deleted and pulled from the remote.

    Raises:
        ValueError: neither holds it.
    """
    here = families.path("data", family)
    if here.exists() and dvc_hashes(family).get("data") == md5 and cache.same_folder(here, md5):
        shutil.copytree(here, data)
        return
    try:
        _restore(md5, data, on_line)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"the training data of this version of {family} (DVC {md5}) is neither in DVC's cache nor its remote: {error}"
        ) from None


def _restore(md5: str, folder: Path, on_line: OnLine) -> None:
    """Let DVC check out the folder with the hash ``md5``, in a small DVC project of its own with this one's cache and remotes.

    Raises:
        ValueError: DVC has it nowhere, or only damaged.
    """
    project = folder.with_name("dvc")
    shutil.copytree(".dvc", project / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp"))
    kept = stage.storage()
    settings = {"core.no_scm": "true", "cache.dir": str(kept.folder)}
    for name, url in kept.remotes.items():  # absolute, where .dvc/config is relative
        settings[f"remote.{name}.url"] = url
    for key, value in settings.items():
        _dvc("--cd", str(project), "config", "--local", key, value)
    (project / "data.dvc").write_text(
        yaml.safe_dump({"outs": [{"md5": md5, "hash": "md5", "path": "data"}]}), encoding="utf-8"
    )
    cache.drop_damaged(kept.objects, [md5], on_line)
    _dvc("--cd", str(project), "pull", "data.dvc")
    if cache.drop_damaged(kept.objects, [md5], on_line) or not cache.same_folder(
        project / "data", md5
    ):
        raise ValueError("its copy in the remote is damaged")
    (project / "data").rename(folder)


def _dvc(*arguments: str) -> list[str]:
    lines: list[str] = []
    command.python("-m", "dvc", *arguments, on_line=lines.append)
    return lines


def _only_unseen(data: Path, new: Path) -> int:
    """Make the test split of ``new``, all that is called ``test*``, that of ``data``, without rows that ``data`` trains on.

    A row is known again by its column ``key``, where a family has none by its text. Returns how many were left out.
    """
    for former in data.glob("test*"):
        former.unlink()
    for file in new.glob("test*"):
        shutil.move(file, data / file.name)
    test = pq.read_table(data / "test.parquet")
    column = "key" if "key" in test.column_names else "text"
    known = set(pq.read_table(data / "train.parquet", columns=[column])[column].to_pylist())
    unseen = test.filter([value not in known for value in test[column].to_pylist()])
    if not unseen.num_rows:
        raise ValueError(
            f"all {test.num_rows} rows of the source were in the model's training data; give data it has not seen"
        )
    (data / "test.parquet").unlink()
    pq.write_table(unseen, data / "test.parquet")
    return int(test.num_rows - unseen.num_rows)


def _shaped(figures: dict[str, float]) -> dict[str, Any]:
    """Sort flat figures into n, metrics, intervals and baselines."""
    plain = {name: value for name, value in figures.items() if "/" not in name}
    baselines: dict[str, dict[str, float]] = {}
    for name in sorted(set(figures) - set(plain)):
        baseline, _, metric = name.partition("/")
        baselines.setdefault(baseline, {})[metric] = figures[name]
    intervals = {
        name.removesuffix(".low"): [plain[name], plain[f"{name.removesuffix('.low')}.high"]]
        for name in plain
        if name.endswith(".low")
    }
    metrics = {
        name: value
        for name, value in plain.items()
        if name != "n" and not name.endswith((".low", ".high"))
    }
    return {
        "n": int(plain["n"]),
        "metrics": metrics,
        "intervals": intervals,
        "baselines": baselines,
    }
