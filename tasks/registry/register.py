"""Compare a freshly trained model with the champion, then register it with verdict and lineage.

Who calls it: the last task of a family in the retraining flow. It reads
build/<family>/{data,model,report}, metrics/<family>, params.yaml and dvc.lock, and writes to the
registry (`tasks.registry.registry`) and to `.beauty/registered/<family>.json`, which answers "is
this very model registered?" without importing MLflow.

Two registrations of one family at once cannot both win. Within a checkout a file lock lets one pass
after the other. Between machines that share an MLflow server, `tasks.registry.succession` lets a
candidate become champion only while the champion is still the one it was judged against; else it is
judged again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import yaml

from beauty_models import families, params
from beauty_models.files import read_json, write_json
from tasks.pipeline import command
from tasks.pipeline.staleness import survey
from tasks.registry import card, connection, flavor, gate, registry, runs
from tasks.registry import lineage as origin
from tasks.registry.connection import Client
from tasks.secrets import redact
from tasks.state import STATE, OnLine

Metrics = dict[str, float]

Evaluate = Callable[[str, int, OnLine], Metrics]
"""``evaluate(family, version, on_line)``: a registered version's metrics on today's test split."""


class Registration(TypedDict):
    """What `register` tells of a new version."""

    family: str
    version: int
    aliases: list[str]  # champion or challenger
    passed: bool
    verdict: gate.Verdict
    warnings: list[str]  # of licences, see `tasks.registry.lineage.warnings`
    verdict_markdown: str
    metrics: Metrics
    mlflow_url: str | None


class Candidate(NamedTuple):
    """A model that may become champion, as it lies in build/."""

    family: str
    metrics: Metrics
    lineage: origin.Lineage
    flavor_files: dict[str, str]  # name → text of what makes it a model of MLflow
    flow_run: str | None  # Prefect's id


def register(
    family: str,
    *,
    flow_run: str | None = None,
    on_line: OnLine = lambda line: None,
    evaluate: Evaluate | None = None,
) -> Registration | None:
    """Register build/<family>/model.

    ``evaluate`` is `evaluate_version` where none is given.

    Returns:
        The new version; None when this very model was judged on this very split by this gate
        before.

    Raises:
        ValueError: there is no finished model, or it is not what DVC recorded; the champion cannot
            be evaluated; or the registry is locked or unreachable.
    """
    identity = _identity(family)
    # Before anything that imports MLflow: most runs end here.
    if identity in _remembered(family):
        return None
    _check_build(family)
    with connection.registration_lock(family):
        client = connection.client()
        # This machine does not remember it; another one may have registered it.
        if version := registry.find(client, family, identity):
            _remember(family, identity, version)
            return None
        candidate = _candidate(family, flow_run)
        registration = _register(client, candidate, on_line, evaluate or evaluate_version)
        registry.mark_finished(client, family, registration["version"], identity)
        _remember(family, identity, registration["version"])
    return registration


def _check_build(family: str) -> None:
    """Refuse what is not the result that DVC recorded: its lineage would be that of another model.

    Raises:
        ValueError: data, params, code or an output of the family have changed since its stages ran.
    """
    stages, reasons = survey([family])
    changed = [f"{name}: {reasons[name][0]}" for name in stages if reasons[name]]
    if changed:
        raise ValueError(
            f"{family} is not registered: build/{family} is not what its data, code and params "
            f"make ({'; '.join(changed)}); run `beauty retrain {family}`"
        )


def is_registered(family: str) -> bool:
    """Return whether `register` would find this very model registered already.

    It is answered from what this machine remembers.

    Raises:
        ValueError: there is no finished model.
    """
    return _identity(family) in _remembered(family)


def _identity(family: str) -> str:
    """Return what makes two registrations the same: model, test split, gate and exports."""
    hashes = origin.dvc_hashes(family)
    gate_rules = params.gate(family).model_dump()
    identity: list[object] = [hashes["model"], origin.split_hash(family), gate_rules]
    # An export that came after the model was registered is kept with a version of its own.
    places = params.optional_outputs(family).values()
    exports = {place: hashes[place] for place in sorted(places) if place in hashes}
    if exports:
        identity.append(exports)
    return json.dumps(identity)


def _registry_key() -> str:
    """Return what tells this registry from another; a password in its address is no part of it."""
    return hashlib.sha256(redact(connection.tracking_uri()).encode()).hexdigest()


def _memory(family: str) -> Path:
    return STATE / "registered" / f"{family}.json"


def _remembered(family: str) -> dict[str, int]:
    """Return identity → version of what this machine knows to be in the registry in use."""
    uri = connection.tracking_uri()
    # A database that was deleted has nothing of what this machine remembers.
    lost = uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists()
    if lost or not _memory(family).exists():
        return {}
    memory = read_json(_memory(family))
    return dict(memory["versions"]) if memory.get("registry") == _registry_key() else {}


def _remember(family: str, identity: str, version: int) -> None:
    versions = _remembered(family) | {identity: version}
    write_json(_memory(family), {"registry": _registry_key(), "versions": versions})


def evaluate_version(family: str, version: int, on_line: OnLine) -> Metrics:
    """Return the metrics of a registered version on the test split of build/<family>/data.

    Raises:
        ValueError: its files are damaged, or the present code cannot evaluate it.
    """
    with tempfile.TemporaryDirectory(prefix="beauty-") as folder:
        scratch = Path(folder)
        model = registry.download_model(family, version, into=scratch / "version")
        metrics = scratch / "metrics.json"
        places: list[str | Path] = ["--data", families.path("data", family), "--model", model]
        places += ["--report", scratch / "report", "--metrics", metrics]
        stage = ["-m", "beauty_models", "evaluate", family]
        try:
            command.run_python(*stage, *places, on_line=on_line)
        except ValueError as error:
            remedy = f"`beauty rollback {family} --to N` makes another version champion"
            raise ValueError(
                f"the champion, version {version}, cannot be evaluated on the present test split "
                f"({remedy}): {error}"
            ) from None
        return dict(read_json(metrics))


def _candidate(family: str, flow_run: str | None) -> Candidate:
    """Return the model of build/, with what is known of it.

    Raises:
        ValueError: there is no finished model or no test split.
    """
    flavor_files = flavor.files(family)
    lineage = origin.lineage(family, flow_run)
    # The version's files are hashed as they will lie in the registry, with those of the flavour.
    lineage["files"] |= flavor.hashes(flavor_files)
    metrics = read_json(Path("metrics") / family / "evaluate.json")
    return Candidate(family, metrics, lineage, flavor_files, flow_run)


def _register(
    client: Client, candidate: Candidate, on_line: OnLine, evaluate: Evaluate
) -> Registration:
    """Judge a candidate and give it its place, and do so again when the champion changed."""
    family, metrics = candidate.family, candidate.metrics
    rules = params.gate(family)
    warnings = origin.warnings(candidate.lineage)
    run = version = None
    while True:
        standing = registry.standing(client, family)
        champion = standing.champion
        on_line(f"register: {family} against {_opponent(champion)}")
        former = evaluate(family, champion, on_line) if champion else None
        verdict = gate.judge(rules, metrics, former, champion)
        # After the gate, so that metrics it cannot judge leave no version behind; and once, however
        # often it is judged.
        if run is None or version is None:
            run, version = _record(client, candidate)
        summary = gate.summary(family, verdict, metrics, warnings)
        page = card.version_page(family, version, summary, candidate.lineage)
        registry.set_description(client, family, version, page)
        passed = str(verdict["passed"]).lower()
        verdict_tags = {"gate": json.dumps(verdict), "gate_passed": passed}
        registry.tag_version(client, family, version, verdict_tags)
        if verdict["passed"]:
            if registry.promote(client, family, version, standing):
                break
        # Not passed, but against a champion that is none any more: perhaps it passes now.
        elif registry.standing(client, family) == standing:
            registry.keep_as_challenger(client, family, version)
            break
        on_line(f"register: {family} has another champion meanwhile; judging again")
    text = gate.markdown(family, verdict, metrics, warnings)
    files = {"gate.json": json.dumps(verdict, indent=2), "verdict.md": text}
    runs.log_texts(client, run, files)
    return {
        "family": family,
        "version": version,
        "aliases": ["champion" if verdict["passed"] else "challenger"],
        "passed": verdict["passed"],
        "verdict": verdict,
        "warnings": warnings,
        "verdict_markdown": text,
        "metrics": metrics,
        "mlflow_url": connection.version_url(family, version),
    }


def _opponent(champion: int | None) -> str:
    """Return in words what a candidate is held against."""
    if champion:
        return f"the champion, version {champion}"
    return "its baselines; there is no champion yet"


def _record(client: Client, candidate: Candidate) -> tuple[str, int]:
    """Record a candidate's run and make it a version, without an alias; return both ids."""
    family = candidate.family
    run = _log(client, candidate)
    description = card.model_card(family, candidate.metrics, candidate.lineage)
    version = registry.add_version(client, family, run, description)
    registry.tag_version(client, family, version, _tags(candidate.lineage))
    return run, version


