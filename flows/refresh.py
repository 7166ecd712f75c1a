"""The nightly flow: look for new raw data and retrain the families that got some."""

from __future__ import annotations

from beauty_models import params
from flows.events import Outcome
from flows.prefect_api import flow
from flows.retrain import run_pipeline


@flow(name="refresh")
def refresh(families: list[str] | None = None, share: bool = False) -> Outcome:
    """Fetch the raw data of ``families`` (all, when none are named).

    Those whose data changed are retrained and registered. ``share`` as in
    `flows.retrain.run_pipeline`.

    Returns:
        As `flows.retrain.retrain`; no stages when nothing was new.

    Raises:
        RetrainError, ValueError: as `flows.retrain.run_pipeline` and `params.chosen`.
    """
    return run_pipeline(params.chosen(families), only_changed=True, share=share)
