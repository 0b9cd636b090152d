"""Fuzzing of what reads hostile bytes outside the sandbox, and of the rules' view of random syntax trees.

    python tests/benchmarks/fuzz_sandbox.py --seconds 3600 [--seed 0]

Targets: `tagged_text` (the codec's reader), `reply` (a server's answer about one program), `several` (about shared
programs or many inputs of one, through the coordinator itself), `facts` (what the rules judge), `check` (grown syntax
trees against the rules and the screen), `source` (mutated program texts through all that is done before a program runs).

Replies of a fork server, facts and tagged texts are made well formed and then mutated byte by byte; trees are grown by
putting parts of real programs into others. Anything but the documented errors, a program that is answered twice or never,
or a call that takes longer than a second, is a finding: it is printed with what caused it, and the exit status is 1.
"""

import argparse
import ast
import collections
import copy
import functools
import json
import os
import random
import re
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from hostile_programs import PROGRAMS

from caco_recipes.sandbox import Limits, codec, rules, screen
from caco_recipes.sandbox.coordinator import Coordinator, Job
from caco_recipes.sandbox.harness import MAX_DIGITS, RECORD, Harness
from caco_recipes.sandbox.outcome import Reader, split_records
from caco_recipes.sandbox.warmup import WARM_UP, kind_of
from caco_recipes.sandbox.worker import REPLY, split_reply
from caco_recipes.verdicts import STATUSES, VERDICTS, check_reason

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


def made_record(rng: random.Random) -> bytes:
    fields = [
        rng.choice((b"ok", b"error", b"memory", b"denied", b"output_limit", b"infrastructure", b"unscreened", b"x")),
        mutated(b'["ValueError",3,"what",""]', rng), mutated(rng.choice(ATOMS), rng), mutated(rng.choice(ATOMS), rng),
        mutated(b"text", rng),
    ]  # fmt: skip
    return RECORD.pack(*map(len, fields), rng.choice((0, 5, 2**32 - 1))) + b"".join(fields)


def reply(rng: random.Random) -> None:
    record = made_record(rng)
    results = mutated(record, rng) if rng.random() < 0.5 else record
    facts, stdout = mutated(rng.choice(ATOMS), rng), mutated(b"line\n" * rng.randrange(4), rng)
    status = rng.choice((0, 0, 0, 9, 11, 24, 25, 31, 256, 17920))
    size = rng.choice((len(stdout), 10**6, 10**9))
    head = REPLY.pack(
        b"R", 1, status, rng.choice((0, 0, 0, 1, 2)), 0.1, 0.2, 5, size, len(facts), len(results), len(stdout)
    )
    read = split_reply(head + facts + results + stdout)
    check_result(READER.single(read))
    for found in split_records(results, LIMITS, 20):
        READER.facts(found.input.encode("ascii", "replace"))


def check_result(result) -> None:
    json.dumps([result.status, result.reason, result.output, result.output_text, result.stdout]).encode("ascii")
    assert len(result.stdout) <= LIMITS.stdout_kb * 1024
    assert result.status in STATUSES and result.verdict in VERDICTS
    check_reason(result.reason)
    if result.verdict == "accepted":
        assert result.status == "ok" and not result.reason and result.code_lines >= rules.MIN_LINES
        assert result.input is not None and result.output is not None and not result.unused
    elif result.status == "infrastructure":
        assert result.verdict == "undecided"


def several(rng: random.Random) -> None:
    """Each program is answered, or queued again, once; never both, never neither."""
    pool = SimpleNamespace(
        limits=LIMITS, rules=rng.choice(("caco", None)), isolation="strict", workers=1, share=4, share_audit=0.2
    )  # fmt: skip
    coordinator, answers = Coordinator(pool), []
    try:
        coordinator.fast["plain"] = collections.deque()
        results = b"".join(made_record(rng) for _ in range(rng.randrange(5)))
        results = mutated(results, rng) if rng.random() < 0.5 else results
        facts, stdout = mutated(rng.choice((*ATOMS, FACTS)), rng), mutated(b"line\n" * rng.randrange(9), rng)
        status = rng.choice((0, 0, 0, 9, 11, 256))
        head = REPLY.pack(
            b"R", 1, status, rng.choice((0, 0, 1, 2)), 0.1, 0.2, 5, len(stdout), len(facts), len(results), len(stdout)
        )
        read = split_reply(head + facts + results + stdout)
        if rng.random() < 0.5:
            inner = [Job(n, f"x = {n}{rng.random()}", "plain", answers.append, 1.0, shareable=True) for n in range(4)]
            coordinator.end_batch(Job(9, "", "plain", None, 1.0, batch=inner), read)
            assert len(answers) + len(coordinator.fast["plain"]) + len(coordinator.later) == 4
        else:
            job = Job(1, "x = 1", "plain", answers.extend, 1.0, inputs=["1", "2", "3"])
            job.attempts = rng.randrange(4)
            coordinator.end_variants(job, read)
            waits = len(coordinator.fast["plain"]) + len(coordinator.later)
            assert (len(answers), waits) in ((3, 0), (0, 1)) and len(job.done) <= 3
        for result in answers:
            if pool.rules:
                check_result(result)
    finally:
        for closing in (coordinator.selector, coordinator.bell, coordinator.ringer):
            closing.close()


