"""Pairs of texts whose shingle sets have a Jaccard similarity of at least a threshold: MinHash, bands, then the truth.

125 hash functions in 25 bands of 5. Two texts of similarity s meet in a band with probability 1 - (1 - s^5)^25: 98.9 % at
0.7, 99.99 % at 0.8, 0.9 % at 0.2. Every pair that meets is checked against the sets themselves, so none is wrong. Where
more than `crowds.LIMIT` texts meet in one band, they are compared in another way, which finds all of their pairs.

A hash function is a multiplication of 32-bit shingle hashes, which are random already, by an odd constant. Signatures are
kept to a byte per function (enough to drop pairs that are far off) and band keys to 32 bits: 225 bytes a text.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from caco_recipes.duplicates.clusters import Pairs
from caco_recipes.duplicates.crowds import LIMIT, crowded_pairs

BANDS, ROWS = 25, 5
SEED = 20_251_004
BLOCK = 25_000  # shingles hashed at a time: they stay in the processor's cache
PAIRS = 500_000  # checked at a time
SLACK = 0.2  # below the threshold, by which an estimate may be off: five times its standard deviation


def similar_pairs(hashes: np.ndarray, starts: np.ndarray, threshold: float) -> Pairs:
    """The pairs of texts with a Jaccard similarity of at least `threshold`, each once.

    Args:
        hashes, starts: shingle sets (`texts.Shingles`). Texts without shingles are like none.
    """
    first, copies, originals = _copies(hashes, starts)
    keys, bytes_ = _signatures(hashes, starts, first)

    def check(earlier: np.ndarray, later: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return checked(hashes, starts, earlier, later, threshold)

    crowded = np.zeros(len(first), bool)
    found = [check(first[a], first[b]) for a, b in _candidates(keys, bytes_, threshold, crowded)]
    del keys, bytes_
    found += crowded_pairs(hashes, starts, first[crowded], threshold, check)
    same = np.arange(len(starts) - 1)
    same[copies] = originals
    return Pairs(*each_once(found), same)


def each_once(found: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(earlier, later, score) of all pairs in order, each once, with its highest score."""
    none = (np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))
    earlier, later, score = (np.concatenate(column) for column in zip(*found, none, strict=True))
    order = np.lexsort((-score, later, earlier))
    earlier, later, score = earlier[order], later[order], score[order]
    new = np.append(True, (earlier[1:] != earlier[:-1]) | (later[1:] != later[:-1]))[: len(earlier)]
    return earlier[new], later[new], score[new]


def _copies(hashes: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first text of every distinct set, in order; the texts that are copies of an earlier one, and that one."""
    from caco_recipes.decontamination import tokens as tk

    spread = tk.mix(hashes.astype(np.uint64) + np.uint64(1))
    identity = tk.mix(tk.sums(spread, starts) ^ (np.diff(starts).astype(np.uint64) << np.uint64(40)))
    filled = np.flatnonzero(np.diff(starts) > 0)
    _, at, inverse = np.unique(identity[filled], return_index=True, return_inverse=True)
    original = filled[at[inverse]]
    copy = original != filled
    return filled[~copy], filled[copy], original[copy]


def _signatures(hashes: np.ndarray, starts: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Band keys (uint32, one row a band) and the signatures' low bytes (uint8, one row a text) of `chosen` texts."""
    generator = np.random.Generator(np.random.PCG64(SEED))
    factors = generator.integers(0, 2**32, BANDS * ROWS, dtype=np.uint32) | np.uint32(1)
    shifts = generator.integers(0, 2**32, BANDS * ROWS, dtype=np.uint32)
    keys = np.empty((BANDS, len(chosen)), np.uint32)
    bytes_ = np.empty((len(chosen), BANDS * ROWS), np.uint8)
    counts = np.diff(starts)[chosen]
    ends = np.cumsum(counts)
    begin = 0
    while begin < len(chosen):
        before = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + BLOCK, "right")))
        offsets = np.append(0, np.cumsum(counts[begin:end])[:-1])
        members = hashes[
            np.repeat(starts[chosen[begin:end]] - offsets, counts[begin:end]) + np.arange(counts[begin:end].sum())
        ]
        product = np.empty_like(members)
        for band in range(BANDS):
            key = np.full(end - begin, band, np.uint32)
            for row in range(band * ROWS, band * ROWS + ROWS):
                np.bitwise_xor(members, shifts[row], out=product)
                np.multiply(product, factors[row], out=product)
                least = np.minimum.reduceat(product, offsets)
                # The least value's high bits are nearly all zero: stirred before bits of it are kept.
                least = (least ^ (least >> np.uint32(15))) * np.uint32(0x9E3779B1)
                bytes_[begin:end, row] = least >> np.uint32(24)
                key = ((key ^ least) * np.uint32(0x85EBCA6B)) ^ (key >> np.uint32(13))
            keys[band, begin:end] = key
        begin = end
    return keys, bytes_


