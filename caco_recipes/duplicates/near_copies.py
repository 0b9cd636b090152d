"""The level `minhash`: texts that are nearly the same, by their shingles or, for the same numbers, by their words."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from caco_recipes.decontamination import tokens as tk
from caco_recipes.duplicates.clusters import Pairs
from caco_recipes.duplicates.light_edits import Wordings, edited_pairs
from caco_recipes.duplicates.minhash import each_once, similar_pairs
from caco_recipes.duplicates.texts import Shingles


@dataclass
class NearCopies:
    """Texts, added some at a time and let go; then the pairs among all of them."""

    _shingles: Shingles = field(default_factory=Shingles)
    _wordings: Wordings = field(default_factory=Wordings)

    def add(self, texts: Sequence[str | None]) -> None:
        """Appends texts; an empty one is like none."""
        tokens, starts = tk.tokenise(texts)
        self._shingles.add_tokens(tokens, starts)
        self._wordings.add_tokens(tokens, starts)

    def pairs(self, threshold: float) -> Pairs:
        """Texts whose 3-word shingles have a Jaccard similarity of at least `threshold`, and light edits of each other."""
        found = similar_pairs(*self._shingles.finished(), threshold)
        a, b, score = edited_pairs(self._wordings, threshold)
        a, b = found.same[a], found.same[b]  # of texts with the same shingles, the first stands for all
        apart = a != b
        edits = (np.minimum(a, b)[apart].astype(np.int32), np.maximum(a, b)[apart].astype(np.int32), score[apart])
        return Pairs(*each_once([(found.earlier, found.later, found.score), edits]), found.same)
