"""Fuzzing of what reads hostile bytes outside the sandbox, and of the rules' view of random syntax trees.

    python tests/benchmarks/fuzz_sandbox.py --seconds 3600 [--seed 0]

Replies of a fork server and tagged texts are made well formed and then mutated byte by byte; trees are grown by putting
parts of real programs into others. Anything but the documented errors, or a call that takes longer than a second, is a
finding: it is printed with what caused it, and the exit status is 1.
"""

import argparse
import ast
import copy
import json
import os
import random
import re
import signal
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from hostile_programs import PROGRAMS

from caco_recipes.sandbox import Limits, codec, rules, screen
from caco_recipes.sandbox.harness import RECORD
from caco_recipes.sandbox.outcome import Reader, split_records
from caco_recipes.sandbox.warmup import WARM_UP, kind_of
from caco_recipes.sandbox.worker import REPLY, split_reply

SHARED = Path(os.environ.get("CACO_SHARED", Path(__file__).resolve().parents[3] / "shared"))
LIMITS = Limits()
READER = Reader(LIMITS, "caco", "strict", "fuzz")
TEXTS = [
    '{"$int":"123456789012345678901234567890"}', '{"$float":"nan"}', '{"$tuple":[1,2,[3]]}', '{"$set":["a","b"]}',
    '{"$dict":[[1,2],[{"$tuple":[1]},null]]}', '{"$frac":"1/3"}', '{"$dec":"1.5E+3"}', '{"$complex":[1.0,-0.0]}',
    '{"$bytes":"00ff"}', '{"$range":[0,10,2]}', '{"$np":{"dtype":"int64","shape":[2,2],"data":[1,2,3,4]}}',
    '{"$sympy":{"str":"x","srepr":"Symbol(\'x\')"}}', '{"$repr":{"class":"K","text":"K()"}}', '{"a":[1,"é\\u0000"]}',
    "null", '"text"', "1e5", "[[[[[[1]]]]]]", '{"$frozenset":[{"$frozenset":[]}]}',
]  # fmt: skip
ATOMS = [text.encode() for text in TEXTS] + [
    b'{"$', b'"}', b"[" * 40, b"]" * 40, b'{"a":' * 30, b"-", b"0" * 400, b"1e999", b"NaN", b"\\ud800", b"\xff\xfe",
    b"\x00", b'"$int"', b",", b":", b"Infinity", b"9" * 5000, b'{"input":', b',"rules":', b'{"syntax":"1:x"}',
    b'{"lines":7,"sites":[["all"]],"imports":[]}', b'{"input":{"n":3},"rules":{"lines":9,"sites":[["key","n"]]}}',
]  # fmt: skip


def mutated(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((0, 1, 1, 2, 4, 12))):
        place = rng.randrange(len(out) + 1)
        way = rng.randrange(5)
        if way == 0 and out:
            out[place % len(out)] = rng.randrange(256)
        elif way == 1:
            out[place:place] = rng.choice(ATOMS)
        elif way == 2:
            del out[place : place + rng.choice((1, 2, 8, 64))]
        elif way == 3:
            end = min(len(out), place + rng.randrange(1, 64))
            out[place:place] = out[place:end] * rng.choice((1, 2, 30))
        else:
            other = rng.choice(ATOMS)
            out[place : place + len(other)] = other
    return bytes(out[:200_000])


def tagged_text(rng: random.Random) -> None:
    text = mutated(rng.choice(ATOMS), rng).decode("utf-8", "surrogateescape")
    try:
        codec.check(text)
    except codec.NotTagged:
        return
    codec.decode(text)


def reply(rng: random.Random) -> None:
    fields = [
        rng.choice((b"ok", b"error", b"memory", b"denied", b"output_limit", b"infrastructure", b"unscreened", b"x")),
        mutated(b'["ValueError",3,"what",""]', rng), mutated(rng.choice(ATOMS), rng), mutated(rng.choice(ATOMS), rng),
        mutated(b"text", rng),
    ]  # fmt: skip
    record = RECORD.pack(*map(len, fields), rng.choice((0, 5, 2**32 - 1))) + b"".join(fields)
    results = mutated(record, rng) if rng.random() < 0.5 else record
    facts, stdout = mutated(rng.choice(ATOMS), rng), mutated(b"line\n" * rng.randrange(4), rng)
    status = rng.choice((0, 0, 0, 9, 11, 24, 25, 31, 256, 17920))
    size = rng.choice((len(stdout), 10**6, 10**9))
    head = REPLY.pack(
        b"R", 1, status, rng.choice((0, 0, 0, 1, 2)), 0.1, 0.2, 5, size, len(facts), len(results), len(stdout)
    )
    read = split_reply(head + facts + results + stdout)
    result = READER.single(read)
    json.dumps([result.status, result.reason, result.output, result.output_text, result.stdout])
    assert len(result.stdout) <= LIMITS.stdout_kb * 1024 and result.status in (
        "ok", "error", "timeout", "memory", "output_limit", "denied", "infrastructure"
    )  # fmt: skip
    for found in split_records(results, LIMITS, 20):
        READER.facts(found.input.encode("ascii", "replace"))


