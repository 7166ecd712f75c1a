"""What all actions share: the folder of this machine's memory, and the type of line callbacks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

STATE = Path(".beauty")  # what this machine remembers between runs

OnLine = Callable[[str], None]
"""It gets each line of an action's log as soon as there is one."""
