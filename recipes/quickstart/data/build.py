"""Makes the files of this folder from the source material: `python recipes/quickstart/data/build.py DATA_FOLDER [OUT]`.

DATA_FOLDER holds `seeds/` and `benchmarks/` as the README beside this file describes them. Draws are seeded and every
row carries its licence and source; the same material gives the same bytes. Nothing that touches a benchmark's test
problem gets into a file that trains or publishes: exact problems and shared runs of 13 words are left out.
"""

import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from caco_recipes.identity import fold_whitespace
from caco_recipes.mechanical import CannotUnify, unify_function, unify_program
from caco_recipes.seed_sets import CALCULATOR
from caco_recipes.test_cases import choose_case

HERE = Path(__file__).resolve().parent
SEED = 2510
CHAINS_WITH_INPUTS, CHAINS_WITHOUT, CHAINS_WRONG = 150, 50, 10
MATH_PROGRAMS, PLAIN_GSM8K, PLAIN_MATH, MBPP, ALGORITHMS = 40, 16, 8, 24, 12
NGRAM = 13
MATH_SOURCE = "hendrycks/MATH, train split"
GSM8K_SOURCE = "openai/gsm8k, train split"
PROGRAM_SOURCES = {
    "Loong/advanced_math": ("camel-ai/loong advanced_math (commit f8015bc)", "Apache-2.0"),
    "ToRA-Corpus/tora-corpus-math": ("microsoft/ToRA data/tora/examples.jsonl (commit 213c1c9)", "MIT"),
}


def main(data: Path, out: Path = HERE) -> None:
    draw = random.Random(SEED)
    tests = Contamination(data / "benchmarks")
    math = {fold_whitespace(row["problem"]): row for row in read(data / "seeds/seeds_math.jsonl")}
    chains = list(find_chains(data, math, tests))
    draw.shuffle(chains)
    right = [chain for chain in chains if chain["right"]]
    with_inputs = [chain for chain in right if "input = {}" not in chain["code"]]
    without = [chain for chain in right if "input = {}" in chain["code"]]
    wrong = [chain for chain in chains if not chain["right"]][:CHAINS_WRONG]
    recorded = with_inputs[:CHAINS_WITH_INPUTS] + without[:CHAINS_WITHOUT] + wrong
    draw.shuffle(recorded)
    programs = with_inputs[CHAINS_WITH_INPUTS : CHAINS_WITH_INPUTS + MATH_PROGRAMS]
    taken = {fold_whitespace(chain["seed"]["problem"]) for chain in chains}

    seeds = list(plain_seeds(math, taken, tests, draw))
    seeds += [math_seed(chain["seed"]) | origin(chain) for chain in recorded]
    seeds += [math_seed(c["seed"]) | origin(c) | {"program": c["program"]["program"]} for c in programs]
    seeds += list(code_seeds(data, draw))
    write(out / "seeds.jsonl", seeds)
    write(
        out / "recorded.jsonl", [row for chain in recorded + programs for row in recordings(chain, chain in recorded)]
    )
    write(out / "gsm8k_test_sample.jsonl", evaluation_sample(data, "gsm8k_test", "openai/gsm8k, test split", draw))
    write(out / "math_test_sample.jsonl", evaluation_sample(data, "math_test", "hendrycks/MATH, test split", draw))


class Contamination:
    """Which problems touch a benchmark's test problem."""

    def __init__(self, folder: Path) -> None:
        self.exact: set[str] = set()
        self.runs: set[tuple[str, ...]] = set()
        for file in sorted(folder.glob("*.jsonl")):
            for row in read(file):
                words = _words(row["problem"])
                self.exact.add(" ".join(words))
                self.runs.update(_runs(words))

    def touches(self, problem: str) -> bool:
        words = _words(problem)
        return " ".join(words) in self.exact or any(run in self.runs for run in _runs(words))


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _runs(words: list[str]) -> Iterator[tuple[str, ...]]:
    return (tuple(words[i : i + NGRAM]) for i in range(len(words) - NGRAM + 1))


def find_chains(data: Path, math: dict[str, dict], tests: Contamination) -> Iterator[dict]:
    """MATH-train problems with a program that somebody wrote, and the human solution that ends in the same answer."""
    outcomes = {row["id"]: row for row in read(data / "seeds/programs_math_exec.jsonl")}
    seen: set[str] = set()
    for row in read(data / "seeds/programs_math.jsonl"):
        problem = fold_whitespace(row["problem"])
        seed, outcome = math.get(problem), outcomes[row["id"]]
        if seed is None or seed["source"] != "MATH" or row["source"] not in PROGRAM_SOURCES or problem in seen:
            continue
        if outcome["status"] != "ok" or outcome["sec"] > 1.0 or tests.touches(seed["problem"]):
            continue
        if len(seed["solution"]) > 1200 or len(seed["problem"]) > 600 or len(row["program"]) > 1500:
            continue
        if "[asy]" in seed["problem"] + seed["solution"] or seed["solution"].count("\\boxed") != 1:
            continue
        try:
            code = unify_program(row["program"], seed["problem"])
        except CannotUnify:
            continue
        seen.add(problem)
        yield {"seed": seed, "program": row, "code": code, "right": bool(outcome["correct"])}


