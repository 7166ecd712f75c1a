"""Does the starter hold for every seed and precision? ``python -m bench.seeds``.

``--families tryon --seeds 1 2 3`` runs some of it.

``--source`` takes data of one's own in place of the starter, with the settings of
profiles/own.yaml, as `beauty retrain FAMILY --source` does: ``python -m bench.seeds --families
tryon --source garments/ --seeds 1 2 3``.

Runs the stages of each family by ``python -m beauty_models`` in a scratch folder, as `make retrain`
would, and prints a row per family, precision and seed: the gate's metric, the best baseline, the
lead over it at the lower end of its interval, the verdict.

The raw data and their split are shared by all rows: the seed of ingest stays that of params.yaml.
Every other seed of pretrain and finetune varies with the row, evaluate's (of the bootstrap) does
not. Every ``precision`` of pretrain and finetune is that of the row; the baselines of evaluate
compute as the processor can. Rows that are done are kept in ``rows.json`` of the folder, under a
digest of code and settings; a run that was stopped goes on with the next one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, TypedDict

import yaml

from beauty_models import families, params
from beauty_models.files import write_json
from tasks.registry import gate
from tasks.sources import fetch

ROOT = Path(__file__).parent.parent
SEEDS = (1, 2, 3, 4, 5)
PRECISIONS = ("float32", "bfloat16")


class Row(TypedDict):
    """What one run of a family's stages came to."""

    family: str
    precision: str
    seed: int
    metric: str
    value: float
    accuracy: float | None  # of families that classify
    baseline: str  # the best one by the metric
    baseline_value: float
    lead_low: float  # the smallest lower bound of the lead over any baseline
    passed: bool
    seconds: float


def varied(settings: Any, seed: int, precision: str) -> Any:
    """Return a section of params.yaml with each seed and precision in it set to those of a row."""
    if not isinstance(settings, dict):
        return settings
    new = {name: varied(value, seed, precision) for name, value in settings.items()}
    if "seed" in new:
        new["seed"] = seed
    if "precision" in new:
        new["precision"] = precision
    return new


def row_block(block: dict[str, Any], seed: int, precision: str) -> dict[str, Any]:
    """Return a family's block with pretrain and finetune as a row needs them; the rest stays."""
    return block | {
        stage: varied(block[stage], seed, precision) for stage in ("pretrain", "finetune")
    }


def digest(family: str, block: dict[str, Any]) -> str:
    """Return a digest of what a row rests on besides seed and precision: settings and code."""
    basis = hashlib.sha256(json.dumps(block, sort_keys=True, ensure_ascii=False).encode())
    for file in sorted((ROOT / "beauty_models").rglob("*.py")):
        basis.update(file.read_bytes())
    basis.update(family.encode())
    return basis.hexdigest()[:16]


def verdict(block: dict[str, Any], metrics: dict[str, float]) -> dict[str, Any]:
    """Return what the gate says of ``metrics`` without a champion, as figures of a `Row`."""
    judged = gate.judge(params.Gate.model_validate(block["gate"]), metrics, None, None)
    metric, best = judged["metric"], gate.strongest_baseline(judged, metrics)
    leads = [row.lead for row in gate.rows(judged, metrics) if row.lead is not None]
    return {
        "metric": metric,
        "value": metrics[metric],
        "accuracy": metrics.get("accuracy"),
        "baseline": best,
        "baseline_value": metrics[f"{best}/{metric}"],
        "lead_low": min(leads),
        "passed": bool(judged["passed"]),
    }


def run_stage(stage: str, family: str, places: dict[str, Path], settings: Path | None) -> None:
    """Run one stage in a process of its own; its lines go to ``places["log"]``.

    Raises:
        RuntimeError: it failed; the message has its last line.
    """
    command = [sys.executable, "-m", "beauty_models", stage, family]
    if settings:
        command += [
            "--params",
            str(settings),
            "--metrics",
            str(places["metrics"] / f"{stage}.json"),
        ]
    names = families.path_names(families.function(stage, family)) if settings else ["raw"]
    for name in names:
        command += [f"--{name}", str(places[name])]
    log = places["log"]
    with log.open("a", encoding="utf-8") as stream:
        done = subprocess.run(command, cwd=ROOT, stdout=stream, stderr=stream, check=False)
    if done.returncode:
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise RuntimeError(f"{stage} of {family} failed: {''.join(last)} (all of it: {log})")


def deliver(family: str, block: dict[str, Any], places: dict[str, Path]) -> None:
    """Put the raw data of the block's source into ``places["raw"]``, which is made anew."""
    shutil.rmtree(places["raw"], ignore_errors=True)
    if fetch.source_kind(block["source"]) != "local":
        run_stage(block["source"], family, places, None)
        return
    places["raw"].mkdir(parents=True)
    downloads = places["raw"].parent / "downloads"
    fetch.take_snapshot(family, block["source"], block["license"], places["raw"], downloads, print)


