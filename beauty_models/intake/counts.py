"""How much there was, was kept and was left out: told in one line, returned as metrics."""

from __future__ import annotations

from collections.abc import Mapping

from beauty_models.families import Metrics
from beauty_models.progress import log_line


def report_counts(counts: Mapping[str, int]) -> Metrics:
    """Tell what ingest counted, in the order of ``counts``, and return it as metrics."""
    listed = [f"{count:,} {name}" for name, count in counts.items()]
    log_line(f"ingest: {', '.join(listed)}")
    return {name: float(count) for name, count in counts.items()}
