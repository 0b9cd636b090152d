"""What each level of dedup finds of planted duplicates, and what it merges of texts and programs that are not planted.

    python tests/benchmarks/check_dedup.py [--shared FOLDER] [--programs 200]

Texts: the shared seed problems, each with a planted copy of one kind. Programs: generated Code CoTs, each with a planted
twin. Prints the tables of docs/trust.md.
"""

import argparse
import json
import os
import random
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def text_table(shared: Path) -> None:
    import numpy as np

    from caco_recipes.decontamination.power import changed_numbers, light_edit, other_names
    from caco_recipes.duplicates.near_copies import NearCopies
    from caco_recipes.duplicates.texts import exact_key, masked_key

    with (shared / "data/seeds/seeds_math.jsonl").open() as file:
        problems = [json.loads(line)["problem"] for line in file][::3]
    long = [text for text in problems if len(text.split()) >= 25]
    planted = {
        "other white space and case": lambda text, draw: text.upper().replace(" ", "  "),
        "other numbers": changed_numbers,
        "one word replaced": lambda text, draw: _replace(text, draw, 1),
        "one word in twelve replaced, dropped or added": light_edit,
        "other names": other_names,
        "two sentences swapped": lambda text, draw: _swap(text),
    }
    print("| planted | rows | exact | masked | minhash |\n|---|---:|---:|---:|---:|")
    for name, disguise in planted.items():
        draw = random.Random(name)
        pairs = [(text, disguise(text, draw)) for text in long]
        pairs = [pair for pair in pairs if pair[0] != pair[1]]
        near_copies = NearCopies()
        near_copies.add([text for pair in pairs for text in pair])
        found = near_copies.pairs(0.7)
        linked = set(zip(found.earlier.tolist(), found.later.tolist(), strict=True))
        linked |= {(int(found.same[at]), at) for at in range(len(found.same))}
        shares = (
            np.mean([exact_key(one) == exact_key(other) for one, other in pairs]),
            np.mean([masked_key(one) == masked_key(other) for one, other in pairs]),
            np.mean([(2 * at, 2 * at + 1) in linked for at in range(len(pairs))]),
        )
        print(f"| {name} | {len(pairs):,} | " + " | ".join(f"{100 * share:.1f} %" for share in shares) + " |")
    near_copies = NearCopies()
    near_copies.add(problems)
    found = near_copies.pairs(0.7)
    own = len(problems)
    groups = [own - len({key(text) for text in problems}) for key in (exact_key, masked_key)]
    print(f"| nothing (rows merged) | {own:,} | {groups[0]} | {groups[1]} | {len(found.earlier)} pairs |\n")


def _replace(text: str, draw: random.Random, count: int) -> str:
    words = text.split(" ")
    for at in draw.sample(range(len(words)), count):
        words[at] = "instead"
    return " ".join(words)


def _swap(text: str) -> str:
    sentences = re.split(r"(?<=[.?!]) +", text)
    return " ".join([sentences[1], sentences[0], *sentences[2:]]) if len(sentences) > 2 else text


def program_table(shared: Path, count: int) -> None:
    from caco_recipes.sandbox import Limits, Pool

    with (shared / "data/workload/code_cots.jsonl").open() as file:
        rows = [json.loads(line) for line in file]
    codes = [row.get("code") or row["program"] for row in rows][: 4 * count]
    with Pool(limits=Limits(cpu_seconds=1.0)) as pool:
        results = list(pool.run(codes))
        kept = [(code, result.input) for code, result in zip(codes, results) if result.ok and result.input]
        kept = [(code, given) for code, given in kept if "def " in code and _keys(given)][:count]
        planted = {
            "comments and layout": lambda code, given: "# a note\n" + code.replace("\n\n", "\n\n\n"),
            "names of inputs changed": lambda code, given: _rename(code, _keys(given)),
            "numbers in `input` changed": lambda code, given: _renumber(code),
            "a line more in the first function": lambda code, given: _longer(code),
        }
        print("| planted | programs | program | renamed | constants | behaviour |\n|---|---:|---:|---:|---:|---:|")
        before = _all(pool, [code for code, _ in kept], [given for _, given in kept])
        for name, disguise in planted.items():
            twins = [disguise(code, given) for code, given in kept]
            changed = [at for at in range(len(kept)) if twins[at] != kept[at][0]]
            inputs = [result.input if result.ok else None for result in pool.run([twins[at] for at in changed])]
            after = _all(pool, [twins[at] for at in changed], inputs)
            cells = []
            for level in range(4):
                same = sum(after[level][n] == before[level][at] != "" for n, at in enumerate(changed))
                cells.append(f"{100 * same / max(1, len(changed)):.1f} %")
            print(f"| {name} | {len(changed)} | " + " | ".join(cells) + " |")
        with_key = sum(bool(key) for key in before[3])
        print(f"\nA behaviour key: {with_key} of {len(kept)} programs.")
        for level, name in enumerate(("program", "renamed", "constants", "behaviour")):
            keys = [key for key in before[level] if key]
            print(f"{name}: {len(keys) - len(set(keys))} of {len(keys)} unplanted programs share another one's key")


def _all(pool, codes, inputs) -> list[list[str]]:
    from caco_recipes.canonical import program_forms, program_hashes
    from caco_recipes.program_keys import _behaviours

    forms = program_forms(pool, codes)
    behaviours = _behaviours(pool, codes, inputs)
    return [program_hashes(pool, codes), [form[0] for form in forms], [form[1] for form in forms], behaviours]


def _keys(given: str) -> list[str]:
    value = json.loads(given)
    return [key for key in value if key.isidentifier() and len(key) > 1] if isinstance(value, dict) else []


def _rename(code: str, keys: list[str]) -> str:
    return re.sub(r"\b(" + "|".join(map(re.escape, keys)) + r")\b", r"renamed_\1", code)


def _renumber(code: str) -> str:
    head, mark, tail = code.partition("input = {")
    return head + mark + re.sub(r"(?<![\w.])\d+(?![\w.])", lambda match: str(int(match[0]) + 1), tail, count=1)


def _longer(code: str) -> str:
    return re.sub(r"(def [^\n]*:\n)(\s+)", r"\1\2spare_value = 0\n\2", code, count=1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shared", type=Path, default=os.environ.get("CACO_SHARED"))
    parser.add_argument("--programs", type=int, default=200)
    parser.add_argument("--only_programs", action="store_true")
    options = parser.parse_args()
    shared = Path(options.shared or Path(__file__).resolve().parents[3] / "shared")
    if not options.only_programs:
        text_table(shared)
    program_table(shared, options.programs)


if __name__ == "__main__":
    main()
