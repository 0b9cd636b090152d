"""The metamorphic stage, through the real runner and the real sandbox: planted faults are caught, good programs stay."""

import contextlib
import json
import os
import signal
import sys
import threading

import pyarrow.parquet as pq
import pytest
from stage_runs import dropped, kept, run_stages, write_json_lines

from caco_recipes import metamorphic, pipeline
from caco_recipes.families.determinism import with_moved_clock
from caco_recipes.metamorphic import Config
from caco_recipes.sandbox import Limits, Pool
from caco_recipes.verdicts import check_reason


def program(function: str, value: str, imports: str = "") -> str:
    return f"{imports}\n{function}\n\ninput = {value}\noutput = f(**input)\nprint(output)\n"


GOOD = {
    "sum": program("def f(a, b):\n    return a + 2 * b", '{"a": 12, "b": 7}'),
    "floor": program("def f(total, size):\n    return total // size", '{"total": 30, "size": 12}'),
    "threshold": program("def f(age):\n    return 'adult' if age >= 65 else 'child'", '{"age": 30}'),
    "maximum": program("def f(a, b, c):\n    return max(a, b, c)", '{"a": 2, "b": 90, "c": 3}'),
    "modulus": program("def f(n):\n    return n % 2 == 0", '{"n": 100}'),
    "choose": program("def f(n, k):\n    return math.comb(n, k)", '{"n": 9, "k": 4}', "import math"),
    "mode": program("def f(x, how):\n    return x + 1 if how == 'up' else x - 1", '{"x": 4, "how": "up"}'),
    "flag": program("def f(x, negate):\n    return -x if negate else x", '{"x": 4, "negate": False}'),
    "list": program("def f(xs):\n    return sorted(xs)[len(xs) // 2]", '{"xs": [3, 9, 4]}'),
    "letters": program("def f(word):\n    return len(set(word))", '{"word": "level"}'),
    "nothing": "def f():\n    return 42\n\ninput = {}\noutput = f(**input)\nprint(output)\n",
    "order": program("def f(names):\n    return sorted(set(names))", '{"names": ["bob", "ann", "eve", "dan"]}'),
    # Below all moves by factors: only past the other input.
    "other_side": program("def f(g, r):\n    return 'g' if g > r else 'r'", '{"g": 25, "r": -40}'),
    # A small part of a sum, lost in rounding until it is some ten thousand times as large.
    "rounded": program("def f(w, n):\n    return round((2 * w + n) / 2250)", '{"w": 1, "n": 4498}'),
    "largest": program("def f(n):\n    return n % 1001", '{"n": 9007199254740991}'),
    "enormous": program("def f(x):\n    return x > 5", '{"x": 1e308}'),
    "seeded": program("def f(n):\n    random.seed(n)\n    return random.randint(0, 99)", '{"n": 7}', "import random"),
}
BAD = {
    "hard_coded": (program("def f(a, b):\n    return 26", '{"a": 12, "b": 7}'), "insensitive:a"),
    "ignored": (program("def f(a, b):\n    return a + 7", '{"a": 12, "b": 7}'), "insensitive:b"),
    "cancelled": (program("def f(a, b):\n    return a + b - b", '{"a": 12, "b": 7}'), "insensitive:b"),
    "random": (program("def f(n):\n    return random.random() * n", '{"n": 3}', "import random"), "nondeterministic"),
    "clock": (program("def f(n):\n    return time.time() + n", '{"n": 3}', "import time"), "nondeterministic"),
    "today": (
        program("def f(born):\n    return date.today().year - born", '{"born": 1990}', "from datetime import date"),
        "nondeterministic",
    ),
    "hash": (program("def f(word):\n    return hash(word) % 1000", '{"word": "level"}'), "nondeterministic"),
    "set_order": (
        program("def f(names):\n    return list(set(names))", '{"names": ["bob", "ann", "eve", "dan", "flo"]}'),
        "nondeterministic",
    ),
    "identity": (program("def f(n):\n    return id(object()) % 10**9 + n", '{"n": 3}'), "nondeterministic"),
    "entropy": (program("def f(n):\n    return os.urandom(n).hex()", '{"n": 3}', "import os"), "nondeterministic"),
    "numpy": (
        program("def f(n):\n    return float(numpy.random.rand()) * n", '{"n": 3}', "import numpy"),
        "nondeterministic",
    ),
    "fragile": (
        program("def f(n, m):\n    return {(91, 57): 3}[n, m]", '{"n": 91, "m": 57}'),
        "fragile:KeyError",
    ),
}


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """The stage's columns by program name."""
    codes = {**GOOD, **{name: code for name, (code, _) in BAD.items()}}
    with Pool(workers=2) as first, Pool(workers=2, seed=1) as second, Pool(workers=2, seed=2) as third:
        return _run(codes, first, [second, third])


