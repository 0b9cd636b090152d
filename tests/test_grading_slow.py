"""The slow tier: real math-verify workers, killed when they hang; threads, async code; and code as answers."""

import asyncio
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from caco_recipes.grading import Grader, grade
from caco_recipes.grading.slow import _Worker
from caco_recipes.verdicts import ACCEPTED, REJECTED, UNDECIDED

UNREAD = (r"\int_0^1 x \, dx", r"\int_{0}^{1} x\,{dx}")  # outside of our own parser


@pytest.fixture(scope="module")
def grader():
    with Grader(workers=2) as grader:
        yield grader.warm()


def test_the_slow_tier_decides_what_the_fast_ones_cannot(grader):
    assert grade(*UNREAD).verdict == UNDECIDED
    equal = grader.grade(*UNREAD)
    assert (equal.verdict, equal.rule) == (ACCEPTED, "math-verify")
    different = grader.grade(UNREAD[0], r"\int_0^2 x\,dx")
    assert (different.verdict, different.reason) == (REJECTED, "answer_mismatch")
    assert grade(*UNREAD, slow=True).verdict == ACCEPTED


def test_what_neither_tier_reads_is_undecided(grader):
    verdict = grader.grade(r"\iint\foo", r"\oint\bar")
    assert verdict.verdict == UNDECIDED and verdict.reason.startswith("infrastructure:")


def test_grade_many_keeps_the_order(grader):
    pairs = [
        ("1", "1"),
        UNREAD,
        ("1", "2"),
        (UNREAD[0], r"\int_0^3 x dx"),
        ("2", "[2]", "program"),
        ("(1, 2)", '{"$tuple":[1,2]}', "typed"),
    ] * 5
    verdicts = [verdict.verdict for verdict in grader.grade_many(iter(pairs))]
    assert verdicts == [ACCEPTED, ACCEPTED, REJECTED, REJECTED, ACCEPTED, ACCEPTED] * 5


def test_a_hanging_pair_is_killed_and_loses_nobody_else(monkeypatch):
    """Workers that hang on one text (a stand-in for math-verify's towers of powers), and do their work on the rest."""
    with Grader(workers=2, timeout=1.0) as grader:
        start = _Worker._start

        def slow_start(worker):
            start(worker)
            compare = worker.process

            class Stdin:
                """Drops the hanging pair on its way, so that the worker never answers it."""

                def write(self, data):
                    return len(data) if b"h_{" in data else compare.stdin.write(data)

                def flush(self):
                    compare.stdin.flush()

                def close(self):
                    compare.stdin.close()

            class Process:
                stdin, stdout, poll, kill, wait, pid = (
                    Stdin(),
                    compare.stdout,
                    compare.poll,
                    compare.kill,
                    compare.wait,
                    compare.pid,
                )

            worker.process = Process()

        monkeypatch.setattr(_Worker, "_start", slow_start)
        grader.warm()
        began = time.monotonic()
        pairs = [(UNREAD[0], rf"\int_0^1 h_{{{i}}} dx") for i in range(4)] + [
            (UNREAD[0], rf"\int_{{0}}^{{1}} x\,dx + {i} - {i}") for i in range(20)
        ]
        verdicts = grader.grade_many(pairs)
        assert [v.reason for v in verdicts[:4]] == ["infrastructure:timeout"] * 4
        assert [v.verdict for v in verdicts[4:]] == [ACCEPTED] * 20
        assert time.monotonic() - began < 60


def test_a_worker_that_dies_is_replaced(grader):
    victims = [worker.process.pid for worker in grader._all if worker.process]
    for pid in victims:
        os.kill(pid, 9)
    assert grader.grade(*UNREAD).verdict in (ACCEPTED, UNDECIDED)
    assert grader.grade(*UNREAD).verdict == ACCEPTED


def test_from_threads(grader):
    with ThreadPoolExecutor(8) as threads:
        verdicts = list(
            threads.map(lambda i: grader.grade(f"{UNREAD[0]} + {i % 3}", f"{UNREAD[1]} + {i % 3}"), range(40))
        )
    assert {verdict.verdict for verdict in verdicts} == {ACCEPTED}


