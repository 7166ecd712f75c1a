"""Runs of MLflow: the parameters, metrics, curves and files that a version comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from tasks.registry.connection import (
    Client,
    ignore_existing,
    mlartifacts,
    tracking_uri,
    translated_errors,
)

# What one request may hold, by the limits of MLflow's server.
PARAMS_PER_REQUEST = 100
METRICS_PER_REQUEST = 1000
LONGEST_PARAM = 6000  # characters

T = TypeVar("T")


class CurvePoint(NamedTuple):
    """A metric of a training, ``STAGE/METRIC``, after an epoch or a step."""

    name: str
    step: int
    value: float


def log_run(
    registry: Client,
    family: str,
    params: dict[str, str],
    metrics: dict[str, float],
    artifacts: Path,
    tags: dict[str, str],
) -> str:
    """Record a finished run with everything below ``artifacts``; return its id."""
    from mlflow.entities import Metric, Param

    with translated_errors():
        experiment = _experiment_id(registry, family)
        run = registry.create_run(experiment, run_name=family, tags=tags).info.run_id
        entries = [Param(name, value[:LONGEST_PARAM]) for name, value in params.items()]
        for param_batch in _batches(entries, PARAMS_PER_REQUEST):
            registry.log_batch(run, params=param_batch)
        time = _milliseconds()
        points = [Metric(name, value, time, 0) for name, value in metrics.items()]
        for batch in _batches(points, METRICS_PER_REQUEST):
            registry.log_batch(run, metrics=batch)
        # Files last: a run that is killed in between is not finished, and no version names it.
        registry.log_artifacts(run, str(artifacts))
        registry.set_terminated(run)
        return str(run)


def log_curves(registry: Client, run: str, curves: Sequence[CurvePoint]) -> None:
    """Add the curves of the trainings to a run; MLflow draws each metric over its steps."""
    from mlflow.entities import Metric

    time = _milliseconds()
    points = [Metric(point.name, point.value, time, point.step) for point in curves]
    with translated_errors():
        for batch in _batches(points, METRICS_PER_REQUEST):
            registry.log_batch(run, metrics=batch)


def log_texts(registry: Client, run: str, texts: dict[str, str]) -> None:
    """Add text files, name → content, to a run."""
    with translated_errors():
        for name, text in texts.items():
            registry.log_text(run, text, name)


def _batches(items: Sequence[T], size: int) -> Iterator[list[T]]:
    """Yield ``items`` in lists of at most ``size``."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _milliseconds() -> int:
    """Return the time as MLflow counts it, since 1970."""
    return int(datetime.now(UTC).timestamp() * 1000)


def _experiment_id(registry: Client, family: str) -> str:
    """Return the id of the family's experiment, made with the first run."""
    if registry.get_experiment_by_name(family) is None:
        # A server knows where its files go; a database by itself would put them into the current
        # folder.
        location = None
        if not tracking_uri().startswith("http"):
            location = mlartifacts(family).as_uri()
        with ignore_existing():
            registry.create_experiment(family, artifact_location=location)
    return str(registry.get_experiment_by_name(family).experiment_id)
