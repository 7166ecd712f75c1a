"""Compare a freshly trained model with the champion, then register it with its verdict and its lineage.

Who calls it: the last task of a family in the retraining flow. It reads build/<family>/{data,model,report}, metrics/<family>,
params.yaml and dvc.lock, and writes to the registry (`tasks.registry.registry`) and to `.beauty/registered/<family>.json`, which answers
"is this very model registered?" without importing MLflow.

Two registrations of one family at once cannot both win. Within a checkout a file lock lets one pass after the other.
Between machines that share an MLflow server, `tasks.registry.succession` lets a candidate become champion only while the champion
is still the one it was judged against; else it is judged again.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from beauty_models import families, params
from beauty_models.files import read_json, write_json
from tasks.pipeline import command
from tasks.pipeline.staleness import survey
from tasks.registry import flavor, gate, registry
from tasks.registry import lineage as origin
from tasks.secrets import redact
from tasks.state import STATE, OnLine

Metrics = dict[str, float]


def register(
    family: str,
    *,
    flow_run: str | None = None,
    on_line: OnLine = lambda line: None,
    evaluate: Callable[[str, int, OnLine], Metrics] | None = None,
) -> dict[str, Any] | None:
    """Register build/<family>/model; None when this very model was judged on this very split by this gate before.

    ``evaluate(family, version, on_line)`` gives a registered version's figures on the present test split, see
    `evaluate_version`.

    Returns:
        family, version, aliases, passed, verdict (see `tasks.registry.gate.judge`), warnings,
        verdict_markdown, metrics and mlflow_url.

    Raises:
        ValueError: there is no finished model, or it is not what DVC recorded; the champion cannot
            be evaluated; or the registry is locked or unreachable.
    """
    identity = _identity(family)
    if identity in _known(family):
        return None
    _check_build(family)
    with registry.locked(family):
        client = registry.client()
        if version := registry.find(client, family, identity):
            _remember(family, identity, version)
            return None
        result = _register(
            client, family, flow_run, identity, on_line, evaluate or evaluate_version
        )
        _remember(family, identity, result["version"])
    return result


def _check_build(family: str) -> None:
    """Refuse what is not the result that DVC recorded: its lineage would be that of another model.

    Raises:
        ValueError: data, params, code or an output of the family have changed since its stages ran.
    """
    stages, reasons = survey([family])
    if changed := [f"{name}: {why[0]}" for name, why in reasons.items() if why and name in stages]:
        raise ValueError(
            f"{family} is not registered: build/{family} is not what its data, code and params make "
            f"({'; '.join(changed)}); run `beauty retrain {family}`"
        )


def is_registered(family: str) -> bool:
    """Return whether `register` would find this very model registered already, as far as this machine remembers.

    Raises:
        ValueError: there is no finished model.
    """
    return _identity(family) in _known(family)


def _identity(family: str) -> str:
    """Return what makes two registrations the same: model, test split and gate."""
    return json.dumps(
        [
            origin.dvc_hashes(family)["model"],
            origin.split_hash(family),
            params.gate(family).model_dump(),
        ]
    )


def _registry_key() -> str:
    """Return what tells this registry from another; a password in its address is no part of it."""
    return hashlib.sha256(redact(registry.tracking_uri()).encode()).hexdigest()


def _memory(family: str) -> Path:
    return STATE / "registered" / f"{family}.json"


def _known(family: str) -> dict[str, int]:
    """Return identity → version of what this machine knows to be in the registry in use."""
    uri = registry.tracking_uri()
    if not _memory(family).exists() or (
        uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists()
    ):
        return {}
    memory = read_json(_memory(family))
    return dict(memory["versions"]) if memory.get("registry") == _registry_key() else {}


def _remember(family: str, identity: str, version: int) -> None:
    write_json(
        _memory(family),
        {"registry": _registry_key(), "versions": _known(family) | {identity: version}},
    )


def evaluate_version(family: str, version: int, on_line: OnLine) -> Metrics:
    """Return the figures of a registered version on the test split that lies in build/<family>/data now.

    Raises:
        ValueError: its files are damaged, or the present code cannot evaluate it.
    """
    with tempfile.TemporaryDirectory(prefix="beauty-") as folder:
        scratch = Path(folder)
        model, figures = (
            registry.download_model(family, version, into=scratch / "version"),
            scratch / "metrics.json",
        )
        places: list[str | Path] = [
            "--data",
            families.path("data", family),
            "--model",
            model,
            "--report",
            scratch / "report",
            "--metrics",
            figures,
        ]
        try:
            command.run_python("-m", "beauty_models", "evaluate", family, *places, on_line=on_line)
        except ValueError as error:
            way_out = f"`beauty rollback {family} --to N` makes another version champion"
            raise ValueError(
                f"the champion, version {version}, cannot be evaluated on the present test split ({way_out}): {error}"
            ) from None
        return dict(read_json(figures))


def _register(
    client: registry.Client,
    family: str,
    flow_run: str | None,
    identity: str,
    say: OnLine,
    evaluate: Callable[[str, int, OnLine], Metrics],
) -> dict[str, Any]:
    metrics: Metrics = read_json(Path("metrics") / family / "evaluate.json")
    lineage, rules = origin.lineage(family, flow_run), params.gate(family)
    added = flavor.files(family)
    lineage["files"] |= flavor.hashes(added)
    warnings = origin.warnings(lineage)
    run = version = None
    while True:
        standing = registry.standing(client, family)
        champion = standing.champion
        opponent = f"the champion, version {champion}" if champion else "its baselines"
        say(
            f"register: {family} against {opponent}{'' if champion else '; there is no champion yet'}"
        )
        former = evaluate(family, champion, say) if champion else None
        verdict = gate.judge(rules, metrics, former, champion)
        text = gate.markdown(family, verdict, metrics, warnings)
        if run is None or version is None:
            run = _log(client, family, metrics, lineage, flow_run, added)
            version = registry.add_version(client, family, run, _card(family, metrics, lineage))
            registry.tag_version(client, family, version, _tags(lineage))
        summary = gate.summary(family, verdict, metrics, warnings)
        description = _description(family, version, summary, lineage)
        registry.describe(client, family, version, description)
        passed = str(verdict["passed"]).lower()
        gate_tags = {"gate": json.dumps(verdict), "gate_passed": passed}
        registry.tag_version(client, family, version, gate_tags)
        if verdict["passed"]:
            if registry.promote(client, family, version, standing):
                break
        elif registry.standing(client, family) == standing:
            registry.keep_as_challenger(client, family, version)
            break
        say(f"register: {family} has another champion meanwhile; judging again")
    registry.attach(client, run, {"gate.json": json.dumps(verdict, indent=2), "verdict.md": text})
    alias = "champion" if verdict["passed"] else "challenger"
    registry.finish(client, family, version, identity)
    return {
        "family": family,
        "version": version,
        "aliases": [alias],
        "passed": verdict["passed"],
        "verdict": verdict,
        "warnings": warnings,
        "verdict_markdown": text,
        "metrics": metrics,
        "mlflow_url": registry.url(family, version),
    }


def _tags(lineage: dict[str, Any]) -> dict[str, str]:
    """Return ``lineage`` as tags: whole as JSON, and each of its simple values to search by."""
    hashes = {f"dvc_{name}": value for name, value in lineage["dvc"].items()}
    simple = {
        name: value
        for name, value in lineage.items()
        if value is None or isinstance(value, str | bool)
    }
    licenses = {"data_license": lineage["data_license"]["license"]}
    licenses |= {
        "backbone_license": ", ".join(
            sorted({str(entry["license"]) for entry in lineage["backbone_licenses"].values()})
        )
    }
    return {"lineage": json.dumps(lineage)} | {
        name: "" if value is None else str(value)
        for name, value in (simple | hashes | licenses).items()
    }


def _log(
    client: registry.Client,
    family: str,
    metrics: Metrics,
    lineage: dict[str, Any],
    flow_run: str | None,
    added: dict[str, str],
) -> str:
    """Record a run with the family's parameters, figures and files, the model's with those ``added``; return its id."""
    block = params.read()[family]
    with tempfile.TemporaryDirectory(prefix="beauty-") as folder:
        artifacts = Path(folder)
        for name in ("model", "report"):
            shutil.copytree(families.path(name, family), artifacts / name)
        for name, text in added.items():
            (artifacts / "model" / name).write_text(text, encoding="utf-8")
        shutil.copytree(Path("metrics") / family, artifacts / "metrics")
        shutil.copy("dvc.lock", artifacts / "dvc.lock")
        (artifacts / "params.yaml").write_text(
            yaml.safe_dump({"families": {family: block}}, allow_unicode=True, sort_keys=False),
            encoding="utf-8",
        )
        write_json(artifacts / "lineage.json", lineage)
        (artifacts / "model_card.md").write_text(_card(family, metrics, lineage), encoding="utf-8")
        run = registry.log_run(
            client, family, _flat(block), metrics, artifacts, {"flow_run": flow_run or ""}
        )
        registry.log_curves(client, run, _curves(family))
        return run


def _curves(family: str) -> list[registry.Point]:
    """Return what the family's trainings noted as they went: figures such as ``finetune/validation_loss``, over epochs or steps."""
    points = []
    for verb, output in families.STAGES.items():
        file = families.path(output, family) / "history.json"
        history = read_json(file) if file.exists() else []
        trainings = history if isinstance(history, dict) else {"": history}
        for training, rows in trainings.items():
            prefix = f"{verb}/{training}_" if training else f"{verb}/"
            for row in rows:
                axis = "epoch" if "epoch" in row else "step"
                points += [
                    registry.Point(prefix + name, int(row[axis]), float(value))
                    for name, value in row.items()
                    if name != axis
                ]
    return points


