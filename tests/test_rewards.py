"""Rewards, by table: right 1, wrong 0, None where we could not tell; programs on the original and on mutated inputs."""

import asyncio
import threading

import pytest

from caco_recipes import rewards
from caco_recipes.rewards import answer_reward, check_program, program_reward

REFERENCE = """input = {"n": 12, "k": 5}
def solve(n, k):
    total = 0
    for i in range(n):
        total += i * k
    return total
output = solve(**input)
print(output)
"""


@pytest.mark.parametrize(
    ("completion", "gold", "expected"),
    [
        ("So \\boxed{42}.", "42", 1.0),
        ("So \\boxed{42.0}", "42", 1.0),
        ("It is $\\boxed{\\frac{1}{2}}$.", "0.5", 1.0),
        ("\\boxed{43}", "42", 0.0),
        ("\\boxed{1000099}", "1000000", 0.0),  # the reference's grader accepts it
        ("\\boxed{3}", "300", 0.0),
        ("I don't know", "42", 0.0),
        ("", "42", 0.0),
    ],
)
def test_answer_reward(completion, gold, expected):
    assert asyncio.run(answer_reward([completion], answer=[gold])) == [expected]
    turns = [[{"role": "assistant", "content": completion}]]
    assert asyncio.run(answer_reward(turns, answer=[gold])) == [expected]


def test_typed_output_is_used_where_it_is_known():
    assert asyncio.run(answer_reward(["\\boxed{(1, 2)}"], output=['{"$tuple":[1,2]}'])) == [1.0]
    assert asyncio.run(answer_reward(["\\boxed{2}", "\\boxed{1}"], answer=["9", "1"], output=["2", None])) == [
        1.0,
        1.0,
    ]


def test_a_dead_grader_is_none_not_zero(monkeypatch):
    from caco_recipes.verdicts import UNDECIDED, Verdict

    class Dead:
        def grade_many(self, pairs):
            return [Verdict(UNDECIDED, "infrastructure:grader") for _ in pairs]

    monkeypatch.setattr(rewards, "_grader", lambda: Dead())
    logged = {}
    got = asyncio.run(answer_reward(["\\boxed{1}", "nothing"], answer=["1", "1"], log_extra=logged.__setitem__))
    assert got == [None, 0.0]
    assert logged == {"answer_reason": ["infrastructure:grader", "no_answer"]}


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        ("\\boxed{1}\nProblem 2: \\boxed{2}", 1.0),
        ("\\boxed{1}\nProblem 2: \\boxed{3}", 0.0),
        ("\\boxed{5}\nProblem 2: \\boxed{2}", 0.0),
        ("\\boxed{1} \\boxed{2}", 0.0),  # no heading
    ],
)
def test_paired_variants_must_both_be_right(completion, expected):
    assert asyncio.run(answer_reward([completion], answer=[["1", "2"]])) == [expected]


def test_no_gold_is_an_error():
    with pytest.raises(ValueError, match="answer or output"):
        asyncio.run(answer_reward(["x"]))


def fenced(code: str) -> str:
    return f"Here it is:\n```python\n{code}```\n"


@pytest.mark.parametrize(
    ("program", "expected", "reason"),
    [
        (REFERENCE, 1.0, ""),
        # another way to the same values
        (
            REFERENCE.replace(
                "    total = 0\n    for i in range(n):\n        total += i * k\n    return total",
                "    return k * n * (n - 1) // 2",
            ),
            1.0,
            "",
        ),
        # right on the original, wrong elsewhere: the literal answer
        (REFERENCE.replace("return total", "return 330"), 0.0, "answer_mismatch"),
        (REFERENCE.replace("return total", "return 330 if (n, k) == (12, 5) else total + 1"), 0.0, "answer_mismatch"),
        (REFERENCE.replace("i * k", "i * 5"), 0.0, "answer_mismatch"),  # doesn't depend on k
        (REFERENCE.replace("total += i * k", "total += i * m"), 0.0, "exception:NameError"),
        (
            REFERENCE.replace('"k": 5', '"j": 5').replace("(n, k)", "(n, j)").replace("* k", "* j"),
            0.0,
            "bad_row:input_keys",
        ),
        (
            "import random\n" + REFERENCE.replace("return total", "return total + random.randint(0, 9)"),
            0.0,
            None,
        ),
        ("def solve(:\n", 0.0, "syntax_error"),
        (REFERENCE.replace("total = 0", "total = 0\n    while True: pass"), 0.0, "timeout:cpu"),
    ],
)
def test_program_reward(program, expected, reason):
    value, why = check_program(fenced(program), REFERENCE)
    assert value == expected, why
    if reason is not None:
        assert why == reason


