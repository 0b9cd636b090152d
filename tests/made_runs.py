"""Run folders of any size for the tests of what reads them: written by the real part writer, from templated problems.

`make_run` writes seeds -> unify -> execute_seeds -> solve -> verify with every verdict and a good spread of reasons.
Texts hold what must not break a page or a card: markup, a closing script tag, Markdown, NUL-free controls, emoji.
"""

import json
import random
from pathlib import Path

import pyarrow as pa

from caco_recipes import identity
from caco_recipes.events import Events
from caco_recipes.pipeline import COMMON_COLUMNS
from caco_recipes.run_folder import StepFolder, schema_of, totals

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"> | `a` **b** & <b>é 🧮\u2028"
PROGRAM = """\
{imports}

def {name}({first}, {second}):
    total = {first} * {second}
    for step in range({loops}):
        total += step
    return total


input = {{"{first}": {a}, "{second}": {b}}}
output = {name}(**input)
print(output)
"""
THINGS = ("apples", "pencils", "tickets", "marbles", "books", "stamps", "coins", "tiles")
NAMES = ("Ada", "Emmy", "Sofia", "Carl", "Leonhard", "Srinivasa", "Maryam", "Alan")
IMPORTS = ("import math", "import sympy", "from fractions import Fraction", "import numpy as np", "import itertools")
EXECUTION_FAULTS = (
    "exception:ValueError",
    "exception:ZeroDivisionError",
    "timeout:cpu",
    "unused_input:n",
    "too_short",
)

SEED = {"source": "string", "licence": "string", "domain": "string", "problem": "string", "solution": "string"} | {
    "answer": "string",
    "program": "string",
    "solve_rate": "float64",
    "tests": "string",
}
UNIFY = SEED | {"code": "string", "expected_answer": "string", "unified_by": "string"}
EXECUTE = UNIFY | {"status": "string", "input": "string", "output": "string", "output_text": "string"}
EXECUTE |= {"stdout": "string"}
SOLVE = EXECUTE | {"problem_origin": "string", "predicted_answer": "string", "finish_reason": "string"}
VERIFY = SOLVE | {"answer_verdict": "string", "answer_rule": "string", "judge_verdict": "string"}


def make_run(folder: Path, seeds: int, *, shard_rows: int = 50, hostile: bool = True, seed: int = 7) -> Path:
    """Writes a run with `seeds` seed rows and returns its folder."""
    draw = random.Random(seed)
    events = Events(folder / "events.jsonl")
    rows = [_seed_row(index, draw, hostile) for index in range(seeds)]
    rows = _write_step(folder, events, "seeds", "seeds", [], SEED, rows, shard_rows)
    rows = [_unified(row, draw) for row in rows]
    rows = _write_step(folder, events, "unify", "unify", ["seeds"], UNIFY, rows, shard_rows)
    rows = [_executed(row, draw) for row in rows]
    rows = _write_step(folder, events, "execute_seeds", "execute", ["unify"], EXECUTE, rows, shard_rows)
    rows = [_solved(row, draw, hostile) for row in rows]
    rows = _write_step(folder, events, "solve", "solve", ["execute_seeds"], SOLVE, rows, shard_rows)
    rows = [_verified(row, draw) for row in rows]
    _write_step(folder, events, "verify", "verify", ["solve"], VERIFY, rows, shard_rows)
    events.close()
    return folder


def _write_step(folder, events, name, stage, inputs, columns, rows, shard_rows) -> list[dict]:
    """Writes a step's parts and manifest; returns the accepted rows."""
    step = StepFolder(folder / name)
    fingerprint = identity.fingerprint(name, len(rows))
    timing = ("cpu_seconds", "wall_seconds", "peak_memory_mb") if stage == "execute" else ()
    schema = schema_of(COMMON_COLUMNS | columns | dict.fromkeys(timing, "float64"))
    events.write("step_start", step=name, fingerprint=fingerprint)
    records = []
    for index, start in enumerate(range(0, len(rows), shard_rows)):
        chunk = [{key: row.get(key) for key in schema.names} for row in rows[start : start + shard_rows]]
        tokens = {"prompt_tokens": 900 * len(chunk), "completion_tokens": 300 * len(chunk)}
        counts = tokens if stage in ("unify", "solve") else {}
        table = pa.Table.from_pylist(chunk, schema=schema)
        records.append(step.write_part(index, fingerprint, table, timing, counts))
        events.write("part", step=name, part=index, seconds=0.25)
    manifest = {"step": name, "stage": stage, "version": 1, "fingerprint": fingerprint, "inputs": inputs}
    step.write_manifest(manifest | {"config": {}, "complete": True, "totals": totals(records), "parts": []})
    events.write("step_end", step=name, seconds=0.25 * len(records))
    return [row for row in rows if row["verdict"] == "accepted"]


