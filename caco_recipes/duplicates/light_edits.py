"""Pairs of texts that tell the same numbers in the same words, but for a few words here and there or for other names.

One word in twelve replaced leaves about half of the 3-word shingles, too few for `minhash` at a similarity that tells
problems apart. Where the numbers and symbols of two texts are the same in the same order, less of the wording will do:

    the numbers carry `BITS` bits or more (three numbers of two digits do), and there are `WORDS` words or more
    the words that both have in the same order are at least `threshold` of all words
    no `WINDOW` words in a row hold more than `CHANGED` that differ

The last rule is what tells an edit from another question about the same facts: there the words that differ stand together.
Measured in docs/trust.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher

import numpy as np

from caco_recipes.decontamination import tokens as tk
from caco_recipes.duplicates.crowds import LIMIT, Found, crowded_pairs
from caco_recipes.duplicates.minhash import checked, each_once

BITS = 10
WORDS = 20
WINDOW, CHANGED = 8, 3
PAIRS = 200_000  # looked at together


@dataclass
class Wordings:
    """Of many texts the words in their order (uint32 each), and what their numbers and symbols are.

    Only texts whose numbers tell them apart are kept: `rows` are their positions among all texts, `facts` the hashes of
    their numbers and symbols in order (uint64); their words begin at `starts` (one more than rows).
    """

    _rows: list[np.ndarray] = field(default_factory=list)
    _facts: list[np.ndarray] = field(default_factory=list)
    _words: list[np.ndarray] = field(default_factory=list)
    _counts: list[np.ndarray] = field(default_factory=list)
    _texts: int = 0

    def add_tokens(self, tokens: np.ndarray, starts: np.ndarray) -> None:
        """Appends texts as tokens (`decontamination.tokens`)."""
        is_word = tk.kinds(tokens) == tk.WORD
        words = np.append(0, np.cumsum(is_word))[starts]  # words before each text
        others = tokens[~is_word]
        facts = tk.whole(others, starts - words)
        _, _, bits = tk.numbers(tokens, starts)
        kept = np.flatnonzero((bits >= BITS) & (np.diff(words) >= WORDS))
        chosen = np.zeros(len(starts) - 1, bool)
        chosen[kept] = True
        count = np.diff(words)
        self._words.append((tk.mix(tokens[is_word][np.repeat(chosen, count)]) >> np.uint64(32)).astype(np.uint32))
        self._rows.append(kept + self._texts)
        self._facts.append(facts[kept])
        self._counts.append(count[kept])
        self._texts += len(starts) - 1

    def finished(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(rows, facts, words, starts) of all texts."""
        none = np.empty(0, np.int64)
        counts = np.concatenate([np.zeros(1, np.int64), *self._counts])
        return (
            np.concatenate([none, *self._rows]),
            np.concatenate([none.astype(np.uint64), *self._facts]),
            np.concatenate([none.astype(np.uint32), *self._words]),
            np.cumsum(counts),
        )


def edited_pairs(wordings: Wordings, threshold: float) -> Found:
    """(earlier, later, share of common words) of the pairs, each once, in order."""
    rows, facts, words, starts = wordings.finished()
    order = np.argsort(facts, kind="stable")
    begins = np.flatnonzero(np.append(True, facts[order][1:] != facts[order][:-1]))[: len(order)]
    sizes = np.diff(np.append(begins, len(order)))
    sets = _numbered(words, starts, order[np.repeat(sizes > 1, sizes)])
    # Of two sets of numbered words: a share s of common words is a Jaccard similarity of s / (2 - s).
    jaccard = threshold / (2 - threshold)

    def check(earlier: np.ndarray, later: np.ndarray) -> Found:
        a, b, _ = checked(*sets, earlier, later, jaccard)
        return _edits(words, starts, a, b, threshold)

    found = [check(np.minimum(a, b), np.maximum(a, b)) for a, b in _in_groups(order, begins, sizes)]
    for begin, size in zip(begins[sizes > LIMIT].tolist(), sizes[sizes > LIMIT].tolist(), strict=True):
        found += crowded_pairs(*sets, np.sort(order[begin : begin + size]), jaccard, check)
    earlier, later, score = each_once(found)
    return rows[earlier].astype(np.int32), rows[later].astype(np.int32), score


def _numbered(words: np.ndarray, starts: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The chosen texts' words as sets: the second `the` of a text is another member than the first. Of other texts nothing."""
    size = np.zeros(len(starts) - 1, np.int64)
    size[chosen] = np.diff(starts)[chosen]
    bounds = np.append(0, np.cumsum(size))
    owner = np.repeat(np.arange(len(size)), size)
    member = words[np.repeat(starts[:-1] - bounds[:-1], size) + np.arange(bounds[-1])].astype(np.uint64)
    order = np.lexsort((member, owner))
    key = owner[order].astype(np.uint64) << np.uint64(32) | member[order]
    new = np.append(True, key[1:] != key[:-1])[: len(key)]
    first = np.maximum.accumulate(np.where(new, np.arange(len(key)), 0))
    times = (np.arange(len(key)) - first).astype(np.uint64)
    return (tk.mix(member[order] << np.uint64(16) ^ times) >> np.uint64(32)).astype(np.uint32), bounds


def _in_groups(order: np.ndarray, begins: np.ndarray, sizes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs within the groups of at most `LIMIT` texts."""
    group = np.repeat(np.arange(len(begins)), sizes)
    small = np.repeat(sizes <= LIMIT, sizes)
    text, group = order[small], group[small]
    at, distance = np.flatnonzero(group[1:] == group[:-1]), 1
    while len(at):
        for begin in range(0, len(at), PAIRS):
            yield text[at[begin : begin + PAIRS]], text[at[begin : begin + PAIRS] + distance]
        distance += 1
        at = at[at + distance < len(text)]
        at = at[group[at] == group[at + distance]]


def _edits(words: np.ndarray, starts: np.ndarray, earlier: np.ndarray, later: np.ndarray, threshold: float) -> Found:
    """Those of the pairs whose words differ little and nowhere much, and their share of common words."""
    score = np.zeros(len(earlier), np.float32)
    for at, (a, b) in enumerate(zip(earlier.tolist(), later.tolist(), strict=True)):
        one, other = words[starts[a] : starts[a + 1]].tolist(), words[starts[b] : starts[b + 1]].tolist()
        score[at] = common_share(one, other)
    near = score >= np.float32(threshold)
    return earlier[near].astype(np.int32), later[near].astype(np.int32), score[near]


def common_share(one: list[int], other: list[int]) -> float:
    """The words that both have in the same order, as a share of all; 0 where too many of those that differ stand together.

    The same for both orders of the two.
    """
    one, other = min(one, other), max(one, other)
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    for text, side in ((one, 0), (other, 1)):
        differs = np.ones(len(text) + WINDOW, np.int64)
        differs[len(text) :] = 0
        for block in blocks:
            differs[block[side] : block[side] + block.size] = 0
        running = np.append(0, np.cumsum(differs))
        if len(text) and (running[WINDOW:] - running[:-WINDOW]).max() > CHANGED:
            return 0.0
    return 2 * sum(block.size for block in blocks) / (len(one) + len(other))
