"""Near copies of a text among millions: MinHash proposes pairs, the exact similarity decides."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from beauty_models.intake.text import bare
from beauty_models.progress import bar

SHINGLE = 3  # characters; three code points of 21 bits fill one 64-bit integer
PERMUTATIONS = 256  # of MinHash
MISSED = 2e-6  # share of the pairs exactly as similar as the threshold that may go unnoticed
MOST_ROWS = 16  # of a band: texts as similar as that need no narrower ones
SEED = 1  # of the permutations: the same texts have the same signatures everywhere
SKETCH_BITS = 512
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio in 64 bits: neighbours fall far apart
ROUNDING = 1e-9  # how much a product of floats may be off where it is compared with a count

FIRST_BLOCK = 1_000  # texts that are searched together; what they have in common is known early
GROWTH = 4  # the next block is so many times larger: what was kept is sorted anew for each
# Pairs within a block, from which a smaller one is taken: of a thousand copies of one text a block
# would compare each with each, where later ones are compared with the one that was kept.
MOST_PAIRS = 50_000_000
BANDS_APART = 7  # of every so many bands one tells how many pairs there are
SMALLEST_SHARE = 8  # a block has at least one text for so many kept ones, which cost a sort
PAIRS_AT_ONCE = 500_000  # each has two sketches in memory, in each thread
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)

Found = TypeVar("Found")
Places = NDArray[np.int64]


class Banding(NamedTuple):
    """How signatures are cut into bands; texts are compared that agree in all rows of one band."""

    bands: int
    rows: int


def banding(threshold: float) -> Banding:
    """Return the bands with most rows that miss no more than `MISSED` pairs at ``threshold``.

    Two texts of similarity s agree in a band of r rows with probability s^r, in none of b bands
    with (1 - s^r)^b (Leskovec, Rajaraman & Ullman, Mining of Massive Datasets, 3.4). More rows mean
    fewer pairs that are compared in vain. At 0.9 it is 28 bands of 9 rows.
    """
    best = Banding(PERMUTATIONS, 1)
    for rows in range(1, MOST_ROWS + 1):
        bands = PERMUTATIONS // rows
        if (1 - threshold**rows) ** bands <= MISSED:
            best = Banding(bands, rows)
    return best


class Signatures(NamedTuple):
    """What is kept of n texts to find pairs: about 180 bytes for each, however long it is."""

    sizes: NDArray[np.int32]
    """[n], number of distinct shingles."""
    sketches: NDArray[np.uint64]
    """[n, `SKETCH_BITS` / 64], one bit for each shingle."""
    bands: NDArray[np.uint32]
    """[bands, n], the hash of each band's rows, 31 bits."""


def shingles(text: str) -> NDArray[np.int64]:
    """Return the sorted distinct runs of `SHINGLE` characters, each packed into one integer.

    Capitals, spaces and punctuation do not count; a text shorter than a shingle is one shingle.
    """
    padded = bare(text).ljust(SHINGLE, "\0")
    encoded = padded.encode("utf-32-le")
    points = np.frombuffer(encoded, dtype="<u4").astype(np.int64)
    first = points[:-2]
    second = points[1:-1]
    third = points[2:]
    packed = first << 42 | second << 21 | third
    # np.unique does the same in twice the time.
    packed.sort()
    new = np.ones(len(packed), dtype=bool)
    np.not_equal(packed[1:], packed[:-1], out=new[1:])
    return packed[new]


