"""Which items of an index a batch of texts contains: array operations for the many, a closer look at the few."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from caco_recipes.decontamination import tokens as tk
from caco_recipes.decontamination.index import (
    CERTAIN,
    LONG,
    NEARLY_ALL,
    RUN,
    SOME,
    WORD_RUNS,
    WORD_SHARE,
    Index,
    Match,
    marked_runs,
    number_keys,
    several_numbers,
)

_TABLE_BITS = 22
_TABLE_SHIFT = np.uint32(32 - _TABLE_BITS)
BATCH = 10_000


class Lookup:
    """The tables that an index is searched with."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.runs, first = np.unique(index.runs, return_index=True)
        self.first = np.append(first, len(index.runs))
        # Most runs of a text are in no index: a table of the first bits says so without a search.
        self.table = np.zeros(1 << _TABLE_BITS, bool)
        self.table[self.runs >> _TABLE_SHIFT] = True
        self.whole = _sorted(index.whole)
        self.key = _sorted(index.key)
        self.needed = needed_share(index.length, index.words + index.formulas)

    def match_all(self, texts: Sequence[str | None], answers: Sequence[Any] | None) -> list[list[Match]]:
        found: list[list[Match]] = []
        for begin in range(0, len(texts), BATCH):
            chosen = answers[begin : begin + BATCH] if answers is not None else None
            found += self._batch(texts[begin : begin + BATCH], chosen)
        return found

    def _batch(self, texts: Sequence[str | None], answers: Sequence[Any] | None) -> list[list[Match]]:
        tokens, starts = tk.tokenise(texts)
        kinds: dict[tuple[int, int], tuple[str, float]] = {}
        for text, item in _equal(tk.whole(tokens, starts), self.whole):
            kinds[text, item] = ("whole", 1.0)
        for text, item, kind, score in self._by_runs(tokens, starts):
            kinds.setdefault((text, item), (kind, score))
        if answers is not None:
            for text, item in _equal(number_keys(tokens, starts, answers), self.key):
                known = kinds.get((text, item))
                if known is None or known[0] == "similar":
                    kinds[text, item] = ("numbers_answer", known[1] if known else 1.0)
        matches: list[list[Match]] = [[] for _ in texts]
        index = self.index
        for (text, item), (kind, score) in kinds.items():
            content = texts[text] or ""
            span = self._span(content, item) if kind in ("runs", "changed_numbers", "similar") else content
            benchmark = index.sets[index.set_of[item]]["name"]
            matches[text].append(Match(benchmark, index.ids[item], span, kind, round(score, 3)))
        for row in matches:
            row.sort(key=lambda match: (_RANK[match.kind], -match.score, match.benchmark, match.item))
        return matches

    def _by_runs(self, tokens: np.ndarray, starts: np.ndarray) -> list[tuple[int, int, str, float]]:
        """(text, item, kind, share found) of the pairs that share enough runs."""
        texts, items, formula, places = self._shared(tokens, starts)
        if not len(texts):
            return []
        pair = texts * len(self.index.ids) + items
        order = np.argsort(pair, kind="stable")
        pair, formula, places = pair[order], formula[order], places[order]
        begins = np.flatnonzero(np.append(True, pair[1:] != pair[:-1]))
        found = np.diff(np.append(begins, len(pair)))
        found_formulas = np.add.reduceat(formula.astype(np.int64), begins)
        text, item = np.divmod(pair[begins], len(self.index.ids))
        words, formulas = self.index.words[item], self.index.formulas[item]
        share = found / (words + formulas)
        enough = share >= self.needed[item]
        numbers = self.index.numbers[item]
        same_numbers = (numbers == several_numbers(tokens, starts)[text]) & (numbers != 0)
        # One number or none: the formulas must do.
        few_numbers = (numbers == 0) & (found_formulas >= 0.5 * formulas)
        found_words = found - found_formulas
        kind = np.zeros(len(text), np.int8)
        kind[(enough | (same_numbers & (share >= SOME))) & (self.index.length[item] >= LONG)] = 3
        kind[enough & (found_words >= WORD_SHARE * words) & (words >= WORD_RUNS)] = 2
        kind[enough & (same_numbers | few_numbers | (share >= NEARLY_ALL))] = 1
        # Runs strewn over a long text are no item.
        close = _close(places, begins, self.index.length[item])
        kind[~close] = 0
        names = ("", "runs", "changed_numbers", "similar")
        return [
            (int(text[at]), int(item[at]), names[kind[at]], float(share[at])) for at in np.flatnonzero(kind).tolist()
        ]

    def _shared(self, tokens: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, ...]:
        """Every run that a text shares with an item, once: text, item, whether it has a number or symbol, place."""
        columns: list[list[np.ndarray]] = [[], [], [], []]
        for n in RUN.values():
            runs, positions = marked_runs(tokens, starts, n)
            maybe = self.table[runs >> _TABLE_SHIFT]
            runs, positions = runs[maybe], positions[maybe]
            at = np.searchsorted(self.runs, runs)
            at[at == len(self.runs)] = 0
            known = self.runs[at] == runs if len(self.runs) else np.zeros(len(runs), bool)
            at, positions = at[known], positions[known]
            text = np.searchsorted(starts, positions, "right") - 1
            _, once = np.unique(text * len(self.runs) + at, return_index=True)
            at, text, positions = at[once], text[once], positions[once]
            count = self.first[at + 1] - self.first[at]
            entry = np.repeat(self.first[at] - np.append(0, np.cumsum(count)[:-1]), count) + np.arange(count.sum())
            columns[0].append(np.repeat(text, count))
            columns[1].append(self.index.run_items[entry].astype(np.int64))
            columns[2].append(np.repeat((self.runs[at] & np.uint32(1)) == 1, count))
            columns[3].append(np.repeat(positions, count))
        return tuple(np.concatenate(column) for column in columns)

    def _span(self, text: str, item: int) -> str:
        """The part of a text from its first run of an item to its last."""
        values, places, base = tk.spans(text)
        tokens, starts = np.array(values, np.uint64), np.array([0, len(values)])
        n = RUN[bool(self.index.length[item] >= LONG)]
        runs, positions = marked_runs(tokens, starts, n)
        first, last = np.searchsorted(self.runs, runs), np.searchsorted(self.runs, runs, "right")
        hits = [
            position
            for position, a, b in zip(positions.tolist(), first.tolist(), last.tolist(), strict=True)
            if b > a and item in self.index.run_items[self.first[a] : self.first[b]]
        ]
        if not hits:
            return base
        return base[places[hits[0]][0] : places[hits[-1] + n - 1][1]]


