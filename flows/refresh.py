"""The nightly flow: look for new raw data and retrain the families that got some."""

from __future__ import annotations

from typing import Any

from beauty_models import params

from flows.retrain import carry_through  # isort: skip  # sets what Prefect reads when it is imported
from prefect import flow


@flow(name="refresh")
def refresh(families: list[str] | None = None, share: bool = False) -> dict[str, Any]:
    """Fetch the raw data of ``families`` (all, when none are named); retrain and register those whose data changed.

    ``share`` as in `flows.retrain.carry_through`.

    Returns:
        As `flows.retrain.retrain`; no stages when nothing was new.

    Raises:
        RetrainError, ValueError: as `flows.retrain.carry_through` and `params.chosen`.
    """
    return carry_through(params.chosen(families), only_changed=True, share=share)