def _run(codes, pool, others, config=None, **columns):
    results = list(getattr(pool, "pool", pool).run(codes.values()))
    assert all(result.ok for result in results)
    batch = {"id": list(codes), "code": list(codes.values())}
    batch |= {"input": [r.input for r in results], "output": [r.output for r in results]}
    batch |= {"lineage": [""] * len(codes), "family_id": [""] * len(codes)}
    batch |= {name: [value] * len(codes) for name, value in columns.items()}
    out = metamorphic.run(batch, config or Config(), metamorphic.Resources(pool, others, 42))
    return {name: dict(zip(out, values)) for name, values in zip(codes, zip(*out.values()))}


@pytest.mark.parametrize("name", GOOD)
def test_good_programs_stay(checked, name):
    row = checked[name]
    assert (row["verdict"], row["reason"]) == ("accepted", ""), row
    assert row["family_id"] == name
    if name not in ("nothing", "letters", "order", "largest", "enormous"):  # words have no neighbours, only far moves
        family = json.loads(row["variants"])
        assert 1 <= len(family) <= 8 and row["neighbours"] >= len(family)
    if name != "nothing":
        assert row["sensitive_inputs"] and not row["insensitive_inputs"]


@pytest.mark.parametrize("name", BAD)
def test_planted_faults_are_caught(checked, name):
    row, (_, reason) = checked[name], BAD[name]
    assert row["verdict"] == "rejected"
    assert row["reason"] == reason and check_reason(row["reason"])


def test_a_family_has_the_programs_own_outputs(checked):
    for one in json.loads(checked["sum"]["variants"]):
        value = json.loads(one["input"])
        assert json.loads(one["output"]) == value["a"] + 2 * value["b"] == int(one["output_text"])
        assert one["fits"] is True
    repeated = json.loads(checked["sum"]["determinism"])
    assert repeated == {"clock_days": 433, "runs": 2, "same": True, "seeds": [1, 2]}
    assert json.loads(checked["random"]["determinism"])["same"] is False


def test_the_clock_moves_only_where_it_is_asked_for():
    assert with_moved_clock(GOOD["sum"]) == GOOD["sum"]
    code = "from __future__ import annotations\nimport datetime\ninput = {}\noutput = str(datetime.date.today())\n"
    with Pool(workers=1) as pool:
        now, later = pool.run([code, with_moved_clock(code)])
    assert now.ok and later.ok and now.output != later.output


UNSTATED = program("def f(apples, unit):\n    return apples * 2", '{"apples": 12, "unit": 100}')


@pytest.mark.parametrize(
    ("problem", "config", "reason"),
    [
        ("Twice 12 apples?", {}, ""),  # nobody said 100
        ("Twice 12 apples of 100?", {}, "insensitive:unit"),
        ("", {}, "insensitive:unit"),  # no problem yet: every input would be told
        ("", {"ignored": "all"}, ""),
        ("", {"sensitivity": False}, ""),
    ],
)
def test_only_what_the_problem_states_counts(problem, config, reason):
    with Pool(workers=1) as pool:
        row = _run({"x": UNSTATED}, pool, [], Config(reruns=0, **config), problem=problem)["x"]
    assert row["reason"] == reason
    assert row["determinism"] == ""


class Broken:
    """A sandbox that fails from a given call on, or only until another one: the machinery, not the program."""

    workers = 1

    def __init__(self, pool, after, until=None):
        self.pool, self.after, self.until, self.calls = pool, after, until, 0

    def _fault(self, result):
        from dataclasses import replace

        return replace(result, status="infrastructure", reason="infrastructure:gone", verdict="undecided", output=None)

    def run(self, codes):
        return iter([self._fault(result) for result in self.pool.run(codes)])

    def run_variants(self, code, inputs, **limits):
        self.calls += 1
        results = self.pool.run_variants(code, inputs, **limits)
        fine = self.calls <= self.after or (self.until is not None and self.calls > self.until)
        return results if fine else [self._fault(result) for result in results]


