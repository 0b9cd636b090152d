"""An index of problem texts as hashes, and the texts that contain one of them.

An index is made of a benchmark, to keep its items out of training data, or of a training set, to see which items of a
benchmark it holds. It keeps no text: of each item the hashes of some runs of tokens (32 bits each, without their order),
one hash of the whole, and one of its numbers and answer. How an item is found depends on its length:

    long items (from `LONG` tokens)   runs of 5 tokens; the more an item has, the more may be missing, up to a half
    short items (from `SHORT`)        runs of 3 tokens; all of them must be there, and enough of them numbers or symbols
    the shortest                      only as the whole text

Runs that many problems share ("what is the value of x such that") are left out of long items: those listed, as hashes,
in `common.npz`, and those that several items of one benchmark share. An item that has few others must be there whole.

    index = Index.load(["math", "gsm8k"])
    index.match("Natalia sold clips to 48 of her friends …")     # [Match(benchmark="gsm8k", item="12", …)]
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from caco_recipes.decontamination import tokens as tk
from caco_recipes.recipe import RecipeError, nearest

INDEX_VERSION = 1  # another one can't be read: tokens or hashes changed
SHIPPED = Path(__file__).parent / "indexes"

LONG, SHORT = 12, 6  # tokens
RUN = {True: 5, False: 3}  # tokens of a run, of a long item and of a short one
RUNS_PER_ITEM = 40  # kept of a long item: those with the smallest hashes
ITEMS_PER_RUN = 4  # a run that more items of a benchmark share is phrasing
ROWS_PER_RUN = 32  # a data set may hold many copies of one problem: its first rows are enough to find it
FEW_RUNS = 8
KEY_BITS, KEY_NUMBERS = 24, 3  # what numbers and answer must carry to be a key

# Rules; measured in docs/trust.md.
NEARLY_ALL = 0.8  # of an item's runs: `runs`, whatever the numbers
WORD_SHARE, WORD_RUNS = 0.7, 12  # of its runs of words alone, for `changed_numbers`
SOME = 0.3  # of its runs, and the same numbers: `similar`
CERTAIN = ("whole", "runs", "changed_numbers")
KINDS = (*CERTAIN, "similar", "numbers_answer")


class IndexFault(RecipeError):
    """An index that isn't there or can't be read. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Match:
    """A text that contains an item of an index.

    Attributes:
        benchmark, item: the index's name and the item's id in it.
        span: the part of the text that matched (all of it for `whole` and `numbers_answer`).
        kind: `whole` (the same tokens), `runs` (verbatim or lightly edited, alone or inside a text), `changed_numbers`
            (the same words about other numbers), or one of the two borderline kinds: `similar` (some of the wording and
            the same numbers, or much of the wording) and `numbers_answer` (same numbers and answer, other words).
        score: share of the item's runs that were found; 1 where none are counted.
    """

    benchmark: str
    item: str
    span: str
    kind: str
    score: float

    @property
    def certain(self) -> bool:
        return self.kind in CERTAIN


