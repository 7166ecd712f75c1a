"""Evaluate a registered model on data that nobody here has split.

All of it is test, but for what the model was trained on. Who calls it: ``beauty evaluate``. It
fetches the source into a temporary folder, ingests it with the parameters the model was trained
with, and scores the model and the baselines side by side; these learn from the model's own training
data.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, TypedDict

import pyarrow.parquet as pq
import yaml

from beauty_models import families, params
from beauty_models.files import read_json
from beauty_models.intake import tables
from tasks.pipeline import cache, command
from tasks.pipeline.graph import storage
from tasks.registry import registry
from tasks.registry.lineage import dvc_hashes
from tasks.sources import fetch
from tasks.sources.manifest import LICENSE, MANIFEST
from tasks.state import STATE, OnLine


class Scores(TypedDict):
    """What a model and the baselines reached."""

    n: int  # rows scored
    metrics: dict[str, float]
    intervals: dict[str, list[float]]  # metric → [low, high]
    baselines: dict[str, dict[str, float]]  # name → metric → value


class Evaluation(Scores):
    """What `evaluate_on` returns."""

    family: str
    version: int
    rejected: int  # rows that ingest refused
    seen_in_training: int  # rows left out because the model was trained on them


def evaluate_on(
    family: str,
    source: str,
    version: int | None,
    mapping: dict[str, str],
    on_line: OnLine = print,
    ingest: dict[str, Any] | None = None,
) -> Evaluation:
    """Return the metrics of ``version`` (None: the champion) on everything that ``source`` holds.

    ``mapping`` is field → the column that holds it; ``ingest`` are parameters of ingest that this
    data needs, such as what its labels mean, beside those that the model was trained with. The
    report stays in `.beauty/evaluations/<family>`.

    Raises:
        ValueError: there is no such version or source, or no row is left to score.
        RuntimeError: a stage or the network broke.
    """
    number = registry.champion_version(family, version)
    with tempfile.TemporaryDirectory(prefix="beauty-") as folder:
        scratch = Path(folder)
        model = registry.download_model(family, number, into=scratch / "version")
        # Ingest as then, so that the model sees what it was made for; all else is for the code of
        # today.
        trained_ingest = _trained_params(family, number, scratch)["ingest"]
        ingest_params = params.merge(trained_ingest, ingest or {})
        block = params.merge(params.read()[family], {"ingest": ingest_params})
        settings = _write_settings(family, block, source, mapping, scratch)
        new = _ingest(family, source, settings, mapping, scratch, on_line)
        data = scratch / "data"
        _training_data(
            family, registry.version_lineage(family, number)["dvc"]["data"], data, on_line
        )
        seen = _keep_unseen(data, new)
        report = STATE / "evaluations" / family
        report.parent.mkdir(exist_ok=True)
        places: list[str | Path] = ["--data", data, "--model", model, "--report", report]
        command.run_python(*_stage("evaluate", family, settings, scratch), *places, on_line=on_line)
        on_line(f"evaluate: the report is {report / 'index.html'}")
        figures = read_json(scratch / "evaluate.json")
        seen += int(figures.pop("seen_in_training", 0))  # by families that tell them themselves
        rejected = int(read_json(scratch / "ingest.json")["rejected"])
        return {
            "family": family,
            "version": number,
            **_sort_metrics(figures),
            "rejected": rejected,
            "seen_in_training": seen,
        }


def _trained_params(family: str, version: int, scratch: Path) -> dict[str, Any]:
    """Return the family's parameters when ``version`` was registered, under the keys of today."""
    file = registry.download(family, version, "params.yaml", scratch)
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    return params.with_todays_keys(family, content["families"][family])


def _ingest(
    family: str,
    source: str,
    settings: Path,
    mapping: dict[str, str],
    scratch: Path,
    on_line: OnLine,
) -> Path:
    """Fetch ``source`` and ingest it; return the folder of its data, all of it the test split."""
    raw = scratch / "raw"
    new = scratch / "new"
    raw.mkdir()
    fetch.take_snapshot(family, source, "", raw, scratch / "downloads", on_line)
    _check_columns(mapping, raw)
    stage = _stage("ingest", family, settings, scratch)
    try:
        command.run_python(*stage, "--raw", raw, "--data", new, on_line=on_line)
    except ValueError as error:
        # The user's files have the user's names, and not those of a temporary folder.
        raise ValueError(str(error).replace(f"{raw}{os.sep}", "")) from None
    return new


def _stage(stage: str, family: str, settings: Path, scratch: Path) -> list[str | Path]:
    """Return the beginning of a stage's command line."""
    metrics = scratch / f"{stage}.json"
    return ["-m", "beauty_models", stage, family, "--params", settings, "--metrics", metrics]


def _write_settings(
    family: str, block: dict[str, Any], source: str, mapping: dict[str, str], scratch: Path
) -> Path:
    """Write ``block``, with everything going to the test split, as a params.yaml.

    Returns:
        The file.

    Raises:
        ValueError: ``mapping`` names a field that the family does not have.
    """
    ingest = block["ingest"]
    columns = ingest.get("columns", {})  # a family that reads no tables lists none
    if unknown := sorted(set(mapping) - set(columns)):
        raise ValueError(
            f"--map {unknown[0]}=…: there is no field {unknown[0]!r}; there are "
            f"{', '.join(columns) or 'none'}"
        )
    # A mapped field is found under this name alone, and not under those that ingest would try.
    for field, column in mapping.items():
        columns[field] = [column]
    ingest |= {"limit": 0, "split": {"train": 0, "validation": 0, "test": 1}}
    block["source"] = source
    file = scratch / "settings.yaml"
    # The parameters of an older version may lack what the code of today asks for.
    params.check(family, block, Path(f"the parameters of the registered {family}"))
    text = yaml.safe_dump({"families": {family: block}}, allow_unicode=True)
    file.write_text(text, encoding="utf-8")
    return file