def _candidates(
    keys: np.ndarray, bytes_: np.ndarray, threshold: float, crowded: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of positions (a < b) that share a band, each once, and whose signatures agree in about `threshold`.

    Positions that share a band with `LIMIT` others or more are marked in `crowded` instead.
    """
    least = max(0.0, threshold - SLACK)
    needed = int((least + (1 - least) / 256) * BANDS * ROWS)  # low bytes agree by chance once in 256
    for band in range(BANDS):
        order = np.argsort(keys[band], kind="stable").astype(np.int32)
        key = keys[band][order]
        begins = np.flatnonzero(np.append(True, key[1:] != key[:-1]))[: len(key)]
        sizes = np.diff(np.append(begins, len(key)))
        many = np.repeat(sizes > LIMIT, sizes)
        crowded[order[many]] = True
        order, key = order[~many], key[~many]
        at = np.flatnonzero(key[1:] == key[:-1])
        distance = 1
        while len(at):
            for begin in range(0, len(at), PAIRS):
                a, b = order[at[begin : begin + PAIRS]], order[at[begin : begin + PAIRS] + distance]
                near = np.count_nonzero(bytes_[a] == bytes_[b], axis=1) >= needed
                a, b = a[near], b[near]
                for earlier in range(band):  # met before
                    new = keys[earlier][a] != keys[earlier][b]
                    a, b = a[new], b[new]
                if len(a):
                    yield np.minimum(a, b), np.maximum(a, b)
            distance += 1
            at = at[at + distance < len(key)]
            at = at[key[at] == key[at + distance]]


def checked(
    hashes: np.ndarray, starts: np.ndarray, earlier: np.ndarray, later: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Those of the pairs whose sets have at least `threshold`, and their similarity."""
    kept: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = [
        (np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))
    ]
    for begin in range(0, len(earlier), 20_000):
        a, b = earlier[begin : begin + 20_000], later[begin : begin + 20_000]
        size = np.concatenate([starts[a + 1] - starts[a], starts[b + 1] - starts[b]])
        first = np.concatenate([starts[a], starts[b]])
        place = np.append(0, np.cumsum(size)[:-1])
        member = hashes[np.repeat(first - place, size) + np.arange(size.sum())]
        pair = np.repeat(np.concatenate([np.arange(len(a)), np.arange(len(a))]), size).astype(np.uint64)
        both = np.sort(pair << np.uint64(32) | member)
        twice = both[1:][both[1:] == both[:-1]]
        common = np.bincount((twice >> np.uint64(32)).astype(np.int64), minlength=len(a))
        score = (common / (size[: len(a)] + size[len(a) :] - common)).astype(np.float32)
        near = score >= np.float32(threshold)
        kept.append((a[near].astype(np.int32), b[near].astype(np.int32), score[near]))
    return tuple(np.concatenate(column) for column in zip(*kept, strict=True))