def signatures(texts: Sequence[str], threshold: float) -> Signatures:
    """Return the `Signatures` of ``texts``, for pairs of a similarity of ``threshold`` or more."""
    cut = banding(threshold)
    if not texts:
        return Signatures(
            np.empty(0, np.int32),
            np.empty((0, SKETCH_BITS // 64), np.uint64),
            np.empty((cut.bands, 0), np.uint32),
        )
    sets = [shingles(text) for text in texts]
    sizes = np.array([len(members) for members in sets], dtype=np.int32)
    members = np.concatenate(sets).astype(np.uint64)
    return Signatures(sizes, _sketches(members, sizes), _bands(members, sizes, cut))


def _sketches(members: NDArray[np.uint64], sizes: NDArray[np.int32]) -> NDArray[np.uint64]:
    """Return one row of `SKETCH_BITS` bits per set; a member switches the bit of its hash on."""
    bits = np.zeros((len(sizes), SKETCH_BITS), dtype=bool)
    rows = np.repeat(np.arange(len(sizes)), sizes)
    hashes = (members * _SPREAD) >> np.uint64(64 - SKETCH_BITS.bit_length() + 1)
    bits[rows, hashes.astype(np.int64)] = True
    return np.packbits(bits, axis=1).view(np.uint64)


def _bands(
    members: NDArray[np.uint64], sizes: NDArray[np.int32], cut: Banding
) -> NDArray[np.uint32]:
    """Return [bands, n], the hashes of the bands of the sets' MinHash signatures."""
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.uint64)
    used = cut.bands * cut.rows
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(members, offsets, used, SEED)
    values = np.array(matrix.to_rows(), dtype=np.uint64).reshape(len(sizes), cut.bands, cut.rows)
    hashes = np.zeros((len(sizes), cut.bands), dtype=np.uint64)
    for row in range(cut.rows):
        hashes = (hashes ^ values[:, :, row]) * _SPREAD
        hashes ^= hashes >> _HALF
    # 31 bits: one more than the largest must still fit into the upper half of a key.
    return np.ascontiguousarray((hashes >> np.uint64(33)).astype(np.uint32).T)


def near_duplicates(texts: Sequence[str], threshold: float) -> list[int]:
    """Return for each text the index of the earlier text that it nearly repeats, or -1."""
    assert 0 < threshold <= 1, threshold
    found = originals(signatures(texts, threshold), texts.__getitem__, threshold)
    indices: list[int] = found.tolist()
    return indices


def originals(
    signatures: Signatures, text_of: Callable[[int], str], threshold: float
) -> NDArray[np.int64]:
    """Return for each of n texts the index of the earlier text that it nearly repeats, or -1, [n].

    A text is kept when no kept text before it has a Jaccard similarity of `shingles` of at least
    ``threshold`` (0-1) with it, so no two kept texts are that similar, but for the `MISSED` ones.
    ``text_of`` gives a text by its index: only those of likely pairs are asked for.
    """
    count = len(signatures.sizes)
    found = np.full(count, -1, dtype=np.int64)
    kept = np.empty(0, dtype=np.int64)
    search = _Search(signatures, text_of, threshold, found)
    start = 0
    size = FIRST_BLOCK
    with bar("ingest: near duplicates", count) as progress:
        while start < count:
            size = min(size, count - start)
            block = np.arange(start, start + size)
            # What was kept before comes first: it takes copies away that the block would compare
            # with each other. Only kept texts are compared with, or a chain of small changes would
            # end far from where it began.
            search.against(kept, block)
            left = block[found[block] < 0]
            smallest = max(FIRST_BLOCK, len(kept) // SMALLEST_SHARE)
            while len(left) > smallest and search.pair_count(left) > MOST_PAIRS:
                left = left[: max(smallest, len(left) // 2)]
                block = block[: np.searchsorted(block, left[-1]) + 1]
            search.within(left)
            kept = np.concatenate([kept, left[found[left] < 0]])
            start += len(block)
            size = GROWTH * len(block)
            progress.advance(len(block))
    return found


class _Search:
    """Pairs of texts that share a band, and which of them are similar enough."""

    def __init__(
        self,
        signatures: Signatures,
        text_of: Callable[[int], str],
        threshold: float,
        found: NDArray[np.int64],
    ) -> None:
        self.signatures = signatures
        self.threshold = threshold
        self.found = found
        # The same text is in several pairs, one soon after the other.
        self.shingles_of = functools.lru_cache(4096)(lambda place: shingles(text_of(place)))

    def against(self, kept: Places, block: Places) -> None:
        """Find the originals of ``block`` among ``kept`` texts, all of them earlier."""

        def likely(band: NDArray[np.uint32]) -> list[NDArray[np.uint64]]:
            keys = _keys(band, kept)
            later = _keys(band, block)
            # In their order: a search that jumps about in a long array takes ten times as long.
            hashes = later & ~_LOW
            first = np.searchsorted(keys, hashes)
            end = np.searchsorted(keys, hashes | _LOW)
            return list(self._likely(keys, (later & _LOW).astype(np.int64), first, end))

        self._decide(self._of_bands(likely))

    def within(self, block: Places) -> None:
        """Find the originals of the texts of ``block`` among those before them in it."""

        def likely(band: NDArray[np.uint32]) -> list[NDArray[np.uint64]]:
            keys = _keys(band, block)
            first, end = _groups(keys)
            places = (keys & _LOW).astype(np.int64)
            return list(self._likely(keys, places, first, end))

        self._decide(self._of_bands(likely))

    def pair_count(self, block: Places) -> int:
        """Return how many pairs `within` would look at, were all bands as the fullest looked at."""
        most = 0
        # Texts that nearly repeat each other share two bands in five.
        for band in self.signatures.bands[::BANDS_APART]:
            first, end = _groups(_keys(band, block))
            most = max(most, int((end - first).sum()))
        return most * len(self.signatures.bands)

    def _of_bands(self, find: Callable[[NDArray[np.uint32]], Found]) -> list[Found]:
        """Return what ``find`` finds in each band; threads do, for sorting needs no interpreter."""
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            return list(pool.map(find, self.signatures.bands))

    def _likely(
        self, keys: NDArray[np.uint64], later: Places, first: Places, end: Places
    ) -> Iterator[NDArray[np.uint64]]:
        """Yield the pairs of each of ``later`` with the ``keys`` from ``first`` to ``end`` on.

        Only those whose sizes and sketches allow that similarity: later << 32 | earlier.
        """
        counts = end - first
        sharing = np.flatnonzero(counts)
        ends = np.cumsum(counts[sharing])
        begin = 0
        while begin < len(sharing):
            before = ends[begin - 1] if begin else 0
            # One text at least, however many it shares the band with.
            stop = max(begin + 1, int(np.searchsorted(ends, before + PAIRS_AT_ONCE, "right")))
            chosen = sharing[begin:stop]
            repeats = counts[chosen]
            offsets = np.arange(int(repeats.sum())) - np.repeat(
                np.cumsum(repeats) - repeats, repeats
            )
            earlier = (keys[np.repeat(first[chosen], repeats) + offsets] & _LOW).astype(np.int64)
            pairs = self._filtered(np.repeat(later[chosen], repeats), earlier)
            if len(pairs):
                yield pairs
            begin = stop

    def _filtered(self, later: Places, earlier: Places) -> NDArray[np.uint64]:
        """Return the pairs that may be similar enough; the two filters lose none that are."""
        sizes = self.signatures.sizes
        small = np.minimum(sizes[later], sizes[earlier])
        large = np.maximum(sizes[later], sizes[earlier])
        fits = small >= self.threshold * large - ROUNDING
        later = later[fits]
        earlier = earlier[fits]
        # Bitmap filter (Sandes et al. 2020): two sketches differ in no more bits than the sets do
        # in members, and sets that similar differ in no more than this many.
        both = sizes[later] + sizes[earlier]
        most_apart = both * (1 - self.threshold) / (1 + self.threshold) + ROUNDING
        differing = self.signatures.sketches[later] ^ self.signatures.sketches[earlier]
        close = np.bitwise_count(differing).sum(axis=1) <= most_apart
        pairs: NDArray[np.uint64] = later[close].astype(np.uint64) << _HALF
        pairs |= earlier[close].astype(np.uint64)
        return pairs

    def _decide(self, likely: list[list[NDArray[np.uint64]]]) -> None:
        """Note for each later text the first earlier one that it repeats and that is kept."""
        found = list(itertools.chain.from_iterable(likely))
        if not found:
            return
        pairs = np.unique(np.concatenate(found))
        later = (pairs >> _HALF).tolist()
        earlier = (pairs & _LOW).tolist()
        for text, candidate in zip(later, earlier, strict=True):
            if self.found[text] >= 0 or self.found[candidate] >= 0:
                continue
            similarity = _jaccard(self.shingles_of(text), self.shingles_of(candidate))
            if similarity >= self.threshold - ROUNDING:
                self.found[text] = candidate


def _keys(band: NDArray[np.uint32], places: Places) -> NDArray[np.uint64]:
    """Return hash << 32 | place of each of ``places``, sorted: equal hashes stand together."""
    keys: NDArray[np.uint64] = band[places].astype(np.uint64) << _HALF
    keys |= places.astype(np.uint64)
    keys.sort()
    return keys


def _groups(keys: NDArray[np.uint64]) -> tuple[Places, Places]:
    """Return for each key where its group of equal hashes begins, and its own place."""
    hashes = keys >> _HALF
    place = np.arange(len(keys))
    begins = np.ones(len(keys), dtype=bool)
    np.not_equal(hashes[1:], hashes[:-1], out=begins[1:])
    first = np.maximum.accumulate(np.where(begins, place, 0))
    return first, place


def _jaccard(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared / (len(a) + len(b) - shared)
