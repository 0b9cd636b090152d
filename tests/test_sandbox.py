"""The pool: results, order, limits, lanes, variants, sharing, threads, `async`, other processes."""

import asyncio
import itertools
import os
import pickle
import subprocess
import sys
import threading
import time

import pytest

from caco_recipes.sandbox import ENGINE_VERSION, IsolationError, Limits, Pool, Result, ShareMismatch, probe
from caco_recipes.sandbox.codec import decode
from caco_recipes.sandbox.levels import why_not
from caco_recipes.verdicts import check_reason

PROGRAM = """input = {{"n": {n}, "k": 2}}

def solve(n, k):
    total = 0
    for step in range(k):
        total += n
    return total

output = solve(**input)
print("answer:", output)
"""

pytestmark = pytest.mark.skipif(
    sys.platform == "linux" and bool(why_not("basic")), reason="no isolation is to be had here"
)


@pytest.fixture(scope="module")
def pool():
    with Pool(2, Limits(slow_cpu_seconds=None), rules="caco") as pool:
        yield pool


def test_a_result_says_everything(pool):
    result = pool.run_one(PROGRAM.format(n=21))
    assert result == Result(
        status="ok", reason="", verdict="accepted", input='{"n":21,"k":2}', output="42", output_text="42",
        output_source="variable", stdout="answer: 42\n", isolation=pool.isolation, engine_version=ENGINE_VERSION,
        code_lines=8, cpu_seconds=result.cpu_seconds, wall_seconds=result.wall_seconds,
        peak_memory_mb=result.peak_memory_mb,
    )  # fmt: skip
    assert 0 < result.cpu_seconds < 1 and 0 < result.wall_seconds < 30


MANY_FLAGS = f"""def f({", ".join(f"p{n}" for n in range(3000))}):
    return p1
input = {{"n": 1, "spare": 2}}
n = input["n"]
if n > 1:
    n = [{", ".join(f"f({'1, ' * before}*input.values())" for before in range(20))}]
output = n
"""
LONG_KEY = f"""input = {{"n": 1, "spare": 2}}
n = input["n"]
if n > 1:
    n = input["{chr(0x1F600) * 40_000}"]
x = 1
output = n
"""


@pytest.mark.parametrize("isolation", ["strict", "basic"])
@pytest.mark.parametrize("code", [MANY_FLAGS, LONG_KEY], ids=["flags", "key"])
def test_a_program_whose_facts_are_cut_passes_no_rule(code, isolation):
    if why_not(isolation):
        pytest.skip(why_not(isolation))
    with Pool(1, Limits(slow_cpu_seconds=None), isolation, rules="caco") as pool:
        results = [*pool.run([code, PROGRAM.format(n=1)]), *pool.run_variants(code, ['{"n":1}', '{"n":0}'])]
    told = [(r.status, r.verdict, r.reason) for r in results]
    assert told[0] == told[2] == told[3] == ("ok", "rejected", "too_large:facts")
    assert told[1] == ("ok", "accepted", "")
    with Pool(1, Limits(slow_cpu_seconds=None), isolation, rules="caco", share=3, share_audit=1.0) as pool:
        assert [r.reason for r in pool.run([PROGRAM.format(n=1), code, PROGRAM.format(n=2)])] == [
            "",
            "too_large:facts",
            "",
        ]
    with Pool(1, Limits(slow_cpu_seconds=None), isolation) as pool:
        assert pool.run_one(code).verdict == "accepted"