_RANK = {kind: rank for rank, kind in enumerate((*CERTAIN, "numbers_answer", "similar"))}


def needed_share(length: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """The share of an item's runs that a text must have: all of a short item, falling to a half from 24 runs on."""
    share = np.clip(1 - 0.5 * (runs - 6) / 18, 0.5, 1.0)
    return np.where(length < LONG, 1.0, share)


def _close(places: np.ndarray, begins: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Whether an item's runs stand together in the text: the middle half of them within twice its length."""
    ends = np.append(begins[1:], len(places))
    close = np.ones(len(begins), bool)
    wide = np.maximum.reduceat(places, begins) - np.minimum.reduceat(places, begins) > 2 * length
    for at in np.flatnonzero(wide).tolist():
        own = np.sort(places[begins[at] : ends[at]])
        quarter = len(own) // 4
        close[at] = own[len(own) - 1 - quarter] - own[quarter] <= 2 * length[at]
    return close


def _sorted(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(hashes, kind="stable")
    return hashes[order], order


def _equal(hashes: np.ndarray, known: tuple[np.ndarray, np.ndarray]) -> list[tuple[int, int]]:
    """(text, item) for every text whose hash, unless 0, is an item's."""
    values, order = known
    first = np.searchsorted(values, hashes)
    last = np.searchsorted(values, hashes, "right")
    hit = np.flatnonzero((last > first) & (hashes != 0))
    return [(text, int(order[at])) for text in hit.tolist() for at in range(first[text], last[text])]
