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

from beauty_models.makeup.compose import box_of

BLOCK = 8  # pixels a side; a smaller picture cannot carry anything
PAYLOAD_BITS = 32
CHECK_BITS = 32  # CRC-32
BITS = PAYLOAD_BITS + CHECK_BITS

STEP = 16.0  # between two points of the lattice for one bit
# Of the two frequencies that carry, the position in a block's 4 × 4 coefficients.
DETECTION = (0, 1)
PAYLOAD = (1, 0)

# Chance that a picture without a mark is said to have one; every window that was looked at is
# paid for (Bonferroni).
FALSE_POSITIVES = 1e-6
WINDOWS = (6, 10, 16, 24)  # blocks a side, beside the whole picture
KEY = 0x5EED_B3A7  # of the signs; not a secret: the mark says "generated", it proves no author
# Constants of splitmix64: shifts and factors of its two rounds.
SPLITMIX_STEP = 0x9E3779B97F4A7C15
SPLITMIX_ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))

# Orthonormal DCT-II of 4 samples.
_FREQUENCIES = np.arange(4)[:, None]
_MIDDLES = 2 * np.arange(4)[None] + 1
_WAVES = np.cos(np.pi * _MIDDLES * _FREQUENCIES / 8)
_DCT = np.sqrt(2 / 4) * _WAVES
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
        # Side by side again: rows of blocks, rows in a block, then the same for columns.
        by_rows = blocks.transpose(0, 2, 1, 3)
        low = by_rows.reshape(4 * rows, 4 * columns)
        luminance: NDArray[np.float64] = pywt.idwt2((low, self.details), "haar")
        return luminance


def _whole_blocks(picture: Photo) -> tuple[int, int]:
    """Return how many rows and columns of blocks lie wholly in ``picture``."""
    height, width = picture.shape[:2]
    return height // BLOCK, width // BLOCK


def _blocks(picture: Photo) -> _Blocks:
    """Return the blocks of ``picture``; what is less than a block at right and below is left."""
    rows, columns = _whole_blocks(picture)
    whole = np.ascontiguousarray(picture[: rows * BLOCK, : columns * BLOCK])
    # Rounded to whole levels, as JPEG's is: it moves a coefficient by 0.3 on average, of 16.
    luminance = cv2.cvtColor(whole, cv2.COLOR_RGB2GRAY)
    low, details = pywt.dwt2(luminance.astype(np.float32), "haar")
    tiles = low.reshape(rows, 4, columns, 4).transpose(0, 2, 1, 3)
    coefficients = np.einsum("ij,rcjl,kl->rcik", _DCT, tiles, _DCT)
    return _Blocks(coefficients, details)


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
    # Every 8 × 8 blocks carry each bit once, so that none is left out of a small picture.
    eight = np.uint64(8)
    index = (rows % eight) * eight + columns % eight
    # Shifted at random: of a flat sky, whose coefficients are all 0, half of the signs agree.
    random = _random_numbers(rows, columns)
    sixteen_bits = (random >> np.uint64(8)) & np.uint64(0xFFFF)
    share = sixteen_bits.astype(np.float64) / 0x10000
    return index.astype(np.int64), share * STEP