def _tags(lineage: origin.Lineage) -> dict[str, str]:
    """Return ``lineage`` as tags: whole as JSON, and each of its simple values to search by."""
    tags: dict[str, Any] = {}
    for name, value in lineage.items():
        if value is None or isinstance(value, str | bool):
            tags[name] = value
    for name, digest in lineage["dvc"].items():
        tags[f"dvc_{name}"] = digest
    backbones = lineage["backbone_licenses"].values()
    # Empty where none is stated: a search for it finds the versions to clear.
    tags["data_license"] = lineage["data_license"]["license"]
    tags["backbone_license"] = ", ".join(sorted({str(entry["license"]) for entry in backbones}))
    texts = {name: "" if value is None else str(value) for name, value in tags.items()}
    return {"lineage": json.dumps(lineage), **texts}


def _log(client: Client, candidate: Candidate) -> str:
    """Record a run with the family's parameters, metrics, curves and files; return its id."""
    family = candidate.family
    block = params.read()[family]
    with tempfile.TemporaryDirectory(prefix="beauty-") as folder:
        artifacts = Path(folder)
        optional = params.optional_outputs(family)
        for name in ("model", "report", *optional.values()):
            shutil.copytree(families.path(name, family), artifacts / name)
        for name, text in candidate.flavor_files.items():
            (artifacts / "model" / name).write_text(text, encoding="utf-8")
        # figures of a stage that was switched off since are those of an older model
        off = set(families.optional_stages(family)) - set(optional)
        ignored = shutil.ignore_patterns(*off, *(f"{stage}.json" for stage in off))
        shutil.copytree(Path("metrics") / family, artifacts / "metrics", ignore=ignored)
        # With the commit and the DVC remote, these two make the same model again.
        shutil.copy("dvc.lock", artifacts / "dvc.lock")
        switched: dict[str, list[str]] = dict.fromkeys(families.optional_stages(family), [])
        switched |= dict.fromkeys(optional, [family])
        content = {"stages": switched, "families": {family: block}}
        settings = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
        (artifacts / "params.yaml").write_text(settings, encoding="utf-8")
        write_json(artifacts / "lineage.json", candidate.lineage)
        text = card.model_card(family, candidate.metrics, candidate.lineage)
        (artifacts / "model_card.md").write_text(text, encoding="utf-8")
        tags = {"flow_run": candidate.flow_run or ""}
        metrics = candidate.metrics | _optional_metrics(family, optional)
        run = runs.log_run(client, family, _flatten(block), metrics, artifacts, tags)
    runs.log_curves(client, run, list(_curves(family)))
    return run