def test_each_of_a_thousand_uses_counts(pool):
    keys = [f"k{n}" for n in range(1000)]
    code = f"input = {dict.fromkeys([*keys, 'spare'], 1)}\noutput = 0\n"
    code += "".join(f"output += input['{key}']\n" for key in keys)
    result = pool.run_one(code)
    assert (result.output, result.unused, result.reason) == ("1000", ("spare",), "unused_input:spare")


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("x = (1", "error", "syntax_error"),
        ("\n\n1/0", "error", "exception:ZeroDivisionError"),
        ("while True: pass", "timeout", "timeout:cpu"),
        ("x = [0] * 10**10", "memory", "memory"),
        ("print('x' * 5_000_000)", "output_limit", "output_limit:stdout"),
        ("output = list(range(10**5))", "output_limit", "output_limit:items"),
        ("output = 10**20_001", "output_limit", "output_limit:digits"),
        ("import socket\nsocket.create_connection(('127.0.0.1', 1))", "denied", "denied:network"),
        ("open('/tmp/caco_hostile_x', 'w')", "denied", "denied:file"),
        ("import subprocess\nsubprocess.run(['id'])", "denied", "denied:"),
        ("import sys\nsys.exit(3)", "error", "exception:SystemExit"),
        ("import os\nos._exit(0)", "error", "exception:exit"),
        ("import ctypes\nctypes.string_at(0)", "error", "exception:SIGSEGV"),
        ("x = '" + "x" * 70_000 + "'", "output_limit", "output_limit:source"),
    ],
)
def test_statuses_and_reasons(pool, code, status, reason):
    result = pool.run_one(code)
    if status == "denied" and result.status == "error":
        assert result.exception_type == "FileNotFoundError"  # at strict there is no such place at all
        return
    assert (result.status, result.verdict) == (status, "rejected")
    assert result.reason.startswith(reason)
    check_reason(result.reason)


def test_where_an_exception_happened(pool):
    result = pool.run_one("def f(x):\n    return 1 / x\n\n\nf(0)\n")
    assert (result.exception_type, result.exception_line) == ("ZeroDivisionError", 2)
    assert result.exception_message == "division by zero"
    assert pool.run_one("a = 1\nb = = 2\n").exception_line == 2


def test_output_falls_back_to_the_last_line_printed(pool):
    result = pool.run_one("print('first')\nprint('  7 ')\nprint()\n")
    assert (result.output, result.output_text, result.output_source) == ('"7"', "7", "stdout")
    assert pool.run_one("x = 1").output is None


def test_exit_at_the_end_is_no_error(pool):
    assert pool.run_one("output = 1\nimport sys\nsys.exit(0)\n").status == "ok"
    assert pool.run_one("output = 1\nimport sys\nsys.exit(1)\n").status == "error"


def test_input_is_recorded_as_written(pool):
    for code in (
        "input = {'n': [1]}\ninput['n'].append(2)\ninput['m'] = 1\noutput = 1",
        "import math\ninput = dict(n=[1])\ninput['n'].append(2)\noutput = 1",
        "if __name__ == '__main__':\n    input = {'n': [1]}\n    input.clear()\n    output = 1",
    ):
        assert pool.run_one(code).input == '{"n":[1]}'


def test_stdout_is_cut_and_says_so(pool):
    result = pool.run_one("print('é' * 50_000)\noutput = 1")
    assert result.ok and result.stdout_truncated and len(result.stdout.encode()) <= 64 * 1024 + 3


def test_everything_that_changes_results_is_pinned(pool):
    code = (
        "import random, time, decimal, sys\n"
        "def depth(n):\n    try:\n        return depth(n + 1)\n    except RecursionError:\n        return n\n"
        "output = [hash('a'), random.random(), time.tzname[0], decimal.getcontext().prec, depth(1)]\n"
    )
    first, second = pool.run_one(code), pool.run_one(code)
    assert first.output == second.output
    assert decode(first.output)[2:4] == ["UTC", 28]
    alone = subprocess.run(
        [sys.executable, "-c", code + "print(output[4])"], capture_output=True, text=True, check=True
    )
    assert decode(first.output)[4] == int(alone.stdout)
    with Pool(1, seed=7, isolation=pool.isolation) as other:
        assert decode(other.run_one(code).output)[:2] != decode(first.output)[:2]


def test_programs_share_nothing(pool):
    spoil = "import math, builtins\nmath.pi = 3\nbuiltins.len = None\noutput = 1"
    results = list(pool.run([spoil, "import math\noutput = [math.pi > 3.1, len('ab')]"] * 5))
    assert {result.output for result in results[1::2]} == {"[true,2]"}


