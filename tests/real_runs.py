"""Figures of real runs, tests/figures/FAMILY.json, and what register makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from beauty_models import params
from tasks.registry import gate

ROOT = Path(__file__).parents[1]


def figures(family: str) -> dict[str, float]:
    """Return evaluate's figures of a real run."""
    file = ROOT / "tests/figures" / f"{family}.json"
    return dict(json.loads(file.read_text(encoding="utf-8")))


def registered(family: str, metrics: dict[str, float], champion: bool = True) -> dict[str, Any]:
    """Return what register returns for a model with these figures, judged by its own gate."""
    rules = params.Gate.model_validate(params.read(ROOT / "params.yaml")[family]["gate"])
    verdict = gate.judge(rules, metrics, metrics if champion else None, 12 if champion else None)
    return {
        "family": family,
        "version": 13,
        "aliases": ["champion" if verdict["passed"] else "challenger"],
        "passed": verdict["passed"],
        "verdict": verdict,
        "warnings": [
            "the data may not be used commercially (CC-BY-NC-4.0), " + "so take care " * 9
        ],
        "verdict_markdown": "",
        "metrics": metrics,
        "mlflow_url": f"http://127.0.0.1:5000/#/models/{family}/versions/13",
    }
