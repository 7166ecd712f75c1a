"""Is there anything to do? One look at the sources and one at DVC; neither Prefect nor MLflow."""

from __future__ import annotations

from collections.abc import Collection

from tasks.pipeline.staleness import survey
from tasks.pipeline.update import StageRow
from tasks.registry import register
from tasks.sources import fetch


def all_done(families: Collection[str]) -> list[StageRow] | None:
    """Return a Skipped row for each stage if a run of ``families`` would do nothing at all.

    None when there may be something to do: a source has changed or cannot be read, a stage is
    stale, or a model is not registered. Then the run itself finds out, and says what.
    """
    try:
        if not all(fetch.is_up_to_date(family) for family in families):
            return None
        stages, reasons = survey(families)
        if any(reasons.values()) or not all(register.is_registered(name) for name in families):
            return None
    except (ValueError, OSError, RuntimeError):
        return None
    return [
        {"stage": stage.verb, "family": stage.family, "state": "Skipped", "seconds": 0.0}
        for stage in stages.values()
        if not stage.source
    ]