class Trees:
    def __init__(self):
        sources = [text for texts in WARM_UP.values() for text in texts]
        sources += [source for _, source in PROGRAMS.values()]
        for name in ("data/workload/code_cots.jsonl", "data/seeds/programs_math.jsonl"):
            if (SHARED / name).exists():
                with open(SHARED / name, encoding="utf-8") as file:
                    rows = [json.loads(line) for line in file]
                sources += [row.get("code") or row.get("program") for row in rows][::9]
        self.sources, self.parts = [], {}
        for source in sources:
            try:
                tree = ast.parse(source)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            if len(source) < 5_000:
                self.sources.append(source)
                for node in list(ast.walk(tree))[::3]:
                    base = next((b for b in (ast.stmt, ast.expr, ast.pattern) if isinstance(node, b)), None)
                    if base is not None:
                        self.parts.setdefault(base, []).append(node)

    def check(self, rng: random.Random) -> None:
        source = rng.choice(self.sources)
        tree = ast.parse(source)
        for _ in range(rng.choice((1, 2, 5, 20))):
            holders = [node for node in ast.walk(tree) if node._fields]
            holder = rng.choice(holders)
            name = rng.choice(holder._fields)
            old = getattr(holder, name, None)
            base = next((b for b in (ast.stmt, ast.expr, ast.pattern) if isinstance(old, b)), None)
            if base is not None and base in self.parts:
                setattr(holder, name, copy.deepcopy(rng.choice(self.parts[base])))
            elif type(old) is list and old:
                base = next((b for b in (ast.stmt, ast.expr) if isinstance(old[0], b)), None)
                if base is not None:
                    fresh = list(old)
                    fresh.insert(rng.randrange(len(fresh) + 1), copy.deepcopy(rng.choice(self.parts[base])))
                    setattr(holder, name, fresh[rng.randrange(2) :] or fresh)
            elif type(old) is str and name in ("id", "attr", "arg", "name"):
                setattr(holder, name, rng.choice(("input", "solve", "kwargs", "x", "output", "globals", "__class__")))
        try:  # only what Python could have parsed: the rules see the parser's trees
            source = ast.unparse(tree)
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, AttributeError, TypeError, MemoryError, KeyError):
            return
        facts = json.loads(rules.facts_text(source, tree))
        for written in ('{"n":1,"k":2}', '{"$dict":[[1,2]]}', "[1,2]", None):
            unused = rules.unused_keys(facts, written)
            rules.verdict(facts["lines"], unused, written, "3", "3")
        screen.refusal(tree)
        kind_of(source)


def too_slow(*_) -> None:
    raise TimeoutError("more than a second of CPU time")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    trees, counts, found = Trees(), {}, {}
    signal.signal(signal.SIGPROF, too_slow)
    end, number = time.monotonic() + chosen.seconds, 0
    while time.monotonic() < end:
        number += 1
        rng = random.Random(chosen.seed * 1_000_000_007 + number)
        for target in (tagged_text, reply, trees.check):
            counts[target.__name__] = counts.get(target.__name__, 0) + 1
            signal.setitimer(signal.ITIMER_PROF, 1.0)
            try:
                target(rng)
            except Exception as error:
                trace = traceback.format_exc(limit=-4)
                place = re.sub(r"[0-9]+", "#", f"{target.__name__} {type(error).__name__} {trace.splitlines()[-2:]}")
                if place not in found:
                    found[place] = number
                    print(f"FOUND at --seed {chosen.seed}, number {number}, {target.__name__}:\n{trace}", flush=True)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
    print(f"{counts} calls in {chosen.seconds:.0f} s, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