@dataclass
class Index:
    """One index or several together.

    Attributes:
        sets: what was indexed: per set its name, source, revision, licence, number of items.
        set_of, ids: of each item, its set's position in `sets` and its id there.
        runs, run_items: sorted hashes of runs (uint32, the lowest bit says that a number or symbol is in it) and the
            item that each belongs to.
        whole, key: of each item, the hash of all its tokens and that of numbers and answer (0: has none).
        numbers: of each item, the hash of its numbers in any order (0: fewer than two).
        length, words, formulas: tokens of each item, its kept runs of words alone and those with a number or symbol.
        vectors: of each item its embedding (float16, one row), if the index was made with an embedder.
    """

    sets: list[dict[str, Any]]
    set_of: np.ndarray
    ids: list[str]
    runs: np.ndarray
    run_items: np.ndarray
    whole: np.ndarray
    key: np.ndarray
    numbers: np.ndarray
    length: np.ndarray
    words: np.ndarray
    formulas: np.ndarray
    vectors: np.ndarray | None = None
    _lookup: Any = field(default=None, repr=False)
    _position: dict[tuple[str, str], int] | None = field(default=None, repr=False)

    # -- making ---------------------------------------------------------------------------------------------------------

    @classmethod
    def build(
        cls,
        name: str,
        texts: Sequence[str],
        answers: Sequence[Any] | None = None,
        ids: Sequence[str] | None = None,
        runs_per_item: int = RUNS_PER_ITEM,
        copies: bool = False,
        embedder: Any = None,
        **facts: Any,
    ) -> "Index":
        """An index of `texts`. `facts` (source, revision, licence) are kept with it.

        Args:
            answers: the items' answers, where known; they make (numbers, answer) keys.
            ids: the items' ids; by default their positions.
            runs_per_item: how many runs of a long item are kept: more find more and weigh more.
            embedder: an `embeddings.Embedder`; the items' vectors are kept, for a check of borderline matches.
            copies: the set may hold many copies of one problem (training data); a benchmark holds none.
        """
        ids = [str(position) for position in range(len(texts))] if ids is None else [str(item) for item in ids]
        parts = []
        for begin in range(0, max(1, len(texts)), 20_000):
            tokens, starts = tk.tokenise(texts[begin : begin + 20_000])
            chosen = answers[begin : begin + 20_000] if answers is not None else None
            columns = (tk.whole(tokens, starts), number_keys(tokens, starts, chosen), several_numbers(tokens, starts))
            parts.append((tokens, starts, *columns))
        shared = _shared_phrases(parts) if not copies else common_runs()
        found = [_item_runs(tokens, starts, shared, runs_per_item) for tokens, starts, *_ in parts]
        begins = np.cumsum([0, *(len(starts) - 1 for _, starts, *_ in parts)])
        runs = np.concatenate([runs for runs, _ in found])
        items = np.concatenate([items + begin for (_, items), begin in zip(found, begins)])
        whole, key, numbers = (np.concatenate([part[at] for part in parts]) for at in (2, 3, 4))
        length = np.concatenate([tk.lengths(starts) for _, starts, *_ in parts])
        runs, items = _sorted_runs(runs, items, ROWS_PER_RUN)
        index = cls(
            sets=[{"name": name, "items": len(ids), "version": INDEX_VERSION} | facts],
            set_of=np.zeros(len(ids), np.int32),
            ids=ids,
            runs=runs,
            run_items=items,
            whole=whole,
            key=key,
            numbers=numbers,
            length=np.minimum(length, 65_535).astype(np.int32),
            words=np.zeros(0, np.int32),
            formulas=np.zeros(0, np.int32),
        )
        if embedder is not None:
            index.vectors = embedder.embed([text or "" for text in texts]).astype(np.float16)
            index.sets[0]["embedder"] = embedder.name
        index._count()
        return index

    def _count(self) -> None:
        """Each item's runs, as far as they are kept."""
        formula = (self.runs & np.uint32(1)) == 1
        self.words = np.bincount(self.run_items[~formula], minlength=len(self.ids)).astype(np.int32)
        self.formulas = np.bincount(self.run_items[formula], minlength=len(self.ids)).astype(np.int32)

    # -- files ----------------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Writes the index of one set as a NumPy archive, atomically; the same items give the same bytes."""
        head = {"sets": self.sets, "ids": self.ids}
        vectors = {} if self.vectors is None else {"vectors": self.vectors}
        write_arrays(
            path,
            **vectors,
            head=np.frombuffer(json.dumps(head, sort_keys=True, ensure_ascii=False).encode(), np.uint8),
            runs=self.runs,
            run_items=self.run_items.astype(np.uint16 if len(self.ids) < 65_536 else np.uint32),
            whole=self.whole,
            key=self.key,
            numbers=self.numbers,
            length=self.length.astype(np.uint16),
        )

    @classmethod
    def read(cls, path: Path) -> "Index":
        """Reads an index's file. Raises `IndexFault`."""
        try:
            with np.load(path, allow_pickle=False) as file:
                head = json.loads(file["head"].tobytes())
                vectors = file["vectors"] if "vectors" in file.files else None
                arrays = {name: file[name] for name in ("runs", "run_items", "whole", "key", "numbers", "length")}
            versions = {entry["version"] for entry in head["sets"]}
            ids = [str(item) for item in head["ids"]]
            sizes = {
                len(ids) if vectors is None else len(vectors),
                len(arrays["whole"]),
                len(arrays["key"]),
                len(arrays["length"]),
                len(ids),
            }
            fits = len(sizes) == 1 and len(arrays["runs"]) == len(arrays["run_items"])
            if not fits or (len(arrays["run_items"]) and arrays["run_items"].max() >= len(ids)):
                raise ValueError("its parts don't fit together")
        except FileNotFoundError:
            raise IndexFault(f"{path}: no such index; make one with: caco index --help") from None
        except Exception as error:  # a damaged archive fails in many ways
            raise IndexFault(f"{path} is not an index of ours or is damaged ({error}); make it again") from None
        if versions != {INDEX_VERSION}:
            raise IndexFault(f"{path} is an index of another version; make it again with: caco index")
        index = cls(
            sets=head["sets"],
            set_of=np.zeros(len(ids), np.int32),
            ids=ids,
            runs=arrays["runs"].astype(np.uint32),
            run_items=arrays["run_items"].astype(np.int32),
            whole=arrays["whole"].astype(np.uint64),
            key=arrays["key"].astype(np.uint64),
            numbers=arrays["numbers"].astype(np.uint64),
            length=arrays["length"].astype(np.int32),
            words=np.zeros(0, np.int32),
            formulas=np.zeros(0, np.int32),
            vectors=vectors,
        )
        index._count()
        return index

    @classmethod
    def load(cls, names: str | Path | Sequence[str | Path] = "all") -> "Index":
        """Shipped indexes by name (`all`, or any of `shipped_names()`), files by path, together as one."""
        wanted = [names] if isinstance(names, str | Path) else list(names)
        paths: list[Path] = []
        for name in wanted:
            if name == "all":
                paths += [SHIPPED / f"{shipped}.npz" for shipped in shipped_names()]
            elif str(name).endswith(".npz") or "/" in str(name):
                paths.append(Path(name))
            elif str(name) in shipped_names():
                paths.append(SHIPPED / f"{name}.npz")
            else:
                raise IndexFault(f"no shipped index {str(name)!r}; {nearest(str(name), [*shipped_names(), 'all'])}")
        if not paths:
            raise IndexFault("name at least one index (or a file made with: caco index)")
        return cls.together([cls.read(path) for path in dict.fromkeys(paths)])

    @classmethod
    def together(cls, indexes: Sequence["Index"]) -> "Index":
        """Several indexes as one."""
        if len(indexes) == 1:
            return indexes[0]
        first_item = np.cumsum([0, *(len(index.ids) for index in indexes)])
        first_set = np.cumsum([0, *(len(index.sets) for index in indexes)])

        def joined(name: str) -> np.ndarray:
            return np.concatenate([getattr(index, name) for index in indexes])

        runs = joined("runs")
        items = np.concatenate([index.run_items + first for index, first in zip(indexes, first_item)])
        order = np.lexsort((items, runs))
        return cls(
            sets=[entry for index in indexes for entry in index.sets],
            set_of=np.concatenate([index.set_of + first for index, first in zip(indexes, first_set)]).astype(np.int32),
            ids=[item for index in indexes for item in index.ids],
            runs=runs[order],
            run_items=items[order].astype(np.int32),
            whole=joined("whole"),
            key=joined("key"),
            numbers=joined("numbers"),
            length=joined("length"),
            words=joined("words"),
            formulas=joined("formulas"),
            vectors=joined("vectors") if all(index.vectors is not None for index in indexes) else None,
        )

    # -- looking up -----------------------------------------------------------------------------------------------------

    def match(self, text: str, answer: Any = None) -> list[Match]:
        """The items that `text` contains, certain ones first. `answer` is the text's own, for (numbers, answer) keys."""
        return self.match_all([text], [answer])[0]

    def match_all(self, texts: Sequence[str | None], answers: Sequence[Any] | None = None) -> list[list[Match]]:
        """`match` for many texts at once, a few thousand at a time at best."""
        from caco_recipes.decontamination.lookup import Lookup

        if self._lookup is None:
            self._lookup = Lookup(self)
        return self._lookup.match_all(texts, answers)

    def fingerprint(self) -> str:
        """sha256 over everything that decides what matches."""
        digest = hashlib.sha256(json.dumps(self.sets, sort_keys=True).encode())
        for array in (self.runs, self.run_items, self.whole, self.key, self.numbers, self.length, self.vectors):
            digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def likeness(self, matches: Sequence[Match], vector: np.ndarray) -> list[float]:
        """Cosine between a text's embedding and that of each matched item. The index must have `vectors`."""
        if self._position is None:
            names = (self.sets[of]["name"] for of in self.set_of)
            self._position = {key: at for at, key in enumerate(zip(names, self.ids, strict=True))}
        items = [self._position[match.benchmark, match.item] for match in matches]
        return (self.vectors[items].astype(np.float32) @ vector).tolist()

    def testable(self) -> np.ndarray:
        """Per item, how it can be found when it stands inside a longer text: 2 by runs, 1 only as the whole text."""
        return np.where(self.words + self.formulas > 0, 2, 1).astype(np.int8)


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """A NumPy archive, written atomically; unlike `numpy.savez`, the same arrays give the same bytes (no dates)."""
    from caco_recipes.run_folder import write_atomic

    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            entry = io.BytesIO()
            np.lib.format.write_array(entry, np.ascontiguousarray(array), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy")
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, entry.getvalue())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, sink.getvalue())


