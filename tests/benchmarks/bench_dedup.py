"""Speed and peak memory of dedup and decontamination on a million problem texts, and of MinHash against rensa.

    python tests/benchmarks/bench_dedup.py [--rows 1000000] [--shared FOLDER]
    python tests/benchmarks/bench_dedup.py --templates

The texts are the shared seed problems, written again and again with other numbers, names and a few other words; one in
twenty is a copy, one in twenty a light edit. Each part runs in a process of its own, which reports its peak memory (made
texts included). The limit to meet: both together within 180 s and 6 GB on two cores.
"""

import argparse
import json
import multiprocessing
import os
import random
import re
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
NAMES = "Ada Ben Chloe Dev Emma Farid Gita Hugo Ines Jun Kofi Lena Mia Noor Omar Pia Quinn Rosa Sven Tara".split()
WORDS = "quiet early green careful second northern heavy modern spare distant".split()
CHUNK = 20_000
REFERENCE_ROWS = 200_000


def texts(shared: Path, rows: int) -> Iterator[list[str]]:
    """`rows` texts in chunks, always the same ones."""
    with (shared / "data/seeds/seeds_math.jsonl").open() as file:
        problems = [json.loads(line)["problem"] for line in file]
    draw = random.Random(7)
    made: list[str] = []
    for number in range(rows):
        kind = draw.random()
        if kind < 0.05 and made:
            made.append(made[draw.randrange(len(made))])
        else:
            text = problems[number % len(problems)]
            text = re.sub(r"\d+", lambda _: str(draw.randrange(2, 5000)), text)
            words = text.split()
            for _ in range(3 if kind < 0.1 else max(3, len(words) // 4)):
                words.insert(draw.randrange(len(words) + 1), draw.choice(NAMES + WORDS))
            made.append(" ".join(words))
        if len(made) == CHUNK:
            yield made
            made = []
    if made:
        yield made


def dedup(shared: Path, rows: int) -> dict[str, float]:
    import numpy as np

    from caco_recipes.duplicates.clusters import settle
    from caco_recipes.duplicates.near_copies import NearCopies
    from caco_recipes.duplicates.texts import exact_key, masked_key

    seconds = dict.fromkeys(("keys", "shingles", "minhash", "clusters"), 0.0)
    exact, masked, near_copies = [], [], NearCopies()
    for chunk in texts(shared, rows):
        start = time.perf_counter()
        exact.append(np.array([exact_key(text) for text in chunk], np.uint64))
        masked.append(np.array([masked_key(text) for text in chunk], np.uint64))
        seconds["keys"] += time.perf_counter() - start
        start = time.perf_counter()
        near_copies.add(chunk)
        seconds["shingles"] += time.perf_counter() - start
    start = time.perf_counter()
    pairs = near_copies.pairs(0.7)
    seconds["minhash"] = time.perf_counter() - start
    start = time.perf_counter()
    keys = {"exact": np.concatenate(exact), "masked": np.concatenate(masked)}
    family = np.zeros(rows, np.uint64)
    outcome = settle(rows, keys, {"minhash": pairs}, ["exact", "minhash"], ["masked"], family)
    seconds["clusters"] = time.perf_counter() - start
    return seconds | {"rejected": float((outcome.twin >= 0).sum()), "pairs": float(len(pairs.score))}


def decontaminate(shared: Path, rows: int) -> dict[str, float]:
    from caco_recipes.decontamination import Index

    index = Index.load("all")
    seconds, flagged = 0.0, 0
    for chunk in texts(shared, rows):
        start = time.perf_counter()
        flagged += sum(map(bool, index.match_all(chunk, ["12"] * len(chunk))))
        seconds += time.perf_counter() - start
    return {"match": seconds, "flagged": float(flagged)}


def rensa(shared: Path, rows: int) -> dict[str, float]:
    """The same level by rensa: 3-word shingles as text, R-MinHash with 128 functions, its own LSH."""
    try:
        from rensa import RMinHash, RMinHashLSH
    except ImportError:
        return {}
    seconds = dict.fromkeys(("shingles", "minhash"), 0.0)
    index = RMinHashLSH(threshold=0.7, num_perm=128, num_bands=16)
    done = 0
    for chunk in texts(shared, rows):
        start = time.perf_counter()
        sets = []
        for text in chunk:
            words = text.lower().split()
            sets.append([" ".join(words[at : at + 3]) for at in range(max(1, len(words) - 2))])
        seconds["shingles"] += time.perf_counter() - start
        start = time.perf_counter()
        matrix = RMinHash.digest_matrix_from_token_sets(sets, 128, 42)
        index.insert_matrix_and_query_duplicate_flags(matrix, done)
        done += len(chunk)
        seconds["minhash"] += time.perf_counter() - start
    return seconds


def templates() -> None:
    """Rows of one template that differ in numbers alone: few, some and most of whose shingles hold a number."""
    from caco_recipes.duplicates.near_copies import NearCopies

    told = {
        "many numbers": "Tom has {} apples and {} pears in {} baskets. How many pieces of fruit does he have in one basket?",
        "two numbers": "A shop sells {} pencils and {} books in one week of the year. How many things did it sell in this "
        "week, pencils and books together, before the owner closed the doors?",
        "one number": "A farmer keeps {} hens near the river, and every hen lays one egg on every day of the week but "
        "Sunday. How many boxes of twelve eggs does the farmer sell in a year that has as many weeks as usual?",
    }
    for name, template in told.items():
        for rows in (20_000, 40_000, 80_000):
            draw = random.Random(1)
            made = [template.format(*(draw.randrange(10**6) for _ in range(3))) for _ in range(rows)]
            near_copies, start = NearCopies(), time.process_time()
            near_copies.add(made)
            pairs = near_copies.pairs(0.7)
            seconds = time.process_time() - start
            print(f"{name:12}  {rows:,} rows  {seconds:.1f} CPU s  {len(pairs.score):,} pairs", flush=True)


def measured(part, shared: Path, rows: int, pipe) -> None:
    found = part(shared, rows)
    pipe.send((found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--shared", type=Path, default=os.environ.get("CACO_SHARED"))
    parser.add_argument("--templates", action="store_true", help="only rows of one template")
    options = parser.parse_args()
    if options.templates:
        templates()
        return
    shared = options.shared or Path(__file__).resolve().parents[3] / "shared"
    total: dict[str, float] = {}
    rates: dict[str, float] = {}
    for part in (dedup, decontaminate, rensa):
        here, there = multiprocessing.Pipe(duplex=False)
        rows = min(options.rows, REFERENCE_ROWS) if part is rensa else options.rows
        process = multiprocessing.get_context("spawn").Process(target=measured, args=(part, shared, rows, there))
        process.start()
        there.close()
        try:
            found, peak = here.recv()
        except EOFError:
            print(f"{part.__name__}: ended without a result")
            continue
        process.join()
        if not found:
            print(f"{part.__name__}: not installed")
            continue
        names = [name for name in found if name not in ("rejected", "pairs", "flagged")]
        total[part.__name__] = sum(found[name] for name in names)
        parts = ", ".join(f"{name} {found[name]:.1f} s" for name in names)
        counts = ", ".join(f"{found[name]:,.0f} {name}" for name in found if name not in names)
        rates[part.__name__] = rows / total[part.__name__]
        print(
            f"{part.__name__:14} {total[part.__name__]:7.1f} s  {rates[part.__name__]:9,.0f} rows/s  "
            f"peak {peak:.2f} GB  ({rows:,} rows)"
        )
        print(f"{'':14} {parts}{'; ' + counts if counts else ''}")
    print(f"dedup + decontaminate: {total['dedup'] + total['decontaminate']:.0f} s for {options.rows:,} rows")
    if "rensa" in rates:
        ratio = rates["dedup"] / rates["rensa"]
        print(f"dedup at all text levels runs at {ratio:.2f} times the rows/s of rensa's MinHash level alone")


if __name__ == "__main__":
    main()
