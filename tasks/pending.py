"""Is there anything to do? The answer costs one look at the sources and one at DVC, and starts neither Prefect nor MLflow."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tasks.pipeline import stage
from tasks.registry import register
from tasks.sources import fetch


def all_done(families: Collection[str]) -> list[dict[str, Any]] | None:
    """Return a Skipped row (stage, family, state, seconds) for each stage if a run of ``families`` would do nothing at all.

    None when there may be something to do: a source has changed or cannot be read, a stage is stale, or a model is not
    registered. Then the run itself finds out, and says what.
    """
    try:
        if not all(fetch.unchanged(family) for family in families):
            return None
        stages, reasons = stage.survey(families)
        if any(reasons.values()) or not all(register.is_registered(name) for name in families):
            return None
    except (ValueError, OSError, RuntimeError):
        return None
    return [
        {"stage": what.verb, "family": what.family, "state": "Skipped", "seconds": 0.0}
        for what in stages.values()
        if not what.source
    ]