def test_from_async_code(grader):
    async def many():
        return await asyncio.gather(*(asyncio.to_thread(grader.grade, *UNREAD) for _ in range(6)))

    assert {verdict.verdict for verdict in asyncio.run(many())} == {ACCEPTED}


def test_no_process_starts_for_pairs_that_are_decided():
    with Grader() as grader:
        grader.grade_many([("1", "2"), ("x", "y"), ("Monday", "Tuesday")] * 50)
        assert all(worker.process is None for worker in grader._all)


def test_closing_stops_the_workers():
    with Grader() as grader:
        grader.grade(*UNREAD)
        process = grader._all[0].process
    assert process.poll() is not None
    with pytest.raises(ValueError, match="closed"):
        grader.grade(*UNREAD)


@pytest.mark.parametrize("options", [{"workers": 0}, {"timeout": 0}])
def test_bad_options(options):
    with pytest.raises(ValueError):
        Grader(**options)


def test_dual_verification_with_the_slow_tier(grader):
    assert grader.grade_output('{"$sympy":{"str":"sqrt(2)","srepr":""}}', r"\sqrt2").accepted
    assert grader.grade_output("0.5", r"\int_0^1 x\,dx").accepted
    assert grader.grade_output("0.5", r"\int_0^2 x\,dx").verdict == REJECTED


# -- code as an answer ------------------------------------------------------------------------------------------------
PAYLOADS = [
    "__import__('os').system('touch {}')",
    "open('{}', 'w').write('x')",
    "().__class__.__base__.__subclasses__()",
    "getattr(__import__('pathlib').Path('{}'), 'touch')()",
    "(lambda: open('{}', 'w'))()",
    "[open('{}', 'w') for _ in [0]]",
    "exec(\"open('{}','w')\")",
    "eval(compile(\"open('{}','w')\", 'x', 'exec'))",
    "globals()['__builtins__']['open']('{}', 'w')",
    r"\input{{{}}}",
    r"\write18{{touch {}}}",
    "sympy.sympify(\"open('{}','w')\")",
    "{{7*7}} + open('{}','w')",
    "breakpoint()",
    "exit()",
]


def test_code_in_answers_never_runs(grader, tmp_path):
    """Every audited event that running an answer would cause is watched, in this process; the worker has its own refusals."""
    marker = tmp_path / "ran"
    seen = []
    here = threading.get_ident()

    def watch(event, arguments):
        if (
            watching
            and threading.get_ident() == here
            and event in ("exec", "compile", "os.system", "import", "open", "pickle.find_class")
        ):
            seen.append((event, str(arguments)[:80]))

    watching = False
    sys.addaudithook(watch)
    texts = [payload.replace("{}", str(marker)) for payload in PAYLOADS]
    for text in texts:
        grade(text, "0"), grade("0", text)  # what is imported lazily is imported now
    watching = True
    for text in texts:
        for kind in ("answer", "program", "typed"):
            grade("0", text, kind=kind)
            grade(text, "0", kind=kind)
    watching = False
    assert [event for event in seen if "caco_recipes" not in event[1]] == []
    for text in texts:
        for pair in ((text, "0"), ("0", text), (f"$\\frac{{{text}}}{{2}}$", r"\int x dx"), (r"\int x dx", text)):
            assert grader.grade(*pair).verdict != ACCEPTED
    assert not marker.exists()


def test_the_paper_rules_never_run_code(tmp_path):
    from caco_recipes.grading.paper import dart, olympiad, qwen, theoremqa

    marker = tmp_path / "ran"
    for payload in PAYLOADS:
        text = payload.replace("{}", str(marker))
        for gold in ("0", r"\frac{1}{2}", text + " + 1"):
            qwen.equal(text, gold), dart.equal(text, gold), olympiad.judge(text, gold)
            qwen.equal(qwen.extract(f"\\boxed{{{text}}}"), gold)
        theoremqa.judge(text, 1.0, "float")
    assert not marker.exists()
