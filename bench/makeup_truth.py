"""How near a made-up drawn face is to the truth: the same photo of the same person in that look.

The distances of evaluate compare the colors of two persons' parts, so they reward light and skin
tone of the reference's photo, too. Drawn faces have a true answer: the bare photo is drawn again
with the look on. `python -m bench.makeup_truth build/makeup/model`, or without a model for the
baselines alone.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.color import rgb2lab

from beauty_models.makeup import alignment, starter
from beauty_models.makeup.baselines import BASELINES
from beauty_models.makeup.dataset import as_bytes
from beauty_models.makeup.drawing.people import BARE
from beauty_models.makeup.drawing.portrait import draw
from beauty_models.makeup.metrics import FEWEST, part_mask
from beauty_models.makeup.model import load
from beauty_models.makeup.regions import MADE_UP
from beauty_models.makeup.scores import MakeUp, by_face

TRIPLES = 60
PHOTO = 96  # pixels a side, as in the starter
SIDE = 64  # of the aligned face, where no model says it
SEED = 99  # none of the starter's people


def _triple(number: int, side: int) -> list[NDArray[np.uint8]]:
    """Return bare face, its regions, reference, its regions, and the truth, all aligned."""
    random = np.random.default_rng((SEED, number))
    wearer = starter.person(random, random.random())
    photo = starter.scene(random)
    other = starter.person(random, random.random())
    look = starter.look(random, other.skin)
    bare = draw(wearer, BARE, photo, PHOTO)
    reference = draw(other, look, starter.scene(random), PHOTO)
    # Foundation is bought in one's own shade.
    worn = dataclasses.replace(look, foundation_color=wearer.skin)
    truth = draw(wearer, worn, photo, PHOTO)
    own = alignment.from_label_map(bare.regions)
    others = alignment.from_label_map(reference.regions)
    return [
        own.crop(bare.image, side),
        own.crop_regions(bare.regions, side),
        others.crop(reference.image, side),
        others.crop_regions(reference.regions, side),
        own.crop(truth.image, side),
    ]


def _images(pictures: list[NDArray[np.uint8]]) -> torch.Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def main(folder: Path | None) -> None:
    """Print the mean ΔE (1976) from the truth over the pixels of each part, by method."""
    methods: dict[str, MakeUp] = {name: by_face(baseline) for name, baseline in BASELINES.items()}
    side = SIDE
    if folder is not None:
        transfer = load(folder)
        side = transfer.size
        methods["model"] = lambda *pair: as_bytes(transfer(*pair)).cpu()
    bare, regions, reference, reference_regions, truth = (
        list(column) for column in zip(*(_triple(i, side) for i in range(TRIPLES)), strict=True)
    )
    arguments = (
        _images(bare),
        torch.from_numpy(np.stack(regions)),
        _images(reference),
        torch.from_numpy(np.stack(reference_regions)),
    )
    print(f"{'':20}" + "".join(f"{part:>8}" for part in MADE_UP))
    for name, method in methods.items():
        made_up = method(*arguments).permute(0, 2, 3, 1).numpy()
        cells = ""
        for part in MADE_UP:
            errors = []
            for i in range(TRIPLES):
                mask = part_mask(regions[i], part)
                if mask.sum() < FEWEST:
                    continue
                difference = rgb2lab(made_up[i][mask][None]) - rgb2lab(truth[i][mask][None])
                errors.append(np.sqrt((difference**2).sum(-1)).mean())
            cells += f"{np.mean(errors):8.2f}"
        print(f"{name:20}{cells}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.makeup_truth", description=__doc__)
    parser.add_argument("model", type=Path, nargs="?", help="the folder of a trained model")
    main(parser.parse_args().model)
