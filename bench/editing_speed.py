"""How fast editing learns beside diffusers' own loop, and how fast it answers, on this machine.

``python -m bench.editing_speed`` draws its photos; ``--photos FOLDER`` takes a shop's for what is
answered. Training: the same network, photos, holes, loss, optimizer, schedule, averaged weights and
precision in both loops; theirs is that of diffusers' training examples (accelerate, `EMAModel`).
"""

from __future__ import annotations

import argparse
import copy
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# As in `beauty_models.__main__`: before torch, whose waiting threads would take the cores.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")

import numpy as np
import torch
from accelerate import Accelerator
from diffusers.optimization import get_cosine_schedule_with_warmup
from diffusers.training_utils import EMAModel
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from beauty_models import params
from beauty_models.device import fast_bfloat16
from beauty_models.editing import Params, drawing, edits, fills, model, predict
from beauty_models.editing.dataset import Photos
from beauty_models.editing.diffusion import (
    build_scheduler,
    build_unet,
    denoising_loss,
    with_condition,
)
from beauty_models.editing.examples import draw_batch
from beauty_models.editing.finetune import Trainer, inpainting_loss
from beauty_models.editing.holes import KINDS
from beauty_models.editing.inpainter import (
    Inpainter,
    InpaintingNetwork,
    Shape,
    hole_maps,
    normalized,
)
from beauty_models.training.checkpoint import Checkpoint
from beauty_models.training.loop import Validation
from bench.loops import Timing, add_case, epoch_seconds, table

ROOT = Path(__file__).parents[1]
PHOTOS = 64  # drawn, to learn from
CUTOUTS = 100
SIDE = 512  # pixels of a photo that is answered
EPOCHS = 3
STEPS = 20  # of an epoch

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


def drawn(count: int, side: int) -> Photos:
    """Return ``count`` drawn photos of products, [n, side, side, 3], with their masks."""
    images = []
    masks = []
    kinds = list(drawing.KINDS)
    for number in range(count):
        random = np.random.default_rng(number)
        parts = drawing.KINDS[kinds[number % len(kinds)]](random)
        photo = drawing.draw(parts, number, "white", side, random)
        images.append(photo.image)
        masks.append(photo.mask)
    names = [str(number) for number in range(count)]
    return Photos(np.stack(images), np.stack(masks), ["given"] * count, names, names, names)