def _random_numbers(rows: NDArray[np.uint64], columns: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return a number of 64 bits for each block, by its place and `KEY`.

    Not numpy's generators, whose stream depends on how many numbers are drawn: a part that was cut
    out of a photo must get those of its places. The rounds are splitmix64's (Steele et al. 2014).
    """
    mixed: NDArray[np.uint64] = (rows << np.uint64(32)) ^ columns ^ np.uint64(KEY)
    for shift, factor in SPLITMIX_ROUNDS:
        mixed = mixed + np.uint64(SPLITMIX_STEP)
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _word(payload: int) -> NDArray[np.int64]:
    """Return the 64 bits of a payload and its check word."""
    number = payload << CHECK_BITS | _check_word(payload)
    bits = [number >> place & 1 for place in range(BITS)]
    return np.array(bits, np.int64)


def _check_word(payload: int) -> int:
    return zlib.crc32(payload.to_bytes(4, "big"))


def _moved(
    values: NDArray[np.float64], bits: NDArray[np.int64], shift: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return ``values`` on the nearest points of the lattices of their bits."""
    # The lattice of bit 1 lies half a step beside that of bit 0.
    origin = shift + bits * STEP / 2
    steps = np.rint((values - origin) / STEP)
    nearest: NDArray[np.float64] = steps * STEP + origin
    return nearest


def _agreement(values: NDArray[np.float64], shift: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 where a value lies on the lattice of bit 0, -1 on that of bit 1."""
    phase = 2 * np.pi * (values - shift) / STEP
    agreement: NDArray[np.float64] = np.cos(phase)
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
    inside = _blocks_inside(picture, where)
    block_box = box_of(inside)
    if block_box is None:
        return marked
    # Lips are a hundredth of a photo: the rest is not computed.
    block_rows, block_columns = block_box
    rows = slice(block_rows.start * BLOCK, block_rows.stop * BLOCK)
    columns = slice(block_columns.start * BLOCK, block_columns.stop * BLOCK)
    part = picture[rows, columns]
    change = _change(part, payload, (block_rows.start, block_columns.start))
    # From a number a block to one a pixel.
    change *= inside[block_box].repeat(BLOCK, 0).repeat(BLOCK, 1)
    # Grey is added, so that colors stay; JPEG would halve the resolution of anything else.
    added = part + np.rint(change)[..., None]
    marked[rows, columns] = np.clip(added, 0, 255).astype(np.uint8)
    return marked


def _blocks_inside(picture: Photo, where: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """Return which blocks of ``picture`` lie wholly within ``where``, [rows, columns]."""
    rows, columns = _whole_blocks(picture)
    if where is None:
        return np.ones((rows, columns), bool)
    pixels = where[: rows * BLOCK, : columns * BLOCK]
    by_block = pixels.reshape(rows, BLOCK, columns, BLOCK)
    return np.asarray(by_block.all(axis=(1, 3)))


def _change(picture: Photo, payload: int, first: tuple[int, int]) -> NDArray[np.float64]:
    """Return what the mark adds to the luminance of ``picture``, [h, w].

    Its sides are multiples of `BLOCK`; ``first`` is the row and the column of its first block.
    """
    blocks = _blocks(picture)
    before = blocks.inverse()
    index, shift = _signs(_whole_blocks(picture), first)
    bits = _word(payload)[index]
    known = np.zeros_like(bits)  # what `detect` looks for, whatever the payload
    for (row, column), signs in ((DETECTION, known), (PAYLOAD, bits)):
        carrier = blocks.coefficients[..., row, column]
        carrier[...] = _moved(carrier, signs, shift)
    return blocks.inverse() - before


def _chance(total: NDArray[np.float64], count: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how likely the sum of ``count`` agreements is at least ``total`` without a mark.

    The cosine of a value that is uniform in its cell has mean 0 and variance ½ (Hoeffding bounds
    the tail for any distribution between -1 and 1 of mean 0, so the answer is never too small).
    """
    positive = np.maximum(total, 0)
    doubled_count = 2 * np.maximum(count, 1)
    bound: NDArray[np.float64] = np.exp(-(positive**2) / doubled_count)
    return bound


def _window_sums(plane: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return the sums of all windows of ``side`` × ``side`` cells."""
    # A summed-area table (Crow 1984): four of its entries give any window.
    integral = np.pad(plane.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    above = integral[:-side, side:]
    left = integral[side:, :-side]
    above_left = integral[:-side, :-side]
    sums: NDArray[np.float64] = integral[side:, side:] - above - left + above_left
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
        best_window = int(sums.argmax())
        row, column = divmod(best_window, sums.shape[1])
        blocks = np.array(side * side)
        chance = float(_chance(sums[row, column], blocks))
        if chance < best:
            best = chance
            place = (slice(row, row + side), slice(column, column + side))
    return min(1.0, best * looked_at), place


def _payload(values: NDArray[np.float64], index: NDArray[np.int64]) -> int | None:
    """Return the payload that most blocks say, None where its check word does not fit."""
    votes = np.bincount(index.ravel(), values.ravel(), BITS)
    # A block that says 1 counts as -1, the more the surer it is.
    number = sum(1 << place for place in range(BITS) if votes[place] < 0)
    payload = number >> CHECK_BITS
    check = number & ((1 << CHECK_BITS) - 1)
    return payload if check == _check_word(payload) else None


def detect(picture: Photo, first: tuple[int, int] = (0, 0)) -> Reading:
    """Return whether ``picture`` [h, w, 3] bears the mark, and what it says.

    It is looked for in the whole picture and in windows of it, for a photo may be marked in the
    made-up parts only. The mark lies on blocks that begin at the picture's corner: a picture that
    was cropped (but at the right or below) or resized does not show it any more. Of a part that
    whoever asks has cut out himself, ``first`` is the row and the column of its first block.
    """
    shape = _whole_blocks(picture)
    if not min(shape):
        return Reading(False, None, 1.0, None)
    coefficients = _blocks(picture).coefficients
    index, shift = _signs(shape, first)
    agreement = _agreement(coefficients[..., DETECTION[0], DETECTION[1]], shift)
    chance, place = _strongest(agreement)
    if chance > FALSE_POSITIVES:
        return Reading(False, None, chance, None)
    values = _agreement(coefficients[..., PAYLOAD[0], PAYLOAD[1]], shift)
    # Blocks that bear no mark vote at random, and would drown a small part.
    payload = _payload(values[place], index[place])
    if payload is None:
        payload = _payload(values, index)
    rows, columns = place
    box = (
        columns.start * BLOCK,
        rows.start * BLOCK,
        columns.stop * BLOCK,
        rows.stop * BLOCK,
    )
    return Reading(True, payload, chance, box)