def test_results_come_in_order_and_as_completed(pool):
    codes = [PROGRAM.format(n=n) for n in range(60)]
    codes[3] = "while True: pass"
    assert [r.output for i, r in enumerate(pool.run(codes)) if i != 3] == [str(2 * n) for n in range(60) if n != 3]
    order = [index for index, _ in pool.run_unordered(codes)]
    assert sorted(order) == list(range(60)) and order.index(3) > 40


def test_an_endless_iterable_is_read_with_restraint(pool):
    taken = itertools.count()
    endless = (PROGRAM.format(n=next(taken)) for _ in itertools.count())
    first = list(itertools.islice(pool.run(endless), 20))
    assert [r.output for r in first] == [str(2 * n) for n in range(20)]
    assert next(taken) < 600


def test_slow_lane_gives_more_time_at_the_end():
    slow = "n = 0\nwhile n < 10**9:\n    n += 1\n    if n == 6 * 10**6:\n        break\noutput = n"
    limits = Limits(cpu_seconds=0.2, slow_cpu_seconds=20.0)
    with Pool(1, limits) as pool:
        order = [(index, result) for index, result in pool.run_unordered([slow] + [PROGRAM.format(n=1)] * 30)]
    assert order[-1][0] == 0 and order[-1][1].ok and order[-1][1].output == "6000000"


def test_cpu_time_decides_not_the_wall():
    """Sixteen times more workers than cores lose no good program."""
    busy = "n = 0\nfor i in range(2 * 10**6):\n    n += i\noutput = n"
    with Pool(16 * (os.cpu_count() or 1), Limits(cpu_seconds=2.0, slow_cpu_seconds=None)) as pool:
        results = list(pool.run([busy] * 64))
    assert [r.status for r in results] == ["ok"] * 64


def test_futures_threads_and_async(pool):
    seen: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: seen.append(pool.submit(PROGRAM.format(n=n)).result().output))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, seen)) == [2 * n for n in range(8)]

    async def many():
        return await asyncio.gather(*(asyncio.wrap_future(pool.submit(PROGRAM.format(n=n))) for n in range(200)))

    assert [r.output for r in asyncio.run(many())] == [str(2 * n) for n in range(200)]
    cancelled = pool.submit(PROGRAM.format(n=1))
    cancelled.cancel()
    assert pool.run_one(PROGRAM.format(n=1)).ok


def test_variants_of_one_program(pool):
    results = pool.run_variants(PROGRAM.format(n=1), [f'{{"n":{n},"k":3}}' for n in range(500)])
    assert [r.output for r in results] == [str(3 * n) for n in range(500)]
    assert results[7].input == '{"n":7,"k":3}' and results[7].stdout == "answer: 21\n"
    mixed = "input = {'n': 1}\nimport os, time\nn = input['n']\nif n == 1:\n    1/0\nif n == 2:\n    os._exit(3)\nif n == 3:\n    while True: pass\noutput = n"
    results = pool.run_variants(mixed, [f'{{"n":{n}}}' for n in range(6)])
    assert [r.reason for r in results[1:4]] == ["exception:ZeroDivisionError", "exception:exit", "timeout:cpu"]
    assert [r.output for r in results[:1] + results[4:]] == ["0", "4", "5"]
    assert {r.reason for r in pool.run_variants("x = (", ["1", "2"])} == {"syntax_error"}
    assert pool.run_variants(mixed, []) == []


def test_a_pool_travels_as_its_configuration(pool):
    with pickle.loads(pickle.dumps(pool)) as copy:
        assert copy.run_one(PROGRAM.format(n=4)).output == "8"
        assert (copy.workers, copy.rules) == (pool.workers, pool.rules)