def on_own_data(family: str, block: dict[str, Any], source: str) -> dict[str, Any]:
    """Return the block as `beauty retrain FAMILY --source SOURCE` would make it."""
    own = params.read(ROOT / "profiles/own.yaml").get(family, {})
    return params.merge(block, own) | {"source": str(Path(source).resolve())}


def delivered(family: str, block: dict[str, Any], folder: Path) -> dict[str, Path]:
    """Return where the family's raw data and splits lie; what is missing is made."""
    places = {name: folder / family / name for name in ("raw", "data", "metrics")}
    places["log"] = folder / family / "log.txt"
    places["metrics"].mkdir(parents=True, exist_ok=True)
    settings = folder / family / "params.yaml"
    ingested = folder / family / "ingest.txt"  # of what the splits were made
    wanted = json.dumps([block["source"], block["ingest"]], sort_keys=True)
    if not ingested.exists() or ingested.read_text(encoding="utf-8") != wanted:
        ingested.unlink(missing_ok=True)
        settings.write_text(yaml.safe_dump({"families": {family: block}}), encoding="utf-8")
        deliver(family, block, places)
        run_stage("ingest", family, places, settings)
        ingested.write_text(wanted, encoding="utf-8")
    return places


def run_row(family: str, block: dict[str, Any], seed: int, precision: str, folder: Path) -> Row:
    """Run pretrain, finetune and evaluate of ``family`` and return the row."""
    began = time.monotonic()
    places = delivered(family, block, folder)
    own = folder / family / f"{precision}-{seed}"
    places |= {name: own / name for name in ("pretrained", "model", "report", "metrics")}
    places["metrics"].mkdir(parents=True, exist_ok=True)
    places["log"] = own / "log.txt"
    changed = row_block(block, seed, precision)
    settings = own / "params.yaml"
    settings.write_text(yaml.safe_dump({"families": {family: changed}}), encoding="utf-8")
    for stage in ("pretrain", "finetune", "evaluate"):
        run_stage(stage, family, places, settings)
    metrics = json.loads((places["metrics"] / "evaluate.json").read_text(encoding="utf-8"))
    return Row(
        family=family,
        precision=precision,
        seed=seed,
        seconds=round(time.monotonic() - began, 1),
        **verdict(block, metrics),
    )


def table(rows: list[Row]) -> str:
    """Return ``rows`` as a Markdown table."""
    lines = [
        "| family | precision | seed | metric | model | accuracy "
        "| best baseline | lead, lower bound | gate |",
        "|---|---|---:|---|---:|---:|---|---:|---|",
    ]
    for row in rows:
        verdict = "passed" if row["passed"] else "**not passed**"
        accuracy = "" if row["accuracy"] is None else f"{row['accuracy']:.3f}"
        lines.append(
            f"| {row['family']} | {row['precision']} | {row['seed']} "
            f"| {row['metric']} | {row['value']:.3f} | {accuracy} "
            f"| {row['baseline']} {row['baseline_value']:.3f} "
            f"| {row['lead_low']:+.3f} | {verdict} |"
        )
    return "\n".join(lines)


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.seeds",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--families", nargs="+", default=["tryon", "recommend", "sentiment"])
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--source", help="data of one's own for the one family that is named")
    parser.add_argument("--folder", type=Path, default=ROOT / "build/seeds", help="scratch folder")
    parser.add_argument("--params", type=Path, default=ROOT / "params.yaml")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run what is missing and print the table.

    The exit code is 1 when a row did not pass or a stage failed.
    """
    options = _arguments(arguments)
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "rows.json"
    done: dict[str, Row] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    blocks = params.read(options.params)
    unknown = sorted(set(options.families) - set(blocks))
    if unknown:
        print(f"error: no family {unknown[0]}; there are {', '.join(blocks)}", file=sys.stderr)
        return 1
    if options.source:
        if len(options.families) != 1:
            print("error: --source is for one family; name it by --families", file=sys.stderr)
            return 1
        (family,) = options.families
        blocks = {family: on_own_data(family, blocks[family], options.source)}
    wanted = [
        (family, precision, seed, f"{digest(family, blocks[family])} {family} {precision} {seed}")
        for family in options.families
        for seed in options.seeds
        for precision in options.precisions
    ]
    missing = sum(key not in done for *_, key in wanted)
    spent: list[float] = []
    for family, precision, seed, key in wanted:
        if key in done:
            continue
        try:
            done[key] = run_row(family, blocks[family], seed, precision, folder)
        except (RuntimeError, ValueError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        write_json(kept, dict(done))
        spent.append(done[key]["seconds"])
        left = (missing - len(spent)) * sum(spent) / len(spent)
        print(table([done[key]]).splitlines()[-1], flush=True)
        print(f"{len(spent)} of {missing}, about {left / 60:.0f} min left", file=sys.stderr)
    rows = [done[key] for *_, key in wanted]
    print(f"\n{os.cpu_count()} cores\n\n{table(rows)}")
    return 0 if all(row["passed"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