def math_seed(seed: dict) -> dict:
    return {
        "problem": seed["problem"],
        "solution": CALCULATOR.sub("", seed["solution"]),
        "answer": seed["answer"],
        "domain": "math",
        "source": MATH_SOURCE if seed["source"] == "MATH" else GSM8K_SOURCE,
        "licence": "MIT",
        "source_id": seed["id"],
    }


def origin(chain: dict) -> dict:
    """Source and licence of problem and program together: the programs' collections carry the problems as well."""
    source, licence = PROGRAM_SOURCES[chain["program"]["source"]]
    return {"source": f"{MATH_SOURCE} (MIT); program: {source}", "licence": licence}


def recordings(chain: dict, with_unify: bool) -> Iterator[dict]:
    """What a recorded teacher answers for a chain: program, original problem (not reversed), human solution."""
    seed = chain["seed"]
    source, licence = PROGRAM_SOURCES[chain["program"]["source"]]
    if with_unify:
        yield {
            "stage": "unify",
            "subject": seed["problem"],
            "text": f"```python\n{chain['code']}```",
            "source": f"{source}, {chain['program']['id']}, unified mechanically",
            "licence": licence,
        }
    yield {
        "stage": "back_translate",
        "subject": chain["code"],
        "text": seed["problem"],
        "source": f"{MATH_SOURCE}, {seed['id']}: the original problem, not reversed",
        "licence": "MIT",
    }
    yield {
        "stage": "solve",
        "subject": seed["problem"],
        "text": seed["solution"],
        "source": f"{MATH_SOURCE}, {seed['id']}: the human solution",
        "licence": "MIT",
    }


def plain_seeds(math: dict[str, dict], taken: set[str], tests: Contamination, draw: random.Random) -> Iterator[dict]:
    """Short problems without a program, for a real model to try."""
    for source, level, count in (("GSM8K", None, PLAIN_GSM8K), ("MATH", "Level 1", PLAIN_MATH)):
        found = [
            seed
            for problem, seed in math.items()
            if seed["source"] == source
            and (level is None or seed["level"] == level)
            and len(problem) < 220
            and "[asy]" not in problem
            and problem not in taken
            and not tests.touches(seed["problem"])
        ]
        yield from (math_seed(seed) for seed in draw.sample(found, count))


def code_seeds(data: Path, draw: random.Random) -> Iterator[dict]:
    """Functions with tests: MBPP's train split and TheAlgorithms' doctests."""
    rows = list(read(data / "seeds/programs_algo.jsonl"))
    for source, split, count in (("MBPP", "train", MBPP), ("TheAlgorithms/Python", "seed", ALGORITHMS)):
        found = []
        for row in rows:
            if row["source"] != source or row["split"] != split or not 150 < len(row["solution"]) < 1500:
                continue
            tests = row["tests"] if row["tests"] and row["tests"] != "doctest" else ""
            try:
                case = choose_case(row["solution"], tests, row.get("entry_point") or "")
                unify_function(row["solution"], case.function, case.positional, dict(case.named))
            except CannotUnify:
                continue
            if not case.positional or len(row["prompt"]) > 600 or "\n    >>>" in row["prompt"]:
                continue
            found.append(
                {
                    "problem": row["prompt"].strip(),
                    "answer": case.expected,
                    "domain": "code",
                    "program": row["solution"],
                    "tests": tests,
                    "source": "google-research/mbpp, train split" if source == "MBPP" else source,
                    "licence": row["licence"],
                    "source_id": row["id"],
                }
            )
        yield from draw.sample(found, count)


def evaluation_sample(data: Path, name: str, source: str, draw: random.Random) -> list[dict]:
    """Test items for evaluation only: nothing of this trains a model or is published."""
    rows = [row for row in read(data / f"benchmarks/{name}.jsonl") if "[asy]" not in row["problem"]]
    sample = sorted(draw.sample(rows, 40), key=lambda row: row["id"])
    keys = ("id", "problem", "answer", "level", "type")
    return [{k: row[k] for k in keys if k in row} | {"source": source, "licence": "MIT"} for row in sample]


def read(file: Path) -> Iterator[dict]:
    with open(file, encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def write(file: Path, rows: list[dict]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    file.write_text(text, encoding="utf-8")
    print(f"{file.name}: {len(rows)} rows, {len(text.encode()) / 1e6:.2f} MB")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