def test_faults_of_the_machinery_reject_nothing():
    codes = {"good": GOOD["sum"], "bad": BAD["hard_coded"][0]}
    with Pool(workers=1) as pool:
        for sandbox, others in (
            (Broken(pool, 0), []),
            (Broken(pool, 1), []),
            (Broken(pool, 2), []),
            (pool, [Broken(pool, 0)]),
            (pool, [pool, Broken(pool, 0)]),
        ):
            batch = {"id": list(codes), "code": list(codes.values()), "lineage": ["", ""]}
            batch |= {"input": ['{"a":12,"b":7}'] * 2, "output": ["26"] * 2}
            out = metamorphic.run(batch, Config(), metamorphic.Resources(sandbox, others, 42))
            assert "rejected" not in out["verdict"]
            assert out["reason"].count("infrastructure:gone") >= 1


# Without its source nobody finds the word that makes a difference.
WORD = program("def f(n, how):\n    return n + (how == 'zigzag')", '{"n": 4, "how": "straight"}')


def test_a_source_that_could_not_be_read_leaves_a_row_undecided():
    with Pool(workers=1) as pool:
        assert _run({"word": WORD}, pool, [], Config(reruns=0))["word"]["verdict"] == "accepted"
        row = _run({"word": WORD}, Broken(pool, 0, until=1), [], Config(reruns=0))["word"]
        assert (row["verdict"], row["reason"]) == ("undecided", "infrastructure:gone")


class Killer(threading.Thread):
    """Kills fork servers of `pools` in the middle of their work: `most` of them, or all until it is stopped."""

    def __init__(self, pools, most=None):
        super().__init__(daemon=True)
        self.pools, self.most, self.kills, self.over = pools, most, 0, threading.Event()

    def run(self):
        while not self.over.wait(0.001) and self.kills != self.most:
            for pool in self.pools:
                groups = list(pool._coordinator.workers.values())
                for worker in [one for group in groups for one in list(group) if one.jobs]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(worker.process.pid, signal.SIGKILL)
                        self.kills += 1
                    if self.kills == self.most:
                        return

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


@pytest.mark.skipif(sys.platform != "linux", reason="kills processes by their number")
@pytest.mark.parametrize("kills", [2, None])
def test_killed_servers_reject_no_good_row_and_accept_no_bad_one(kills):
    """A few lost servers change nothing; one that is lost again and again leaves rows undecided, never decided else."""
    codes = {f"good {n}": GOOD["sum"].replace("2 *", f"{n + 2} *") for n in range(6)}
    codes |= {f"bad {n}": BAD["ignored"][0].replace("+ 7", f"+ {n + 7}") for n in range(6)}
    codes |= {"word": WORD, "random": BAD["random"][0], "hash": BAD["hash"][0]}
    with Pool(workers=2) as first, Pool(workers=2, seed=1) as second, Pool(workers=2, seed=2) as third:
        results = list(first.run(codes.values()))
        batch = {"id": list(codes), "code": list(codes.values()), "lineage": [""] * len(codes)}
        batch |= {"input": [result.input for result in results], "output": [result.output for result in results]}
        resources = metamorphic.Resources(first, [second, third], 42)
        calm = metamorphic.run(batch, Config(), resources)
        assert {name: calm["verdict"][place] for place, name in enumerate(codes)} == {
            name: "accepted" if name.startswith(("good", "word")) else "rejected" for name in codes
        }
        with Killer([first, second, third], kills) as killer:
            shaken = metamorphic.run(batch, Config(), resources)
        assert killer.kills == kills or (kills is None and killer.kills > 4)
        assert sum(pool.restarts for pool in resources.others) + first.restarts > 0
    undecided = [place for place, verdict in enumerate(shaken["verdict"]) if verdict == "undecided"]
    assert all(shaken["reason"][place].startswith("infrastructure:") for place in undecided)
    assert bool(undecided) == (kills is None)
    for place in set(range(len(codes))) - set(undecided):
        assert {name: column[place] for name, column in shaken.items()} == {
            name: column[place] for name, column in calm.items()
        }