def test_inside_dataset_map_workers(pool, tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_dict({"code": [PROGRAM.format(n=n) for n in range(40)]})

    def execute(batch):
        return {"output": [r.output for r in pool.run(batch["code"])]}

    done = rows.map(execute, batched=True, batch_size=10, num_proc=2, new_fingerprint="sandbox-test-1")
    assert done["output"] == [str(2 * n) for n in range(40)]
    assert pool.run_one(PROGRAM.format(n=1)).ok  # the parent's own servers are as they were


@pytest.mark.slow  # starting Ray takes several seconds
def test_inside_a_ray_task(root):
    ray = pytest.importorskip("ray", reason="ray is an extra of its own")
    ray.init(num_cpus=2, include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": str(root)}})
    try:

        @ray.remote
        def execute(first: int) -> list:
            from caco_recipes.sandbox import Pool

            with Pool(1) as pool:
                return [(r.status, r.output) for r in pool.run([PROGRAM.format(n=first + n) for n in range(5)])]

        parts = ray.get([execute.remote(0), execute.remote(5)], timeout=600)
    finally:
        ray.shutdown()
    assert [row for part in parts for row in part] == [("ok", str(2 * n)) for n in range(10)]


def test_share_gives_the_same_results(pool):
    codes = [PROGRAM.format(n=n) for n in range(50)]
    codes[5], codes[9], codes[20] = "1/0", "import os\noutput = len(os.environ)", "while True: pass"
    codes[30] = "import math\nmath.pi = 3\noutput = math.pi"
    with Pool(2, pool.limits, rules="caco", share=10, share_audit=0.3) as shared:
        together = list(shared.run(codes))
    alone = list(pool.run(codes))
    for one, other in zip(together, alone):
        for name in ("status", "reason", "input", "output", "output_text", "stdout", "unused", "exception_line"):
            assert getattr(one, name) == getattr(other, name), name


def test_a_difference_found_by_the_audit_stops_the_run(monkeypatch):
    from caco_recipes.sandbox.outcome import Reader

    plain = Reader.single
    monkeypatch.setattr(Reader, "single", lambda *a: __import__("dataclasses").replace(plain(*a), output='"other"'))
    with Pool(1, share=4, share_audit=1.0) as pool, pytest.raises(ShareMismatch, match="output differs"):
        list(pool.run([PROGRAM.format(n=n) for n in range(8)]))


def test_a_pool_is_up_with_its_first_program():
    with Pool(2) as pool:  # how soon: measured by the benchmark
        assert pool.run_one("import sympy\noutput = sympy.Integer(3)").ok


def test_wrong_use_is_told():
    with pytest.raises(ValueError, match="unknown isolation 'strong'"):
        Pool(1, isolation="strong").start()
    with pytest.raises(ValueError, match="workers"):
        Pool(0)
    with pytest.raises(ValueError, match="slow_cpu_seconds"):
        Limits(cpu_seconds=2.0, slow_cpu_seconds=1.0)
    with pytest.raises(IsolationError, match="below the required 'strict'"):
        Pool(1, isolation="basic", minimum_isolation="strict").start()
    with Pool(1) as pool, pytest.raises(TypeError, match="a program is text"):
        pool.submit(b"x = 1")


def test_probe_names_the_level():
    found = probe()
    assert found.level in ("strict", "standard", "basic", "")
    assert all(found.reasons.values())


def test_warm_up_programs_all_run():
    with Pool(1) as pool:
        for code in ("import sympy, numpy", "import sympy", "import numpy", "x = 1"):
            pool.run_one(code)
        servers = [worker for group in pool._coordinator.workers.values() for worker in group]
    assert len(servers) == 4
    assert [worker.ready["warm_up_faults"] for worker in servers] == [[]] * 4


def test_programs_that_come_while_a_pool_closes_are_answered_or_refused():
    """None of them waits for ever: a thread that hands programs over outlives a Ctrl-C in the main thread."""
    for wait_seconds in (0.0, 0.05, 0.1, 0.2, 0.3):
        pool = Pool(workers=1).start()
        ends = []

        def hand_over(pool=pool, ends=ends):
            try:
                while True:
                    results = pool.run_variants("input = {'a': 1}\noutput = input['a']", ['{"a":2}'])
                    if results[0].reason == "infrastructure:closed":
                        ends.append("answered")
                        return
            except RuntimeError as error:
                ends.append(str(error))

        threads = [threading.Thread(target=hand_over, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(wait_seconds)
        pool.close()
        for thread in threads:
            thread.join(20)
        assert len(ends) == 4 and set(ends) <= {"answered", "this pool is closed"}, ends
