"""Reading 10,000 pictures: our shards beside loose JPEG files in torch's ``DataLoader``, one run.

``python -m bench.loader`` draws 100 products, writes each in 100 kinds of light, and passes over
all pictures twice with each way of reading: decode, random crop to the given size, mirror, turn,
brightness, contrast, saturation.
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

BATCH = 64
DRAWN = 100  # products
SIDE = 256  # pixels
CROP = (0.5, 1.0)  # least and largest share of the area
JITTER = 0.2  # of brightness, contrast and saturation
COLORS = list(synthetic.COLORS)
KINDS = list(synthetic.KINDS)
PATTERNS = list(synthetic.PATTERNS)


def pictures(count: int) -> list[tuple[str, bytes]]:
    """Return ``count`` pictures as (name, JPEG)."""
    encoded = []
    for number in range(DRAWN):
        product = (
            KINDS[number % len(KINDS)],
            COLORS[number % len(COLORS)],
            PATTERNS[number % len(PATTERNS)],
        )
        drawn = synthetic.product(
            *product, size=SIDE, seed=number, background=("white", "room")[number % 2]
        )
        for light in range(count // DRAWN):
            brightness = 0.7 + 0.6 * light * DRAWN / count
            lit = ImageEnhance.Brightness(drawn).enhance(brightness)
            encoded.append((f"{number:03}-{light:03}", images.encode(lit)))
    return encoded


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
                transforms.ColorJitter(JITTER, JITTER, JITTER),
                transforms.PILToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.files[index]) as image:
            pixels: torch.Tensor = self.view(image.convert("RGB"))
        return pixels


def theirs(folder: Path, size: int, workers: int) -> None:
    """Pass once over the loose files."""
    for batch in DataLoader(Loose(folder, size), BATCH, shuffle=True, num_workers=workers):
        assert batch.shape[1:] == (3, size, size)


def ours(folder: Path, size: int, epoch: int, keys: list[str]) -> None:
    """Pass once over the shards."""
    pictures = shards.Pictures(folder, "train")
    order = torch.randperm(len(keys), generator=torch.Generator().manual_seed(epoch)).tolist()
    for step, start in enumerate(range(0, len(order), BATCH)):
        view = augmentation.random_augmentation(
            size, epoch, step, crop_scale=CROP, color_jitter=JITTER
        )
        pictures.tensor([keys[i] for i in order[start : start + BATCH]], size, view)


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
    encoded = pictures(options.pictures)
    threads = torch.get_num_threads()
    keys = [key for key, _ in encoded]
    megabytes = sum(len(jpeg) for _, jpeg in encoded) / 1e6
    table = Table(
        "way",
        "files",
        "write, s",
        "pass 1, pictures/s",
        "pass 2, pictures/s",
        title=f"{len(encoded):,} JPEG pictures of {SIDE} px, {megabytes:.0f} MB, "
        f"read as {options.size} px, {threads} threads",
    )

    def row(way: str, folder: Path, wrote: float, read: Callable[[int], object]) -> None:
        speeds = [len(encoded) / _seconds(partial(read, epoch)) for epoch in range(2)]
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
        wrote = _seconds(
            lambda: [(loose / f"{key}.jpg").write_bytes(jpeg) for key, jpeg in encoded]
        )
        for workers in (0, threads):
            row(
                f"loose files, {workers} worker processes",
                loose,
                wrote,
                lambda epoch, workers=workers: theirs(loose, options.size, workers),
            )
        wrote = _seconds(lambda: shards.write(packed, "train", encoded))
        row(
            f"shards, {threads} threads",
            packed,
            wrote,
            lambda epoch: ours(packed, options.size, epoch, keys),
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
