"""What problem texts are compared by: the same text, the same but for its numbers, and sets of 3-word shingles."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from caco_recipes.decontamination import tokens as tk

SHINGLE = 3  # tokens: of a 28-word problem, a changed number spares most of them
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def exact_key(text: str) -> int:
    """uint64 of the text, white space and case aside; 0 for none."""
    return _hash(" ".join(text.lower().split()))


def masked_key(text: str) -> int:
    """uint64 of the text with every number masked; 0 for none."""
    return _hash(_NUMBER.sub("#", " ".join(text.lower().split())))


def _hash(text: str) -> int:
    if not text:
        return 0
    return (
        int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little") or 1
    )


@dataclass
class Shingles:
    """The shingle sets of many texts, as one sorted run of uint32 hashes each.

    Attributes:
        hashes: the sets, one after the other; `starts` says where each begins (one more than texts).
    """

    _parts: list[np.ndarray] = field(default_factory=list)
    _counts: list[np.ndarray] = field(default_factory=list)

    def add(self, texts: Sequence[str | None]) -> None:
        """Appends texts. One with fewer tokens than a shingle has its whole as the only member; an empty one none."""
        self.add_tokens(*tk.tokenise(texts))

    def add_tokens(self, tokens: np.ndarray, starts: np.ndarray) -> None:
        """The same of texts that are tokens already (`decontamination.tokens`)."""
        runs, positions = tk.runs(tokens, starts, SHINGLE)
        owners = np.searchsorted(starts, positions, "right") - 1
        length = tk.lengths(starts)
        short = np.flatnonzero((length > 0) & (length < SHINGLE))
        owners = np.concatenate([owners, short]).astype(np.uint64)
        runs = np.concatenate([runs, tk.whole(tokens, starts)[short]]) >> np.uint64(32)
        members = tk.distinct(owners << np.uint64(32) | runs)
        self._parts.append(members.astype(np.uint32))
        self._counts.append(np.bincount((members >> np.uint64(32)).astype(np.int64), minlength=len(starts) - 1))

    def finished(self) -> tuple[np.ndarray, np.ndarray]:
        """(hashes, starts) of all texts."""
        counts = np.concatenate([np.zeros(1, np.int64), *self._counts])
        hashes = np.concatenate([np.empty(0, np.uint32), *self._parts])
        self._parts, self._counts = [hashes], [counts[1:]]
        return hashes, np.cumsum(counts)
