"""What looks after a generator's training: a collapse is told, and no checkpoint is taken in one.

Generator and discriminator can fall out of balance for good while every number stays finite: the
discriminator wins or learns nothing, or the generator draws one face whatever the noise. None of it
comes back.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from beauty_models.training.checkpoint import Checkpoint

# A run is given up when one of these two holds for a twentieth of its steps, this many at least.
COLLAPSE_STEPS = 100
WON = 0.02  # discriminator's loss: it tells every face, and the generator learns nothing more
ALIKE = 0.02  # deviation among samples, of that among photos: every sample is the same face
# A discriminator that says the same of every face has a loss of 2 ln 2. A healthy one begins there,
# too: the starter's is 1.38 for 160 of its 400 steps, then 1.34. So the mean of half of the steps
# is looked at, when three quarters are taken: 1.353. A single step's is off by 0.05 by chance.
DEAD_LOSS = 2 * math.log(2)
LEAST_LEAD = 0.01


class CollapsedError(ValueError):
    """Generator and discriminator are out of balance for good.

    It is a ValueError: learning rates and the penalty's weight are the user's to set.
    """


class Balance:
    """Watches a training for a collapse; its counts are part of the checkpoints.

    ``rates`` are the learning rates and ``where`` what is said of checkpoints, for the message.
    """

    def __init__(self, steps: int, rates: Sequence[float], where: Callable[[], str]) -> None:
        self.steps = steps
        self.patience = max(COLLAPSE_STEPS, steps // 20)
        self.rates = ", ".join(f"{rate:g}" for rate in rates)
        self.where = where
        self.won = 0  # steps in a row in which the discriminator made no mistake
        self.alike = 0  # steps in a row in which samples did not differ
        # The last losses, as many as say whether it learned something.
        self.losses: deque[float] = deque(maxlen=max(COLLAPSE_STEPS, steps // 2))

    @property
    def healthy(self) -> bool:
        """Whether nothing points to a collapse."""
        return self.won == 0 and self.alike == 0

    def _is_dead(self, step: int) -> bool:
        """Return whether the discriminator had time enough, and says the same of every face."""
        window = self.losses.maxlen
        assert window is not None
        if 4 * (step + 1) < 3 * self.steps or len(self.losses) < window:
            return False
        return sum(self.losses) / window > DEAD_LOSS - LEAST_LEAD

    def update(self, step: int, loss: float, deviation: float) -> None:
        """Look at a step, counted from 0.

        Args:
            step: its number.
            loss: the discriminator's.
            deviation: among samples, of that among photos.

        Raises:
            CollapsedError: for too many steps in a row the training learned nothing.
        """
        # One step that is well ends the count: a training that swings is none that collapsed.
        self.won = self.won + 1 if loss < WON else 0
        self.alike = self.alike + 1 if deviation < ALIKE else 0
        self.losses.append(loss)
        if self.won >= self.patience:
            what = (
                f"for {self.won} steps the discriminator's loss is below {WON}: it tells every "
                "sample, and the generator learns nothing from it"
            )
            remedy = "lower gan.discriminator_learning_rate, or raise gan.r1"
        elif self.alike >= self.patience:
            what = (
                f"for {self.alike} steps samples differ by less than {ALIKE:.0%} of what photos "
                "do: the generator draws one face"
            )
            remedy = "lower gan.learning_rate, or add to gan.augment"
        elif self._is_dead(step):
            mean = sum(self.losses) / len(self.losses)
            what = (
                f"for {len(self.losses)} steps the discriminator's loss is {mean:.3f} on average, "
                f"no better than the {DEAD_LOSS:.3f} of one that says the same of every face: the "
                "generator learns nothing from it"
            )
            remedy = "lower gan.r1, or raise gan.discriminator_learning_rate"
        else:
            return
        raise CollapsedError(
            f"pretrain: generator: step {step + 1} of {self.steps}: {what} (learning rates "
            f"{self.rates}). Training stopped, {self.where()}. Remedy: {remedy}"
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        return {"won": self.won, "alike": self.alike, "losses": list(self.losses)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken."""
        self.won = state["won"]
        self.alike = state["alike"]
        self.losses.clear()
        self.losses.extend(state["losses"])


class HealthyCheckpoint(Checkpoint):
    """A checkpoint that waits while a training may be collapsing: what is kept can go on."""

    # Set by the training; until then there is nothing to wait for.
    healthy: Callable[[], bool] = staticmethod(lambda: True)

    def due(self) -> bool:
        """Return whether the time between two checkpoints has passed, and all is well."""
        return super().due() and self.healthy()
