"""An invisible watermark that survives JPEG: it tells that a picture was generated.

The picture's luminance goes through a Haar wavelet (DWT), its low band through a DCT of 4 × 4
blocks, each of which is 8 × 8 pixels of the picture and lies on JPEG's own blocks. Two low
frequencies of a block are moved to the nearest point of a lattice (quantization index modulation,
Chen & Wornell 2001). One carries a sign that is known everywhere, by which the mark is detected;
the other one of 64 bits: 32 of payload and their CRC-32. What moves is at most 4 of 255 levels.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import cv2
import numpy as np
import pywt
from numpy.typing import NDArray

BLOCK = 8  # pixels a side; a smaller picture cannot carry anything
PAYLOAD_BITS = 32
BITS = 64  # payload and check word

STEP = 16.0  # between two points of the lattice for one bit
# Of the two frequencies that carry, the position in a block's 4 × 4 coefficients.
DETECTION = (0, 1)
PAYLOAD = (1, 0)

# Chance that a picture without a mark is said to have one; every window that was looked at is
# paid for (Bonferroni).
FALSE_POSITIVES = 1e-6
WINDOWS = (6, 10, 16, 24)  # blocks a side, beside the whole picture
KEY = 0x5EED_B3A7  # of the signs; not a secret: the mark says "generated", it proves no author

# Orthonormal DCT-II of 4 samples.
_FREQUENCIES = np.arange(4)[:, None]
_MIDDLES = 2 * np.arange(4)[None] + 1
_DCT = np.sqrt(2 / 4) * np.cos(np.pi * _MIDDLES * _FREQUENCIES / 8)
_DCT[0] /= np.sqrt(2)

Photo = NDArray[np.uint8]  # [h, w, 3] sRGB


class Reading(NamedTuple):
    """What was found in a picture."""

    marked: bool
    payload: int | None  # None where its check word does not fit
    # of a picture without any mark to look like this by chance
    chance: float
    box: tuple[int, int, int, int] | None  # x0, y0, x1, y1 of where the mark is strongest


class _Blocks(NamedTuple):
    """A picture's blocks in the transformed domain."""

    coefficients: NDArray[np.float64]  # [rows, columns, 4, 4]
    details: tuple[NDArray[np.float64], ...]  # high bands of the wavelet

    def inverse(self) -> NDArray[np.float64]:
        """Return the luminance of the blocks, [8 · rows, 8 · columns]."""
        blocks = np.einsum("ij,rcik,kl->rcjl", _DCT, self.coefficients, _DCT)
        rows, columns = blocks.shape[:2]
        low = blocks.transpose(0, 2, 1, 3).reshape(4 * rows, 4 * columns)
        luminance: NDArray[np.float64] = pywt.idwt2((low, self.details), "haar")
        return luminance


def _blocks(picture: Photo) -> _Blocks:
    rows, columns = picture.shape[0] // BLOCK, picture.shape[1] // BLOCK
    # Rounded to whole levels, as JPEG's is: it moves a coefficient by 0.3 on average, of 16.
    luminance = cv2.cvtColor(
        np.ascontiguousarray(picture[: rows * BLOCK, : columns * BLOCK]), cv2.COLOR_RGB2GRAY
    )
    low, details = pywt.dwt2(luminance.astype(np.float32), "haar")
    tiles = low.reshape(rows, 4, columns, 4).transpose(0, 2, 1, 3)
    return _Blocks(np.einsum("ij,rcjl,kl->rcik", _DCT, tiles, _DCT), details)


