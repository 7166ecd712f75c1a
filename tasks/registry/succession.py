"""Who is champion after whom: a compare-and-set on MLflow, which has none of its own.

MLflow moves an alias for whoever asks last. Two machines that both judged a candidate against
version 3 could therefore both move it, and the worse one win. So every change of a family's
champion first claims its number in the family's line of champions: it creates the experiment
``FAMILY champion NUMBER``, whose tags say which version it is. Experiment names are unique in
MLflow's database and its tags are written in the same transaction, so exactly one claim of a number
succeeds, on SQLite, PostgreSQL and through a server alike. Whoever fails looks again, judges
against the new champion, and claims the next number. The experiment is deleted at once, which in
MLflow means hidden: its name stays taken.

Nobody holds a lock, so nobody who is killed or stopped can block others. A process that stops
between its claim and the alias is helped: `settle`, which everyone calls who wants to know the
champion, moves the alias for it. One that wakes up late and moves the alias back finds the newer
claim right after, and puts it right; if it is killed even then, the tag `MOVING` that it left tells
everyone else. Each mover has a tag of its own, which it alone takes away: a helper cannot know
whether the one it helps will still move the alias. An alias that a person moved in MLflow's own
pages to a version without such a tag stays.

docs/decisions/2026-11-26-champions.md has what else was considered, and what is left.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple
from uuid import uuid4

from tasks.registry.connection import Client, overwrite

CHAMPION = "champion"
CHALLENGER = "challenger"
SINCE = "was_champion_since"  # tag: when the version last became champion; gone when rolled back
SETTLED = "champion_number"  # tag: the last claim for this version to which the alias was moved
# tag, with the mover's own token: the claim for which it moves the alias
MOVING = "champion_moving."


class Claim(NamedTuple):
    """The champion with the number ``number`` in the family's line is ``version``."""

    number: int
    version: int


class Standing(NamedTuple):
    """What a candidate is judged against: the last number in the line, and the champion now."""

    number: int
    champion: int | None


def aliases(registry: Client, family: str) -> dict[str, int]:
    """Return alias → version of the family; empty when nothing is registered yet."""
    models = registry.search_registered_models(f"name='{family}'")
    if not models:
        return {}
    return {alias: int(version) for alias, version in models[0].aliases.items()}


def _tags(registry: Client, family: str) -> dict[int, dict[str, str]]:
    """Return version → its tags."""
    versions = registry.search_model_versions(f"name='{family}'")
    return {int(version.version): dict(version.tags) for version in versions}


def _claim_name(family: str, number: int) -> str:
    return f"{family} champion {number}"


def _last_claim(registry: Client, family: str, tags: dict[int, dict[str, str]]) -> Claim | None:
    """Return the newest claim; ``tags`` are those of the family's versions."""
    settled = [Claim(int(own[SETTLED]), version) for version, own in tags.items() if SETTLED in own]
    # The tags say where to look from: `mlflow gc` may have removed older claims.
    last = max(settled, default=None)
    while True:
        number = last.number + 1 if last else 1
        # MLflow finds deleted experiments by their names as well, which is what hides the claims.
        experiment = registry.get_experiment_by_name(_claim_name(family, number))
        if experiment is None:
            return last
        last = Claim(number, int(experiment.tags["version"]))


def _is_being_moved(tags: dict[str, str]) -> bool:
    """Return whether somebody was about to point the alias at this version, or still is."""
    return any(name.startswith(MOVING) for name in tags)


def _move(registry: Client, family: str, claim: Claim) -> None:
    """Move the alias to the version of ``claim``, or of a newer claim that came meanwhile."""
    moving_tag = MOVING + uuid4().hex
    marked: set[str] = set()
    newest: Claim | None = claim
    while newest is not None:
        claim = newest
        version = str(claim.version)
        marked.add(version)
        # The tag before the alias: killed between the two, somebody knows that the alias may move.
        registry.set_model_version_tag(family, version, moving_tag, str(claim.number))
        overwrite(registry.set_registered_model_alias, family, CHAMPION, version)
        last = _last_claim(registry, family, _tags(registry, family))
        newest = last if last and last.number > claim.number else None
    version = str(claim.version)
    # Whoever helps sets the same two tags, maybe at this moment.
    overwrite(registry.set_model_version_tag, family, version, SETTLED, str(claim.number))
    now = datetime.now(UTC).isoformat()
    overwrite(registry.set_model_version_tag, family, version, SINCE, now)
    # Only now: until the alias is right, they tell of our moves.
    for marked_version in marked:
        registry.delete_model_version_tag(family, marked_version, moving_tag)
    if aliases(registry, family).get(CHALLENGER) == claim.version:
        registry.delete_registered_model_alias(family, CHALLENGER)


def settle(registry: Client, family: str) -> Standing:
    """Return the champion, after finishing what a stopped or killed process left half done."""
    tags = _tags(registry, family)
    last = _last_claim(registry, family, tags)
    if last is None:
        return Standing(0, aliases(registry, family).get(CHAMPION))
    champion = aliases(registry, family).get(CHAMPION)
    # Whoever claimed the last number has not moved the alias to its end.
    unsettled = int(tags.get(last.version, {}).get(SETTLED, 0)) < last.number
    # A process of an older claim woke up and moved it back; a person leaves no such tag.
    moved_late = champion != last.version and _is_being_moved(tags.get(champion or 0, {}))
    if last.version in tags and (unsettled or moved_late):
        _move(registry, family, last)
        champion = aliases(registry, family).get(CHAMPION)
    return Standing(last.number, champion)


def succeed(registry: Client, family: str, version: int, standing: Standing) -> bool:
    """Make ``version`` champion if ``standing`` still holds; return whether it did.

    ``standing`` is what `settle` returned before the candidate was judged.
    """
    from mlflow.exceptions import MlflowException

    # A cheap look that spares a claim; what decides is the claim itself.
    if settle(registry, family) != standing:
        return False
    number = standing.number + 1
    try:
        tags = {"family": family, "version": str(version)}
        experiment = registry.create_experiment(_claim_name(family, number), tags=tags)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        # Somebody else has the number: help them, so that the next look sees the new champion.
        settle(registry, family)
        return False
    # Out of sight in MLflow's pages; its name stays taken.
    registry.delete_experiment(experiment)
    _move(registry, family, Claim(number, version))
    return True