def facts(rng: random.Random) -> None:
    """Facts of any shape: a verdict only on whole ones."""
    found = json.loads(rng.choice((FACTS, *FACTS_OF)))
    for _ in range(rng.randrange(4)):
        twisted(found, rng)
    text = json.dumps(found, separators=(",", ":")).encode()
    read = READER.facts(mutated(text, rng) if rng.random() < 0.3 else text)
    for status in ("ok", "error"):
        written = rng.choice(TAGGED_INPUTS)
        result = READER.result(
            status, "" if status == "ok" else "exception:x", written, "1", "1", "", False, (0, 0, 0), read
        )
        check_result(result)


def twisted(value, rng: random.Random) -> None:
    """Replaces, drops or adds something somewhere below `value`."""
    while type(value) in (dict, list) and value:
        place = rng.choice(list(value) if type(value) is dict else range(len(value)))
        if type(value[place]) in (dict, list) and value[place] and rng.random() < 0.7:
            value = value[place]
            continue
        way = rng.randrange(4)
        if way == 0:
            del value[place]
        else:
            value[place] = rng.choice(
                (None, True, 0, -1, 10**30, 1.5, "", "key", "n", [], {}, [[]], [["all"]], {"n": 0})
            )
        return


def source(rng: random.Random, sources: list[str]) -> None:
    """What the compiler process does with a text, and what is read of it outside."""
    text = mutated(rng.choice(sources).encode("utf-8", "surrogatepass"), rng)[:20_000].decode(
        "utf-8", "surrogateescape"
    )
    sys.set_int_max_str_digits(MAX_DIGITS)  # as in the compiler process
    try:
        code, noted = HARNESS.prepare(text, True)
    finally:
        sys.set_int_max_str_digits(4300)
    read = READER.facts(noted.encode("ascii"))
    assert read is not None and (code is None) == ("syntax" in read)
    if code is not None:
        check_result(READER.result("ok", "", read.get("input"), "1", "1", "", False, (0, 0, 0), read))
        assert READER.result("ok", "", None, "1", "1", "", False, (0, 0, 0), read).verdict == "rejected"
    kind_of(text)


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


FACTS = (
    b'{"input":{"n":3,"k":[1]},"rules":{"lines":9,"sites":[["key","n"],["names",{"n":true},false]],"imports":["m"]}}'
)
FACTS_OF = (
    b'{"input":null,"cut":true}', b'{"input":[1,2],"rules":{"lines":9,"sites":[["positions",[true,false],true]]}}',
    b'{"input":null,"rules":{"lines":0,"cut":true}}', b'{"syntax":"1:x"}', b'{"input":{"$dict":[[1,2]]},"rules":null}',
)  # fmt: skip
TAGGED_INPUTS = (
    None,
    "[]",
    "3",
    '{"n":1,"k":2}',
    '{"$dict":[[1,2],["n",3]]}',
    '{"$tuple":[1]}',
    "{}",
    '{"$float":"nan"}',
)
HARNESS = Harness(codec.Encoder(READER.bounds), codec.TooLarge, rules.facts_text, screen.refusal, None, 65_536, 3)


def too_slow(*_) -> None:
    raise TimeoutError("more than a second of CPU time")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")  # of the parser, about mutated texts
    trees, counts, found = Trees(), {}, {}
    mutated_source = functools.partial(source, sources=trees.sources)
    mutated_source.__name__ = "source"
    signal.signal(signal.SIGPROF, too_slow)
    end, number = time.monotonic() + chosen.seconds, 0
    while time.monotonic() < end:
        number += 1
        rng = random.Random(chosen.seed * 1_000_000_007 + number)
        for target in (tagged_text, reply, several, facts, trees.check, mutated_source):
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