def _signs(
    shape: tuple[int, int], first: tuple[int, int] = (0, 0)
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return for each block which of the 64 bits it carries, and how its lattices are shifted.

    The numbers depend on a block's place in the photo alone, not on the photo's size; ``first`` is
    that of the first one.
    """
    rows, columns = np.indices(shape, np.uint64)
    rows += np.uint64(first[0])
    columns += np.uint64(first[1])
    mixed = (rows << np.uint64(32)) ^ columns ^ np.uint64(KEY)
    # splitmix64 (Steele et al. 2014)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed + np.uint64(0x9E3779B97F4A7C15)) & np.uint64(0xFFFFFFFFFFFFFFFF)
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    # Every 8 × 8 blocks carry each bit once, so that none is left out of a small picture.
    index = ((rows % np.uint64(8)) * np.uint64(8) + columns % np.uint64(8)).astype(np.int64)
    # Shifted at random: of a flat sky, whose coefficients are all 0, half of the signs agree.
    share = ((mixed >> np.uint64(8)) & np.uint64(0xFFFF)).astype(np.float64) / 0x10000
    return index, share * STEP


def _word(payload: int) -> NDArray[np.int64]:
    """Return the 64 bits of a payload and its check word."""
    check = zlib.crc32(payload.to_bytes(4, "big"))
    number = payload << PAYLOAD_BITS | check
    return np.array([number >> place & 1 for place in range(BITS)], np.int64)


def _moved(
    values: NDArray[np.float64], bits: NDArray[np.int64], shift: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return ``values`` on the nearest points of the lattices of their bits."""
    origin = shift + bits * STEP / 2
    nearest: NDArray[np.float64] = np.rint((values - origin) / STEP) * STEP + origin
    return nearest


def _agreement(values: NDArray[np.float64], shift: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 where a value lies on the lattice of bit 0, -1 on that of bit 1."""
    agreement: NDArray[np.float64] = np.cos(2 * np.pi * (values - shift) / STEP)
    return agreement


def embed(picture: Photo, payload: int, where: NDArray[np.bool_] | None = None) -> Photo:
    """Return ``picture`` [h, w, 3] with the mark.

    Args:
        picture: sRGB.
        payload: 0 to 2³² - 1.
        where: pixels that may change, [h, w]; only blocks that lie wholly within carry anything.
    """
    assert 0 <= payload < 1 << PAYLOAD_BITS
    marked = picture.copy()
    rows, columns = picture.shape[0] // BLOCK, picture.shape[1] // BLOCK
    inside: NDArray[np.bool_] = np.ones((rows, columns), bool)
    if where is not None:
        pixels = where[: rows * BLOCK, : columns * BLOCK]
        inside = np.asarray(pixels.reshape(rows, BLOCK, columns, BLOCK).all(axis=(1, 3)))
    if not inside.any():
        return marked
    # Lips are a hundredth of a photo: the rest is not computed.
    used_rows, used_columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    first = (int(used_rows[0]), int(used_columns[0]))
    last = (int(used_rows[-1]) + 1, int(used_columns[-1]) + 1)
    box = (
        slice(first[0] * BLOCK, last[0] * BLOCK),
        slice(first[1] * BLOCK, last[1] * BLOCK),
    )
    change = _change(picture[box], payload, first)
    chosen = inside[first[0] : last[0], first[1] : last[1]]
    change *= chosen.repeat(BLOCK, 0).repeat(BLOCK, 1)
    # Grey is added, so that colors stay; JPEG would halve the resolution of anything else.
    added = picture[box] + np.rint(change)[..., None]
    marked[box] = np.clip(added, 0, 255).astype(np.uint8)
    return marked


def _change(picture: Photo, payload: int, first: tuple[int, int]) -> NDArray[np.float64]:
    """Return what the mark adds to the luminance of ``picture``, [h, w].

    Its sides are multiples of `BLOCK`; ``first`` is the row and the column of its first block.
    """
    blocks = _blocks(picture)
    coefficients = blocks.coefficients
    index, shift = _signs((coefficients.shape[0], coefficients.shape[1]), first)
    before = blocks.inverse()
    bits = _word(payload)[index]
    for place, signs in ((DETECTION, np.zeros_like(bits)), (PAYLOAD, bits)):
        coefficients[..., place[0], place[1]] = _moved(
            coefficients[..., place[0], place[1]], signs, shift
        )
    return blocks.inverse() - before


def _chance(total: NDArray[np.float64], count: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how likely the sum of ``count`` agreements is at least ``total`` without a mark.

    The cosine of a value that is uniform in its cell has mean 0 and variance ½ (Hoeffding bounds
    the tail for any distribution between -1 and 1 of mean 0, so the answer is never too small).
    """
    positive = np.maximum(total, 0)
    bound: NDArray[np.float64] = np.exp(-(positive**2) / (2 * np.maximum(count, 1)))
    return bound


def _window_sums(plane: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return the sums of all windows of ``side`` × ``side`` cells."""
    integral = np.pad(plane.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums: NDArray[np.float64] = (
        integral[side:, side:]
        - integral[:-side, side:]
        - integral[side:, :-side]
        + integral[:-side, :-side]
    )
    return sums


def _strongest(
    agreement: NDArray[np.float64],
) -> tuple[float, tuple[slice, slice]]:
    """Return the chance of the least likely window, corrected for all windows, and its blocks."""
    rows, columns = agreement.shape
    everything = (slice(0, rows), slice(0, columns))
    best = float(_chance(agreement.sum(), np.array(agreement.size)))
    place = everything
    looked_at = 1
    for side in WINDOWS:
        if side > min(rows, columns):
            continue
        sums = _window_sums(agreement, side)
        looked_at += sums.size
        row, column = divmod(int(sums.argmax()), sums.shape[1])
        chance = float(_chance(sums[row, column], np.array(side * side)))
        if chance < best:
            best = chance
            place = (slice(row, row + side), slice(column, column + side))
    return min(1.0, best * looked_at), place


def _payload(values: NDArray[np.float64], index: NDArray[np.int64]) -> int | None:
    """Return the payload that most blocks say, None where its check word does not fit."""
    votes = np.bincount(index.ravel(), values.ravel(), BITS)
    number = sum(1 << place for place in range(BITS) if votes[place] < 0)
    payload = number >> PAYLOAD_BITS
    if zlib.crc32(payload.to_bytes(4, "big")) != number & 0xFFFFFFFF:
        return None
    return payload


def detect(picture: Photo, first: tuple[int, int] = (0, 0)) -> Reading:
    """Return whether ``picture`` [h, w, 3] bears the mark, and what it says.

    It is looked for in the whole picture and in windows of it, for a photo may be marked in the
    made-up parts only. The mark lies on blocks that begin at the picture's corner: a picture that
    was cropped (but at the right or below) or resized does not show it any more. Of a part that
    whoever asks has cut out himself, ``first`` is the row and the column of its first block.
    """
    rows, columns = picture.shape[0] // BLOCK, picture.shape[1] // BLOCK
    if not rows or not columns:
        return Reading(False, None, 1.0, None)
    blocks = _blocks(picture)
    index, shift = _signs((rows, columns), first)
    agreement = _agreement(blocks.coefficients[..., DETECTION[0], DETECTION[1]], shift)
    chance, place = _strongest(agreement)
    if chance > FALSE_POSITIVES:
        return Reading(False, None, chance, None)
    values = _agreement(blocks.coefficients[..., PAYLOAD[0], PAYLOAD[1]], shift)
    # Blocks that bear no mark vote at random, and would drown a small part.
    payload = _payload(values[place], index[place])
    payload = _payload(values, index) if payload is None else payload
    box = (
        place[1].start * BLOCK,
        place[0].start * BLOCK,
        place[1].stop * BLOCK,
        place[0].stop * BLOCK,
    )
    return Reading(True, payload, chance, box)
