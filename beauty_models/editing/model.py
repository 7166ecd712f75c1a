"""What a trained model is: the fills it can do, and which of them serves each kind of hole.

A network serves where it was better on the validation split than all fills that learn nothing, and
nowhere else. `SERVED` in the model's folder says which does, and by which figures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from beauty_models.editing import inpainter
from beauty_models.editing.fills import FILLS, Fill
from beauty_models.editing.holes import KINDS, Holes
from beauty_models.files import read_json, write_json

if TYPE_CHECKING:
    from beauty_models.editing.diffusion import Diffusion
    from beauty_models.editing.latent import LatentDiffusion

SERVED = "served.json"
INPAINTER = "inpainter"
DIFFUSION = "diffusion"

Images = NDArray[np.uint8]  # sRGB [n, side, side, 3]
BatchFill = Callable[[Images, Holes], Images]
"""(photos, holes) → photos with their holes filled; all else keeps its bytes."""


def of_each(fill: Fill) -> BatchFill:
    """Return a fill of one photo as one of many."""

    def fill_all(images: Images, holes: Holes) -> Images:
        filled = np.array(images)
        for row, (image, hole) in enumerate(zip(images, holes, strict=True)):
            filled[row] = fill(image, hole)
        return filled

    return fill_all


def fills_of(
    network: inpainter.Inpainter, diffuser: Diffusion | LatentDiffusion | None
) -> dict[str, BatchFill]:
    """Return all fills by name: the networks, and those that learn nothing."""
    fills: dict[str, BatchFill] = {INPAINTER: network.fill}
    if diffuser is not None:
        fills[DIFFUSION] = diffuser.fill
    for name, fill in FILLS.items():
        fills[name] = of_each(fill)
    return fills


@dataclass
class Editor:
    """A trained model, as it fills holes."""

    network: inpainter.Inpainter
    diffuser: Diffusion | LatentDiffusion | None  # None, too, where it was not asked for
    served: dict[str, str]  # kind of hole → which fill serves
    validation: dict[str, dict[str, float]]  # fill → kind → PSNR in the hole, dB

    @property
    def side(self) -> int:
        """Pixels a side of the photos that are filled."""
        return self.network.size

    def fills(self) -> dict[str, BatchFill]:
        """Return all fills by name."""
        return fills_of(self.network, self.diffuser)

    def fill(self, images: Images, holes: Holes, kind: str) -> Images:
        """Return ``images`` [n, side, side, 3] with ``holes`` filled by the fill that serves.

        ``kind``, one of `KINDS`, says what the holes are like. All else keeps its bytes.
        """
        return self.fills()[self.served[kind]](images, holes)


def save_choice(
    folder: Path, served: dict[str, str], validation: dict[str, dict[str, float]]
) -> None:
    """Write to ``folder`` which fill serves each kind of hole, and the figures that say so."""
    write_json(folder / SERVED, {"served": served, "validation_psnr_hole": validation})


def load_diffuser(folder: Path, autocast: str = "auto") -> Diffusion | LatentDiffusion:
    """Return the diffusion model in ``folder``: of pixels, or of Stable Diffusion's latents.

    Raises:
        ValueError: it is neither, or its weights are not finite.
    """
    # Here: diffusers takes seconds to import, for nothing where another fill serves.
    from beauty_models.editing import diffusion, latent

    if (folder / "vae").is_dir():
        return latent.load(folder, autocast)
    return diffusion.load(folder, autocast)


def load(folder: Path, autocast: str = "auto", *, every: bool = False) -> Editor:
    """Return the model that `finetune` wrote to ``folder``.

    Args:
        folder: of the model.
        autocast: auto, float32 or bfloat16.
        every: the diffusion model is loaded even where it does not serve, to be compared.

    Raises:
        ValueError: it is no saved model, or its weights are not finite.
    """
    chosen: dict[str, Any] = read_json(folder / SERVED)
    served = chosen.get("served")
    known = {INPAINTER, DIFFUSION, *FILLS}
    if not isinstance(served, dict) or set(served) != set(KINDS) or set(served.values()) - known:
        raise ValueError(
            f"{folder / SERVED}: no fill that serves for each of {', '.join(KINDS)}; retrain or "
            "restore the folder"
        )
    network = inpainter.load(folder, autocast)
    diffuser = None
    there = (folder / DIFFUSION).is_dir()
    serves = DIFFUSION in served.values()
    if serves and not there:
        raise ValueError(f"{folder / DIFFUSION}: missing, but {SERVED} says that it serves")
    if there and (serves or every):
        diffuser = load_diffuser(folder / DIFFUSION, autocast)
    return Editor(network, diffuser, served, chosen["validation_psnr_hole"])
