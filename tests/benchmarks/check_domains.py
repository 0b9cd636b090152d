"""How often the domain rules are right: measured on problems whose sources name their field.

    python tests/benchmarks/check_domains.py SHARED_FOLDER

MATH's seven subjects (fields of mathematics), MIT course problems (Minerva: science and mathematics), GSM8K (arithmetic),
tasks of MBPP and KodCode (code), and the procedural seeds of this repository (logic, planning, science), whose wording is
ours and which therefore say the least. After measuring, one word was added (`fewest number`, for blocks); no other rule was
changed.
"""

import json
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

from caco_recipes.domains import fields_of
from caco_recipes.evaluation.metrics import wilson

MATH = {
    "Algebra": {"algebra", "arithmetic"},
    "Intermediate Algebra": {"algebra"},
    "Prealgebra": {"arithmetic", "algebra", "number_theory", "geometry", "counting", "statistics"},
    "Number Theory": {"number_theory"},
    "Geometry": {"geometry"},
    "Counting & Probability": {"counting"},
    "Precalculus": {"trigonometry", "algebra", "geometry"},
}
MINERVA = {
    "Introduction to Solid State Chemistry": "science",
    "Introduction to Astronomy": "science",
    "Differential Equations": "math",
    "Dynamics and Control": "science",
    "Principles of Microeconomics": "science",
    "Relativity": "science",
    "Physical Chemistry": "science",
    "Ecology I": "science",
}


def labelled(shared: Path):
    """(source, problem, domain, fields of mathematics that are right or None)."""
    lines = defaultdict(list)
    for text in (shared / "data/seeds/seeds_math.jsonl").read_text().splitlines():
        row = json.loads(text)
        if row["source"] == "MATH" and row["type"] in MATH:
            lines[f"MATH, {row['type']}"].append((row["problem"], "math", MATH[row["type"]]))
        elif row["source"] == "GSM8K":
            lines["GSM8K"].append((row["problem"], "math", None))
    for text in (shared / "data/benchmarks/minerva_math.jsonl").read_text().splitlines():
        row = json.loads(text)
        course = row["type"].partition(" (")[0]
        if course in MINERVA:
            lines[f"MIT, {course}"].append((row["problem"], MINERVA[course], None))
    for text in (shared / "data/seeds/programs_algo.jsonl").read_text().splitlines():
        row = json.loads(text)
        if row["source"] == "MBPP":
            lines["MBPP"].append((row["prompt"], "code", None))
    for text in (shared / "data/seeds/kodcode_samples.jsonl").read_text().splitlines():
        lines["KodCode"].append((json.loads(text)["prompt"], "code", None))
    try:
        from caco_recipes.procedural import KINDS, generate
    except ImportError:
        KINDS = {}
    for kind in KINDS:
        for row in generate(kind, 40, seed=1):
            lines[f"procedural, {kind}"].append((row["problem"], row["domain"], None))
    return lines


def main(shared: Path) -> None:
    print("| source | problems | domain right, % | field of mathematics right, % |")
    print("|---|---:|---:|---:|")
    total = Counter()
    started, texts = time.perf_counter(), 0
    for source, rows in labelled(shared).items():
        right = fields = 0
        for problem, domain, names in rows:
            domain_found, _, field = fields_of(problem)[0].partition("/")
            right += domain_found == domain
            fields += bool(names) and field in names
        texts += len(rows)
        total.update(right=right, rows=len(rows))
        share, of_field = wilson(right, len(rows)), wilson(fields, len(rows))
        shown = (
            f"{100 * of_field.value:.1f} [{100 * of_field.low:.1f}, {100 * of_field.high:.1f}]" if rows[0][2] else "–"
        )
        print(
            f"| {source} | {len(rows)} | {100 * share.value:.1f} [{100 * share.low:.1f}, {100 * share.high:.1f}] | {shown} |"
        )
    seconds = time.perf_counter() - started
    print(
        f"\n{100 * total['right'] / total['rows']:.1f} % of {total['rows']} domains right; {texts / seconds:,.0f} problems/s"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