def test_a_limit_that_only_the_repeated_run_hits_leaves_it_open():
    slow = "import time\nx = 0\nfor i in range(10**7):\n    x += i\ninput = {'n': 3}\noutput = x\nprint(output)\n"
    with Pool(workers=1, limits=Limits(cpu_seconds=0.05, slow_cpu_seconds=None)) as hasty:
        from caco_recipes.families.determinism import repeats

        (one,) = repeats([hasty], [slow], ["49999995000000"])
        assert (one.verdict, one.reason) == ("undecided", "timeout:cpu")


# Most moves of `k` change nothing at once, those that matter take their time.
LATE = program("def f(n, k):\n    return n + (sum(range(10**7)) if k > 99 else 0)", '{"n": 12, "k": 5}')
SLOW = program("def f(n):\n    return n + sum(range(10**7))", '{"n": 12}')


def test_the_short_limit_alone_rejects_nothing():
    with Pool(workers=1) as pool:
        row = _run({"late": LATE}, pool, [], Config(reruns=0, variant_cpu_seconds=0.02))["late"]
        assert (row["verdict"], row["sensitive_inputs"]) == ("accepted", ["n", "k"])
        row = _run({"late": LATE}, pool, [], Config(reruns=0, variant_cpu_seconds=0.02, cpu_seconds=0.02))["late"]
        assert row["reason"] == "insensitive:k"  # nothing is left to look longer with
        row = _run({"slow": SLOW}, pool, [], Config(reruns=0, variant_cpu_seconds=0.02, variants=2))["slow"]
        assert row["verdict"] == "accepted" and len(json.loads(row["variants"])) == 2


def test_a_computed_input_is_repeated_as_it_is_written():
    """Handed in, the recorded value would hide that another run draws another one."""
    drawn = "import random\ninput = {'n': random.randint(0, 10**6)}\noutput = input['n'] + 1\nprint(output)\n"
    with Pool(workers=1) as first, Pool(workers=1, seed=1) as second:
        row = _run({"drawn": drawn}, first, [second], Config(reruns=1))["drawn"]
        assert (row["verdict"], row["reason"]) == ("rejected", "nondeterministic")


# ------------------------------------------------------------------------------------------------ the step


def test_a_step_of_a_recipe(tmp_path):
    answers = {"sum": "26", "hard_coded": "26", "modulus": "True"}
    codes = {"sum": GOOD["sum"], "hard_coded": BAD["hard_coded"][0], "modulus": GOOD["modulus"]}
    rows = [
        {
            "problem": f"{name}: 12 and 7, or 100?",
            "answer": answers[name],
            "program": code,
            "source": "t",
            "licence": "MIT",
        }
        for name, code in codes.items()
    ]
    path = write_json_lines(tmp_path / "seeds.jsonl", rows)
    stages = {
        "seeds": {"sources": [{"path": str(path)}]},
        "unify": {"method": "mechanical"},
        "execute": {"rules": "none"},
        "metamorphic": {"reruns": 1},
    }
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    one = run_stages(tmp_path / "a", stages)
    many = run_stages(tmp_path / "b", stages, shard_rows=1, workers=2)
    assert [row["reason"] for row in dropped(one, "metamorphic")] == ["insensitive:a"]
    assert len(kept(one, "metamorphic")) == 2
    assert kept(one, "metamorphic") == kept(many, "metamorphic")
    assert dropped(one, "metamorphic") == dropped(many, "metamorphic")
    assert pq.read_table(one.step_folder("metamorphic").part(0)).num_rows == 2
    before = one.step_folder("metamorphic").manifest()
    pipeline.run_steps(one)
    assert one.step_folder("metamorphic").manifest() == before

    from caco_recipes.why import story

    told = story(one.folder, dropped(one, "metamorphic")[0]["id"])
    assert "metamorphic (version 2)  -> rejected insensitive:a" in told and 'insensitive ["a", "b"]' in told


def test_a_wrong_key_is_answered(tmp_path):
    with pytest.raises(ValueError, match="reruns"):
        Config(reruns=-1)
    with pytest.raises(ValueError, match="share"):
        Config(max_crash_share=2)
