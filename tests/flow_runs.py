"""What tests of flows share: the flow on the project in the current folder, and what it left."""

from __future__ import annotations

from typing import Any

from flows import story

SCRIPT = """
import json, sys
from flows.retrain import run
print(json.dumps(run(None, lambda *event: None, only_stages=True)))
"""
"""The flow as a program: it prints what the run returns."""


def flow(on_event: Any = lambda *event: None) -> dict[str, str]:
    """Run the flow on the current project; return the state of each stage."""
    from flows.retrain import run

    return states(run(None, on_event, only_stages=True))


def states(outcome: dict[str, Any]) -> dict[str, str]:
    return {f"{row['stage']}@{row['family']}": row["state"] for row in outcome["stages"]}


def last_story() -> Any:
    """Return the newest artifact of the key that stays."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
    from prefect.client.schemas.sorting import ArtifactSort

    with get_client(sync_client=True) as client:
        mine = ArtifactFilter(key=ArtifactFilterKey(any_=[story.KEY]))
        found = client.read_artifacts(artifact_filter=mine, sort=ArtifactSort.CREATED_DESC, limit=1)
    assert found[0].type == "markdown"
    return found[0]