LARGE = """input = {"n": 12}
def is_large(n):
    return n > LIMIT
output = is_large(**input)
print(output)
"""


@pytest.mark.parametrize(
    ("limit", "program", "expected", "reason"),
    [
        (13, "same", 1.0, ""),  # mutations lie on both sides
        (13, "return False", 0.0, "answer_mismatch"),
        (500, "same", None, "bad_row:constant_reference"),
        (500, "return False", None, "bad_row:constant_reference"),
        (500, "return True", 0.0, "answer_mismatch"),
    ],
)
def test_a_literal_answer_is_never_rewarded(limit, program, expected, reason):
    reference = LARGE.replace("LIMIT", str(limit))
    written = reference if program == "same" else reference.replace(f"return n > {limit}", program)
    assert check_program(fenced(written), reference) == (expected, reason)


@pytest.mark.parametrize("reference", [REFERENCE, None])
def test_a_program_that_another_seed_changes_is_nondeterministic(reference):
    # Under the first seed no draw is below 0.2, so it agrees with the reference everywhere; under the second the first is.
    lucky = "import random\nLUCK = random.random() < 0.2\n" + REFERENCE.replace("return total", "return total + LUCK")
    assert check_program(fenced(lucky), reference) == (0.0, "nondeterministic")


def test_a_bad_reference_is_none_not_zero():
    assert check_program(fenced(REFERENCE), "import nothing_like_it\n")[0] is None


def test_a_dead_sandbox_is_none_not_zero(monkeypatch):
    from caco_recipes.sandbox.results import infrastructure

    class Dead:
        def run_one(self, code):
            return infrastructure("closed", "strict", "1")

    monkeypatch.setattr(rewards, "_pool", lambda seed: Dead())
    assert asyncio.run(program_reward([fenced(REFERENCE)], code=[REFERENCE])) == [None]


@pytest.mark.parametrize(
    ("program", "expected", "reason"),
    [
        (REFERENCE, 1.0, ""),
        (REFERENCE.replace("i * k", "i * 5"), 0.0, "insensitive:k"),
        (REFERENCE.replace("return total", "return 330"), 0.0, "insensitive:n"),
        ("print(5)\n", 0.0, "no_input"),
        (REFERENCE.replace("* k", "* k if n > 100 else i"), 0.0, "insensitive:k"),
        (REFERENCE.replace('"k": 5', '"k": "five"').replace("i * k", "i * len(k)"), 1.0, ""),  # a text stays as it is
    ],
)
def test_free_programs_pass_the_gates_alone(program, expected, reason):
    got, why = check_program(fenced(program), None)
    assert why.startswith("insensitive") if reason.startswith("insensitive") else why == reason
    assert got == expected


def test_many_threads_at_once():
    found = []

    def one():
        programs = [fenced(REFERENCE), fenced(REFERENCE.replace("i * k", "i"))]
        found.append(asyncio.run(program_reward(programs, code=[REFERENCE] * 2)))
        found.append(asyncio.run(answer_reward(["\\boxed{1}", "\\boxed{2}"], answer=["1", "1"])))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [[1.0, 0.0]] * 8
