"""How fast make-up is on a photo and on frames of a video, on this machine.

`python -m bench.makeup_frames` takes the public-domain portrait of scikit-image, for nothing else
may be shown here: as a 1,024 pixel photo, and as 30 frames of 640 pixels in which it moves. A
frame has its face found and parsed and gets four cosmetics; the photo is checked and marked, too.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.data import astronaut

from beauty_models.makeup import cosmetics, landmarks, parsing, safety, watermark
from beauty_models.makeup.shades import find_shade

FRAMES = 30
PHOTO_SIDE = 1024
FRAME_SIDE = 640
REPEATS = 5

Photo = NDArray[np.uint8]


def portrait(side: int, shift: float = 0.0) -> Photo:
    """Return a square of the portrait with the face in its middle half, moved by ``shift``."""
    matrix = np.array([[side / 260, 0, -side * (95 + shift) / 260], [0, side / 260, 0.0]])
    return np.asarray(cv2.warpAffine(astronaut(), matrix, (side, side)), np.uint8)


def look() -> cosmetics.Look:
    """Return the four cosmetics."""
    return cosmetics.Look(
        lipstick=find_shade("maple red"),
        blush=find_shade("peach"),
        eyeshadow=find_shade("bronze"),
        foundation=find_shade("beige"),
        finish="gloss",
    )


def frame(photo: Photo, wanted: cosmetics.Look) -> Photo:
    """Return ``photo`` made up, all steps from its pixels on."""
    # Whoever films himself is not far away: one look at the whole frame finds the face.
    [face, *_] = landmarks.find_faces(photo, smallest=FRAME_SIDE // 5)
    regions = parsing.parse(photo, face)
    return cosmetics.make_up(photo, regions, wanted, face.points).image


def whole_photo(photo: Photo, wanted: cosmetics.Look) -> Photo:
    """Return ``photo`` as ``predict`` makes it, but for reading and writing the file."""
    safety.check(photo)
    [face, *_] = landmarks.find_faces(photo)
    regions = parsing.parse(photo, face)
    made = cosmetics.make_up(photo, regions, wanted, face.points)
    return watermark.embed(made.image, 1, made.alpha > 0)


def seconds(work: Callable[..., Any], *arguments: Any) -> float:
    """Return how long ``work`` takes."""
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def main() -> int:
    """Print the figures; the exit code is 1 where one is not reached."""
    description = __doc__.replace("`", "")
    argparse.ArgumentParser(
        prog="python -m bench.makeup_frames", description=description
    ).parse_args()
    cv2.setNumThreads(2)
    wanted = look()
    whole_photo(portrait(PHOTO_SIDE), wanted)  # loads the networks
    photo = median(seconds(whole_photo, portrait(PHOTO_SIDE), wanted) for _ in range(REPEATS))
    frames = [portrait(FRAME_SIDE, 8 * np.sin(number / 5)) for number in range(FRAMES)]
    used = time.process_time()
    total = sum(seconds(frame, picture, wanted) for picture in frames)
    used = (time.process_time() - used) / FRAMES
    load = os.getloadavg()[0]
    print(f"{PHOTO_SIDE} px photo: {photo:.2f} s (2 s at most)")
    print(f"{FRAMES} frames of {FRAME_SIDE} px: {FRAMES / total:.1f} a second (5 at least)")
    # What others take from the cores is in the figures above, and not in this one.
    print(
        f"{1000 * used:.0f} ms of processor time a frame; {os.cpu_count()} cores, load {load:.1f}"
    )
    return int(photo >= 2 or FRAMES / total < 5)


if __name__ == "__main__":
    sys.exit(main())