def _flat(block: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return ``a.b.c`` → value for each leaf of ``block``."""
    flat: dict[str, str] = {}
    for key, value in block.items():
        flat |= (
            _flat(value, f"{prefix}{key}.")
            if isinstance(value, dict)
            else {f"{prefix}{key}": str(value)}
        )
    return flat


def _readme(family: str) -> str:
    """Return the family's model card."""
    readme = Path("beauty_models") / family / "README.md"
    return readme.read_text(encoding="utf-8").rstrip() if readme.exists() else f"# {family}"


def _origins(lineage: dict[str, Any]) -> list[str]:
    """Return where a model comes from, as lines of a Markdown list."""
    licenses = {"data": lineage["data_license"], **lineage["backbone_licenses"]}
    changed = " with uncommitted changes" if lineage["git_dirty"] else ""
    return [
        f"- Data: {lineage['data_source']}, DVC {lineage['dvc'].get('raw', 'unknown')}",
        *(
            f"- Licence of {what}: {one['license'] or 'none stated'}"
            for what, one in licenses.items()
        ),
        f"- Code: {lineage['git_commit'] or 'not in git'}{changed}",
        f"- Test split: SHA-256 {lineage['split_sha256']}",
    ]


def _card(family: str, metrics: Metrics, lineage: dict[str, Any]) -> str:
    """Return the family's model card with a section on this very model."""
    lines = [_readme(family), "", "## This version", "", *_origins(lineage)]
    lines += [f"- {warning}" for warning in origin.warnings(lineage)]
    lines += ["", "| metric | value |", "|---|---:|"]
    lines += [f"| {name} | {value:.4f} |" for name, value in sorted(metrics.items())]
    return "\n".join(lines) + "\n"


def _description(family: str, version: int, summary: str, lineage: dict[str, Any]) -> str:
    """Return what MLflow's page of the version says: the verdict first, then where it comes from and the model card."""
    example = shlex.join(families.wording(family).example)
    asked = f"`beauty predict {family} --version {version} {example}`"
    if flavor.files(family):
        asked += f', or in Python `mlflow.pyfunc.load_model("models:/{family}/{version}").predict(frame)`'
    origins = ["### Where it comes from", "", *_origins(lineage)]
    ask = ["### Asking it", "", asked]
    return "\n".join([summary, *origins, "", *ask, "", _unwrapped(_readme(family))]) + "\n"


STRUCTURE = ("|", "#", "-", "*", ">", "```", "1.", " ")
"""How a line begins that Markdown takes for more than a paragraph's text."""


def _unwrapped(markdown: str) -> str:
    """Return ``markdown`` with each paragraph in one line: MLflow breaks a line wherever the file does."""
    lines: list[str] = []
    fenced = joins = False
    for line in markdown.splitlines():
        text = bool(line) and (not line.startswith(STRUCTURE) or line.startswith("**"))
        if line.startswith("```"):
            fenced = not fenced
        if joins and text:
            lines[-1] += f" {line}"
        else:
            lines.append(line)
        joins = text and not fenced
    return "\n".join(lines)