def _check_columns(mapping: dict[str, str], raw: Path) -> None:
    """Refuse a mapping to a column that no table of ``raw`` has.

    Ingest would take it for a field that is not given.

    Raises:
        ValueError: there is no such column; the message lists those there are.
    """
    if not mapping:
        return
    columns: dict[str, None] = {}  # in order, each once
    for file in sorted(raw.rglob("*")):
        if file.is_file() and tables.is_table(file) and file.name not in (MANIFEST, LICENSE):
            columns |= dict.fromkeys(tables.read(file).rows.columns)
    known = {name.strip().casefold() for name in columns}
    for field, column in mapping.items():
        if column.casefold() not in known:
            raise ValueError(
                f"--map {field}={column}: there is no column {column!r}; there are "
                f"{', '.join(columns)}"
            )


def _training_data(family: str, md5: str, data: Path, on_line: OnLine) -> None:
    """Put the data folder with the DVC hash ``md5`` at ``data``.

    It is from build/ when it is that one, else from DVC's cache or remote. All of it is read and
    compared with that hash; what is damaged in the cache is told, deleted and pulled from the
    remote.

    Raises:
        ValueError: neither holds it.
    """
    built = families.path("data", family)
    recorded = dvc_hashes(family).get("data") == md5
    if built.exists() and recorded and cache.folder_has_hash(built, md5):
        shutil.copytree(built, data)
        return
    try:
        _restore(md5, data, on_line)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"the training data of this version of {family} (DVC {md5}) is neither in DVC's cache "
            f"nor its remote: {error}"
        ) from None


def _restore(md5: str, folder: Path, on_line: OnLine) -> None:
    """Let DVC check out the folder with the hash ``md5``.

    DVC checks out what a project names, so this makes a small one, with this one's cache and
    remotes.

    Raises:
        ValueError: DVC has it nowhere, or only damaged.
    """
    project = folder.with_name("dvc")
    shutil.copytree(".dvc", project / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp"))
    dvc_storage = storage()
    settings = {"core.no_scm": "true", "cache.dir": str(dvc_storage.folder)}
    # .dvc/config may have relative addresses; these are absolute.
    for name, url in dvc_storage.remotes.items():
        settings[f"remote.{name}.url"] = url
    for key, value in settings.items():
        _dvc("--cd", str(project), "config", "--local", key, value)
    named = {"outs": [{"md5": md5, "hash": "md5", "path": "data"}]}
    (project / "data.dvc").write_text(yaml.safe_dump(named), encoding="utf-8")
    cache.delete_damaged(dvc_storage.objects, [md5], on_line)
    _dvc("--cd", str(project), "pull", "data.dvc")
    # Once more: a pull takes what the remote has, damaged or not.
    damaged = cache.delete_damaged(dvc_storage.objects, [md5], on_line)
    if damaged or not cache.folder_has_hash(project / "data", md5):
        raise ValueError("its copy in the remote is damaged")
    (project / "data").rename(folder)


def _dvc(*arguments: str) -> None:
    """Run DVC's command line, unheard."""
    unheard: list[str] = []
    command.run_python("-m", "dvc", *arguments, on_line=unheard.append)


def _keep_unseen(data: Path, new: Path) -> int:
    """Make the test split of ``new`` that of ``data``, without rows that ``data`` trains on.

    The test split is all that is called ``test*``. A row is recognised by its column ``key``, where
    a family has none by its text. A family with neither leaves them out itself when it evaluates: a
    unit of several languages is known by any of its texts.

    Returns:
        How many rows were left out.

    Raises:
        ValueError: no row is left.
    """
    # The model's own test split is not what is asked about.
    for former in data.glob("test*"):
        former.unlink()
    for file in new.glob("test*"):
        shutil.move(file, data / file.name)
    test = pq.read_table(data / "test.parquet")
    column = "key" if "key" in test.column_names else "text"
    if column not in test.column_names:
        return 0
    seen = set(pq.read_table(data / "train.parquet", columns=[column])[column].to_pylist())
    unseen = test.filter([value not in seen for value in test[column].to_pylist()])
    if not unseen.num_rows:
        raise ValueError(
            f"all {test.num_rows} rows of the source were in the model's training data; give data "
            "it has not seen"
        )
    (data / "test.parquet").unlink()
    pq.write_table(unseen, data / "test.parquet")
    return int(test.num_rows - unseen.num_rows)


def _sort_metrics(flat: dict[str, float]) -> Scores:
    """Sort the keys of evaluate's metrics into n, metrics, intervals and baselines.

    ``macro_f1`` is the model's, ``macro_f1.low`` and ``.high`` the ends of its interval, and
    ``majority/macro_f1`` a baseline's.
    """
    metrics: dict[str, float] = {}
    intervals: dict[str, list[float]] = {}
    baselines: dict[str, dict[str, float]] = {}
    for key, value in sorted(flat.items()):
        baseline, slash, name = key.partition("/")
        if slash:
            baselines.setdefault(baseline, {})[name] = value
    for key, value in flat.items():
        if "/" in key or key == "n" or key.endswith(".high"):
            continue
        if key.endswith(".low"):
            name = key.removesuffix(".low")
            intervals[name] = [value, flat[f"{name}.high"]]
        else:
            metrics[key] = value
    return {
        "n": int(flat["n"]),
        "metrics": metrics,
        "intervals": intervals,
        "baselines": baselines,
    }
