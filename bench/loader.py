"""Reading 10,000 pictures: our shards beside loose JPEG files in torchvision's ``DataLoader``, with the same augmentation, one run.

``python -m bench.loader`` draws 100 products, writes each in 100 kinds of light, and passes over all pictures twice with each
way of reading: decode, random crop to the given size, mirror, turn, brightness, contrast, saturation.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from PIL import Image, ImageEnhance
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from beauty_models.intake import images, shards, synthetic
from beauty_models.training import augmentation

BATCH, DRAWN, SIDE = 64, 100, 256
CROP, LIGHT = (0.5, 1.0), 0.2
COLOURS, KINDS, PATTERNS = list(synthetic.COLORS), list(synthetic.KINDS), list(synthetic.PATTERNS)


def pictures(count: int) -> list[tuple[str, bytes]]:
    """Return ``count`` pictures as (name, JPEG)."""
    found = []
    for number in range(DRAWN):
        look = (
            KINDS[number % len(KINDS)],
            COLOURS[number % len(COLOURS)],
            PATTERNS[number % len(PATTERNS)],
        )
        drawn = synthetic.product(
            *look, size=SIDE, seed=number, background=("white", "room")[number % 2]
        )
        for light in range(count // DRAWN):
            found.append(
                (
                    f"{number:03}-{light:03}",
                    images.encode(
                        ImageEnhance.Brightness(drawn).enhance(0.7 + 0.6 * light * DRAWN / count)
                    ),
                )
            )
    return found


class Loose(Dataset[torch.Tensor]):
    """Loose files as torchvision's users read them."""

    def __init__(self, folder: Path, size: int) -> None:
        self.files = sorted(folder.glob("*.jpg"))
        self.view = transforms.Compose(
            [
                transforms.RandomResizedCrop(
                    size, CROP, (3 / 4, 4 / 3), transforms.InterpolationMode.BICUBIC
                ),
                transforms.RandomHorizontalFlip(),
                transforms.RandomRotation(12, transforms.InterpolationMode.BILINEAR),
                transforms.ColorJitter(LIGHT, LIGHT, LIGHT),
                transforms.PILToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.files[index]) as image:
            found: torch.Tensor = self.view(image.convert("RGB"))
        return found


def theirs(folder: Path, size: int, workers: int) -> None:
    """Pass once over the loose files."""
    for batch in DataLoader(Loose(folder, size), BATCH, shuffle=True, num_workers=workers):
        assert batch.shape[1:] == (3, size, size)


def ours(folder: Path, size: int, epoch: int, keys: list[str]) -> None:
    """Pass once over the shards."""
    known = shards.Pictures(folder, "train")
    order = torch.randperm(len(keys), generator=torch.Generator().manual_seed(epoch)).tolist()
    for step, start in enumerate(range(0, len(order), BATCH)):
        view = augmentation.random_augmentation(
            size, epoch, step, crop_scale=CROP, color_jitter=LIGHT
        )
        known.tensor([keys[i] for i in order[start : start + BATCH]], size, view)


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    """Write the pictures both ways, read them, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=224)
    options = parser.parse_args()
    made, threads = pictures(options.pictures), torch.get_num_threads()
    keys, size = [key for key, _ in made], sum(len(jpeg) for _, jpeg in made) / 1e6
    table = Table(
        "way",
        "files",
        "write, s",
        "pass 1, pictures/s",
        "pass 2, pictures/s",
        title=f"{len(made):,} JPEG pictures of {SIDE} px, {size:.0f} MB, read as {options.size} px, {threads} threads",
    )

    def row(way: str, folder: Path, wrote: float, read: Callable[[int], object]) -> None:
        speeds = [len(made) / _seconds(partial(read, epoch)) for epoch in range(2)]
        table.add_row(
            way,
            f"{len(list(folder.iterdir())):,}",
            f"{wrote:.1f}",
            *(f"{speed:.0f}" for speed in speeds),
        )

    with tempfile.TemporaryDirectory() as place:
        loose, packed = Path(place) / "loose", Path(place) / "packed"
        loose.mkdir()
        packed.mkdir()
        wrote = _seconds(lambda: [(loose / f"{key}.jpg").write_bytes(jpeg) for key, jpeg in made])
        for workers in (0, threads):
            row(
                f"loose files, {workers} worker processes",
                loose,
                wrote,
                lambda epoch, workers=workers: theirs(loose, options.size, workers),
            )
        wrote = _seconds(lambda: shards.write(packed, "train", made))
        row(
            f"shards, {threads} threads",
            packed,
            wrote,
            lambda epoch: ours(packed, options.size, epoch, keys),
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
