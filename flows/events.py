"""What a run tells whoever watches it; apart from Prefect, which takes seconds to import."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from tasks.pipeline.update import StageRow
    from tasks.registry.register import Registration

OnEvent = Callable[[str, str, str, Any], None]
"""``on_event(kind, stage, family, payload)``, called from several threads.

``stage`` is a stage without its family, or fetch or register. Kinds: start (None), line (str),
progress ({share: 0 to 1, text}), end ({state, seconds, error?}), and warning (str), which concerns
the whole run, with neither stage nor family.
"""


class Outcome(TypedDict):
    """What a run made."""

    stages: list[StageRow]
    registered: list[Registration]
