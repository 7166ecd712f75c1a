"""How much there was, was kept and was left out, as metrics."""

from __future__ import annotations

from collections.abc import Mapping

from beauty_models.families import Metrics


def as_metrics(counts: Mapping[str, int]) -> Metrics:
    """Return what ingest counted as metrics; people are told by `account`."""
    return {name: float(count) for name, count in counts.items()}