def _optional_metrics(family: str, stages: Iterable[str]) -> Metrics:
    """Return the metrics of optional stages, called ``export/megabytes``."""
    metrics: Metrics = {}
    for stage in stages:
        measured = read_json(Path("metrics") / family / f"{stage}.json")
        for name, value in measured.items():
            metrics[f"{stage}/{name}"] = value
    return metrics


def _curves(family: str) -> Iterator[runs.CurvePoint]:
    """Yield what the family's trainings noted as they went, over epochs or steps.

    A stage's ``history.json`` is a list of rows or, where it trains several networks, a mapping
    from training to such a list. So metrics are called ``finetune/validation_loss``, or
    ``pretrain/words_loss``.
    """
    outputs = families.STAGES | params.optional_outputs(family)
    for stage, output in outputs.items():
        file = families.path(output, family) / "history.json"
        if not file.exists():
            continue
        history = read_json(file)
        trainings = history if isinstance(history, dict) else {"": history}
        for training, rows in trainings.items():
            prefix = f"{stage}/{training}_" if training else f"{stage}/"
            for row in rows:
                axis = "epoch" if "epoch" in row else "step"
                for name, value in row.items():
                    if name != axis:
                        yield runs.CurvePoint(prefix + name, int(row[axis]), float(value))


def _flatten(block: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return ``a.b.c`` → value, as text, for each leaf of ``block``."""
    leaves: dict[str, str] = {}
    for key, value in block.items():
        if isinstance(value, dict):
            leaves |= _flatten(value, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = str(value)
    return leaves