def _judged(row: dict, verdict: str, reason: str = "") -> dict:
    return row | {"verdict": verdict, "reason": reason}


def _receipt(row: dict, stage: str, **facts) -> dict:
    return row | {"lineage": identity.add_receipt(row.get("lineage") or "", stage=stage, version=1, **facts)}


def _seed_row(index: int, draw: random.Random, hostile: bool) -> dict:
    a, b = draw.randint(2, 90), draw.randint(2, 40)
    who, thing = draw.choice(NAMES), draw.choice(THINGS)
    problem = f"{who} has {a} boxes with {b} {thing} in each box. How many {thing} does {who} have? (question {index})"
    if hostile and index % 50 == 3:
        problem += " " + HOSTILE
    row = {
        "problem": problem,
        "solution": f"There are ${a} \\times {b}$ {thing}.",
        "answer": str(a * b),
        "source": draw.choice(("MATH", "GSM8K", "KodCode")),
        "licence": draw.choice(("MIT", "Apache-2.0", "CC-BY-4.0")),
        "domain": draw.choice(("arithmetic", "algebra", "counting")),
        "solve_rate": round(draw.random(), 2),
        "numbers": (a, b),
    }
    row |= {"id": identity.seed_id(problem), "parent_ids": []}
    row["family_id"] = row["id"]
    row = _receipt(row, "seeds", source=row["source"], licence=row["licence"])
    return _judged(row, "rejected", "bad_row:problem") if index % 97 == 11 else _judged(row, "accepted")


def _unified(row: dict, draw: random.Random) -> dict:
    a, b = row["numbers"]
    name, loops = draw.choice(("count_all", "total_items", "how_many")), draw.randint(1, 6)
    first, second = draw.choice((("boxes", "per_box"), ("n", "m"), ("groups", "size")))
    code = PROGRAM.format(imports=draw.choice(IMPORTS), name=name, first=first, second=second, loops=loops, a=a, b=b)
    row |= {"code": code, "expected_answer": row["answer"], "unified_by": "model"}
    row = _receipt(row, "unify", model="small-model@abc123", prompt_sha256="ab" * 32, request_key="cd" * 32)
    return _judged(row, "rejected", "truncated") if draw.random() < 0.08 else _judged(row, "accepted")


def _executed(row: dict, draw: random.Random) -> dict:
    fault = draw.random() < 0.25
    row = row | {"parent_ids": [row["id"]], "id": identity.draft_id(row["code"] + row["problem"])}
    row |= {"cpu_seconds": draw.lognormvariate(-5, 1.5), "peak_memory_mb": 20 + 30 * draw.random()}
    row["wall_seconds"] = 1.1 * row["cpu_seconds"]
    row = _receipt(row, "execute", sandbox="sandbox-1", isolation="strict", limits={"cpu_seconds": 1.0}, rules="caco")
    if draw.random() < 0.02:
        return _judged(row | {"status": "infrastructure"}, "undecided", "infrastructure:worker_lost")
    if fault:
        return _judged(row | {"status": "error"}, "rejected", draw.choice(EXECUTION_FAULTS))
    a, b = row["numbers"]
    row |= {"status": "ok", "input": json.dumps({"a": a, "b": b}), "output": row["answer"]}
    return _judged(row | {"output_text": row["answer"], "stdout": row["answer"] + "\n"}, "accepted")


def _solved(row: dict, draw: random.Random, hostile: bool) -> dict:
    right = draw.random() < 0.7
    answer = row["answer"] if right else str(int(row["answer"]) + 1)
    solution = f"Multiply the numbers: {row['solution']} So the answer is \\boxed{{{answer}}}."
    if hostile and draw.random() < 0.02:
        solution += HOSTILE
    row |= {"problem_origin": "original", "predicted_answer": answer, "finish_reason": "stop"}
    row = _receipt(row | {"solution": solution}, "solve", model="recorded:human solutions", prompt_sha256="ef" * 32)
    return _judged(row, "rejected", "no_answer") if draw.random() < 0.04 else _judged(row, "accepted")


def _verified(row: dict, draw: random.Random) -> dict:
    same = row["predicted_answer"] == row["output_text"]
    row |= {"answer_verdict": "accepted" if same else "rejected", "answer_rule": "number", "judge_verdict": "accepted"}
    row = _receipt(row, "verify", grader="grader-1", rule="number", model="judge-model@def456")
    if not same:
        return _judged(row, "rejected", "answer_mismatch")
    if draw.random() < 0.05:
        return _judged(row | {"judge_verdict": "rejected"}, "rejected", "judge_no")
    return _judged(row, "accepted")