def shipped_names() -> list[str]:
    """The benchmarks whose indexes come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.npz"))


@cache
def common_runs() -> np.ndarray:
    """Sorted hashes (uint32) of runs of 5 tokens that many problems share."""
    path = Path(__file__).parent / "common.npz"
    with np.load(path, allow_pickle=False) as file:
        return file["runs"].astype(np.uint32)


def marked_runs(tokens: np.ndarray, starts: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes (uint32) of all runs of `n` tokens; the lowest bit says whether one is a number or symbol. And positions."""
    hashes, positions = tk.runs(tokens, starts, n)
    formula = np.zeros(len(tokens) + 1, np.int32)
    np.cumsum(tk.kinds(tokens) != tk.WORD, out=formula[1:])
    marked = formula[positions + n] > formula[positions]
    short = (hashes >> np.uint64(32)).astype(np.uint32) ^ np.uint32(n)
    return (short & np.uint32(0xFFFFFFFE)) | marked.astype(np.uint32), positions


def _runs_of_items(tokens: np.ndarray, starts: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Every run of each item once, by item and then by hash: hashes and items' positions."""
    runs, positions = marked_runs(tokens, starts, n)
    items = np.searchsorted(starts, positions, "right") - 1
    pairs = tk.distinct(items.astype(np.uint64) << np.uint64(32) | runs)
    return pairs.astype(np.uint32), (pairs >> np.uint64(32)).astype(np.int64)


def _shared_phrases(parts: list[tuple[np.ndarray, ...]]) -> np.ndarray:
    """Runs that say little about an item of this set: the common ones, and those that several of its items share."""
    runs = np.concatenate([_runs_of_items(tokens, starts, RUN[True])[0] for tokens, starts, *_ in parts])
    runs, count = np.unique(runs, return_counts=True)
    return np.union1d(common_runs(), runs[count > ITEMS_PER_RUN])


def _item_runs(tokens: np.ndarray, starts: np.ndarray, shared: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The runs that stand for each item, and the items' positions."""
    length = tk.lengths(starts)
    found, owners = [], []
    for is_long, n in RUN.items():
        runs, items = _runs_of_items(tokens, starts, n)
        wanted = (length[items] >= LONG) if is_long else (length[items] < LONG) & (length[items] >= SHORT)
        runs, items = runs[wanted], items[wanted]
        if is_long:
            own = ~np.isin(runs, shared)
            # An item made of common phrases keeps them all, and must then be there as a whole.
            few = np.bincount(items[own], minlength=len(length)) < FEW_RUNS
            runs, items = runs[own | few[items]], items[own | few[items]]
            kept = np.arange(len(items)) - np.searchsorted(items, items) < most
        else:
            # A short item must be told apart by what it is about, not by phrases: four runs, three with a symbol.
            formulas = np.bincount(items[(runs & np.uint32(1)) == 1], minlength=len(length))
            kept = (np.bincount(items, minlength=len(length)) >= 4)[items] & (formulas >= 3)[items]
        found.append(runs[kept])
        owners.append(items[kept])
    return np.concatenate(found), np.concatenate(owners)


def _sorted_runs(runs: np.ndarray, items: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Runs in order with their items; of a run that more than `most` items have, only the first items."""
    order = np.lexsort((items, runs))
    runs, items = runs[order], items[order]
    place = np.arange(len(runs)) - np.searchsorted(runs, runs)
    return runs[place < most], items[place < most].astype(np.int32)


def several_numbers(tokens: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Per text a hash of its numbers in any order; 0 where there are fewer than two."""
    hashes, counts, _ = tk.numbers(tokens, starts)
    return np.where(counts >= 2, hashes | np.uint64(1), np.uint64(0))


def number_keys(tokens: np.ndarray, starts: np.ndarray, answers: Sequence[Any] | None) -> np.ndarray:
    """Per text a hash of its numbers and its answer; 0 where they are too few or too small to tell problems apart."""
    none = np.zeros(len(starts) - 1, np.uint64)
    if answers is None:
        return none
    hashes, counts, bits = tk.numbers(tokens, starts)
    answer_tokens, answer_starts = tk.tokenise([_answer_text(answer) for answer in answers])
    answer_hashes = tk.whole(answer_tokens, answer_starts)
    _, _, answer_bits = tk.numbers(answer_tokens, answer_starts)
    enough = (counts >= KEY_NUMBERS) & (bits + answer_bits >= KEY_BITS) & (answer_hashes != 0)
    return np.where(enough, tk.mix(hashes ^ tk.mix(answer_hashes)) | np.uint64(1), none)


def _answer_text(answer: Any) -> str:
    """An answer as text; a number with a unit behind it counts as the number."""
    text = "" if answer is None else str(answer).strip()
    head, _, tail = text.partition(" ")
    if tail and head.replace(".", "").replace(",", "").lstrip("-").isdecimal() and tail.strip("().").isalpha():
        return head
    return text