def ours(network: nn.Module, photos: Photos, section: object, loss: Loss) -> Timing:
    """Return how our loop did."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            "bench",
            network,
            photos,
            section,  # type: ignore[arg-type]
            lambda pictures, holes: loss(network, pictures, holes),
            lambda: Validation({}, 0.0),
            Checkpoint(Path(folder) / "none", "", 1e9),
        )
        seconds = epoch_seconds(trainer.loop, EPOCHS, lambda: None)
    return Timing("ours", seconds, "")


def theirs(network: nn.Module, photos: Photos, section: object, loss: Loss) -> Timing:
    """Return how the loop of diffusers' examples did."""
    batch = section.batch  # type: ignore[attr-defined]
    accelerator = Accelerator(mixed_precision="no", cpu=True)
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=section.learning_rate,  # type: ignore[attr-defined]
        weight_decay=section.weight_decay,  # type: ignore[attr-defined]
    )
    steps = EPOCHS * STEPS
    schedule = get_cosine_schedule_with_warmup(optimizer, steps // 20, steps)
    network, optimizer, schedule = accelerator.prepare(network, optimizer, schedule)
    mean = EMAModel(network.parameters(), decay=0.99)
    seconds = []
    for epoch in range(EPOCHS):
        start = time.perf_counter()
        for step in range(STEPS):
            random = np.random.default_rng((7, epoch * STEPS + step))
            images, holes = draw_batch(photos, batch, random)
            network.train()
            value = loss(network, normalized(images), hole_maps(holes))
            accelerator.backward(value)
            accelerator.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            mean.step(network.parameters())
            value.item()  # which the examples log
        seconds.append(time.perf_counter() - start)
    return Timing("diffusers' example", seconds, "")


def training(block: Params) -> Table:
    """Return a table of both loops on both networks."""
    rows = table("Training, photos of 64 pixels a second", "loop", "")
    photos = drawn(PHOTOS, block.pretrain.size)
    shape = block.pretrain.inpainter
    torch.manual_seed(7)
    inpainter = InpaintingNetwork(
        Shape(block.pretrain.size, shape.channels, shape.levels, shape.blocks)
    )
    section = block.finetune.inpainter.model_copy(update={"epochs": EPOCHS, "steps": STEPS})

    def fill(network: nn.Module, pictures: Tensor, holes: Tensor) -> Tensor:
        return inpainting_loss(network, section, pictures, holes)  # type: ignore[arg-type]

    _add(rows, "inpainter", inpainter, photos, section, fill)
    shape_of_noise = block.pretrain.diffusion
    unet = with_condition(
        build_unet(block.pretrain.size, shape_of_noise.channels, shape_of_noise.layers)
    )
    scheduler = build_scheduler(shape_of_noise.prediction, shape_of_noise.zero_terminal_snr)
    noise_section = block.finetune.diffusion.model_copy(update={"epochs": EPOCHS, "steps": STEPS})

    def noise(network: nn.Module, pictures: Tensor, holes: Tensor) -> Tensor:
        precision = noise_section.precision
        return denoising_loss(network, scheduler, pictures, holes, 5.0, precision)

    _add(rows, "diffusion", unet, photos, noise_section, noise)
    return rows


def _add(
    rows: Table, case: str, network: nn.Module, photos: Photos, section: object, loss: Loss
) -> None:
    """Add both loops' figures; each trains a copy, theirs first."""
    other = theirs(copy.deepcopy(network), photos, section, loss)
    own = ours(copy.deepcopy(network), photos, section, loss)
    add_case(rows, case, STEPS * section.batch, other, own)  # type: ignore[attr-defined]


def cutouts_per_second(folder: Path) -> float:
    """Return how many photos of ``folder`` are cut out in a second, files and sheet included."""
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        answers = predict.predict(
            model=Path("no-model-is-needed"), arguments=["cutout", str(folder), "--save", out]
        )
        return len(answers) / (time.perf_counter() - start)


def seconds_to_fill(photo: Path, block: Params) -> float:
    """Return the seconds that a scratch across a photo takes once the model is loaded.

    The network is untrained, which takes as long as a trained one.
    """
    shape = block.pretrain.inpainter
    network = InpaintingNetwork(
        Shape(block.pretrain.size, shape.channels, shape.levels, shape.blocks)
    )
    served = dict.fromkeys(KINDS, model.INPAINTER)
    scores = {name: dict.fromkeys(KINDS, 1.0) for name in (model.INPAINTER, *fills.FILLS)}
    editor = model.Editor(Inpainter(network), None, served, scores)
    width, height = Image.open(photo).size
    mask = np.zeros((height, width), np.uint8)
    for row in range(height // 4, height // 2):
        mask[row, row : row + max(4, width // 60)] = 255
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mask.png"
        Image.fromarray(mask).save(file)
        values = vars(predict.parser().parse_args(["inpaint", str(photo), "--mask", str(file)]))
        wish = edits.wish_of(values)
        edits.edit(str(photo), wish, lambda: editor)
        start = time.perf_counter()
        edits.edit(str(photo), wish, lambda: editor)
        return time.perf_counter() - start


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.editing_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--photos", type=Path, help="a folder of photos, in place of drawn ones")
    options = parser.parse_args(arguments)
    block: Params = params.load("editing", ROOT / "params.yaml")  # type: ignore[assignment]
    console = Console()
    console.print(training(block))
    with tempfile.TemporaryDirectory() as folder:
        place = options.photos
        if place is None:
            place = Path(folder)
            for number, image in enumerate(drawn(CUTOUTS, SIDE).images):
                Image.fromarray(image).save(place / f"{number:03}.jpg", quality=92)
        console.print(f"cut-outs: {cutouts_per_second(place):.1f} a second, files and sheet")
        first = next(path for path in sorted(place.rglob("*")) if path.suffix in (".jpg", ".png"))
        console.print(f"a scratch filled: {seconds_to_fill(first, block):.1f} s")
    console.print(f"torch {torch.__version__}, bfloat16: {fast_bfloat16()}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
