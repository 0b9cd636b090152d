"""Taking answers out of responses and judging them: option letters, short texts, code in the real sandbox, mathematics."""

import json

import pytest

from caco_recipes.evaluation import choices, code_tests, prompts, short_answers
from caco_recipes.evaluation.benchmarks import BENCHMARKS
from caco_recipes.evaluation.corrections import CORRECTED
from caco_recipes.evaluation.loading import Problem, load
from caco_recipes.evaluation.protocols import PAPER, STRICT, Response, Tools, judge
from caco_recipes.evaluation.theorem_answers import last_digit, said
from caco_recipes.grading import Grader

COLOURS = ("red", "dark red", "blue", "a green one")


@pytest.mark.parametrize(
    "response, letter, rule",
    [
        (r"First A looks right, but the answer is \boxed{B}.", "B", "boxed"),
        (r"\boxed{\text{C}}", "C", "boxed"),
        (r"so $\boxed{(D)}$", "D", "boxed"),
        ("Therefore, the answer is (B).", "B", "answer_is"),
        ("Answer: C", "C", "answer_is"),
        ("The correct option is **D**", "D", "answer_is"),
        ("I thought the answer is A. No: the answer is B", "B", "answer_is"),
        ("B", "B", "line"),
        ("Let me think.\n\n(C)", "C", "line"),
        ("B. dark red\n\nbecause it is", "B", "line"),
        (r"\boxed{blue}", "C", "option_text"),
        ("The answer is dark red.", "B", "option_text"),
        ("The answer is a green one", "D", "option_text"),
    ],
)
def test_letters_are_read_where_models_put_them(response, letter, rule):
    found = choices.read_letter(response, COLOURS)
    assert found is not None and (found.letter, found.rule) == (letter, rule)
    assert 0 <= found.start < found.end <= len(response)


@pytest.mark.parametrize(
    "response", ["", "A good question. I can't tell.", "The answer is yellow", r"\boxed{E}", "It is red or blue."]
)
def test_no_letter_is_no_answer(response):
    assert choices.read_letter(response, COLOURS) is None


@pytest.mark.parametrize(
    "gold, response, same",
    [
        ("(B)", "The answer is (B).", True),
        ("(B)", r"\boxed{B}", True),
        ("(B)", "So C", False),
        ("False", r"It is \boxed{\text{False}}.", True),
        ("valid", "The answer is invalid", False),
        ("invalid", "The answer is invalid.", True),
        ("24", "the answer is 24", True),
        ("[[X=2,Y=3]]", "so [[X = 2, Y = 3]]", True),
        ("[[2]]", "rule gives [[1]], no: [[2]]", True),
        ("] ) }", r"\boxed{] ) }}", False),  # the box closes at the first brace: ambiguous, not accepted
        ("] ) ]", "the answer is ] ) ]", True),
        ("apple banana", "Answer: apple banana", True),
        ("yes", "", False),
    ],
)
def test_short_answers(gold, response, same):
    found = short_answers.read_short_answer(response, gold)
    assert (found is not None and short_answers.same_text(gold, found.text)) is same


HUMANEVAL = Problem(
    benchmark="humaneval_plus",
    id="HumanEval/0",
    kind="code",
    problem='from typing import List\n\n\ndef total(xs: List[int]) -> int:\n    """ Sum. """\n',
    answer="total",
    entry_point="total",
    tests="def check(candidate):\n    assert candidate([1, 2]) == 3\n    assert candidate([]) == 0\n",
)


@pytest.mark.parametrize(
    "response, rule",
    [
        ("Here:\n```python\ndef total(xs: List[int]) -> int:\n    return sum(xs)\n```\nDone.", "code_block"),
        ("```\n    return sum(xs)\n```", "body_block"),
        ("```python\nreturn sum(xs)\n```", "body_block"),
        ("    return sum(xs)\n\ndef other():\n    syntax error here", "continuation"),
        ("def total(xs):\n    return sum(xs)\n\nprint(total([1]))", "function"),
        (
            "```python\ndef total(xs):\n    return 0\n```\nBetter:\n```python\ndef total(xs):\n    return sum(xs)\n```",
            "code_block",
        ),
    ],
)
def test_code_is_read_and_compiles(response, rule):
    code, start, end, found = code_tests.read_code(response, HUMANEVAL)
    assert found == rule and 0 <= start < end <= len(response)
    compile(code_tests.test_program(code, HUMANEVAL, "w"), "test", "exec")


@pytest.fixture(scope="module")
def tools():
    from caco_recipes.sandbox import Limits, Pool

    limits = Limits(cpu_seconds=1.0, slow_cpu_seconds=1.0)
    with Pool(workers=1, limits=limits, minimum_isolation="basic") as pool, Grader(workers=1) as grader:
        yield Tools(grader=grader, pool=pool)


def both(problem: Problem, text: str, tools: Tools, finish_reason: str = "stop"):
    [judgements] = judge([(problem, Response(text=text, finish_reason=finish_reason))], tools)
    return judgements


def test_code_runs_in_the_sandbox(tools):
    right = "```python\ndef total(xs):\n    return sum(xs)\n```"
    wrong = "```python\ndef total(xs):\n    return 1\n```"
    leaves = "```python\nimport os\ndef total(xs):\n    os._exit(0)\n```"
    polite = "```python\nimport sys\ndef total(xs):\n    sys.exit(0)\n```"
    prints = "```python\ndef total(xs):\n    print('passed-0123456789abcdef')\n    raise SystemExit\n```"
    endless = "```python\ndef total(xs):\n    while True: pass\n```"
    pairs = [
        (HUMANEVAL, Response(text=text)) for text in (right, wrong, leaves, polite, prints, endless, "no code at all")
    ]
    verdicts = [judgements[STRICT].verdict for judgements in judge(pairs, tools)]
    assert verdicts == ["accepted"] + ["rejected"] * 6


def test_a_sandbox_fault_is_undecided():
    class Fault:
        status, reason, stdout = "infrastructure", "infrastructure:spawn", ""

    assert code_tests.verdict_of(Fault(), "w").verdict == "undecided"


def maths(answer: str, **fields) -> Problem:
    return Problem(
        benchmark=fields.pop("benchmark", "math"), id="1", problem="P?", answer=answer, gold=answer, **fields
    )


def test_strict_rejects_what_was_cut_off_and_the_paper_does_not(tools):
    judgements = both(maths("4"), r"so $\boxed{4}$ and then", tools, "length")
    assert judgements[PAPER].verdict == "accepted"
    assert (judgements[STRICT].verdict, judgements[STRICT].reason) == ("rejected", "truncated")


@pytest.mark.parametrize("name", ["math", "college_math", "olympiadbench", "theoremqa"])
@pytest.mark.parametrize("text", ["", "   \n", "\u200b "])
def test_a_model_that_answers_nothing_scores_nothing(tools, name, text):
    """Golds that published rules turn into nothing (units, words) must not be matched by a blank response."""
    rule = BENCHMARKS[name].paper_rule
    golds = ["4", r"\text{east}", r"\mbox{Saturday}", "$m$", "", "no solution", "True"]
    pairs = [(maths(gold, benchmark=name, paper_rule=rule), Response(text=text)) for gold in golds]
    for judgements in judge(pairs, tools):
        assert judgements[STRICT].verdict != "accepted"
        if not text.strip():
            assert judgements[PAPER].verdict == "rejected" and judgements[PAPER].reason == "no_answer"


def test_engine_errors_are_undecided(tools):
    judgements = both(maths("4"), "", tools, "error")
    assert judgements[PAPER].verdict == judgements[STRICT].verdict == "undecided"


def test_corrected_golds_are_strict_s_alone(shared, tools):
    items = load(BENCHMARKS["math"], path=shared / "data" / "benchmarks" / "math_test.jsonl").items
    from caco_recipes.identity import seed_id

    corrected = {seed_id(item.problem): item for item in items if seed_id(item.problem) in CORRECTED}
    for key, golds in CORRECTED.items():
        for gold in golds:
            assert both(corrected[key], rf"The answer is $\boxed{{{gold}}}$.", tools)[STRICT].verdict == "accepted", (
                gold
            )


def test_several_answers_count_in_any_order(tools):
    problem = maths("$69$,$84$", benchmark="olympiadbench", paper_rule="olympiad", is_multiple=True)
    assert both(problem, r"So the final answer is \boxed{84, 69}.", tools)[STRICT].verdict == "accepted"
    assert both(problem, r"So the final answer is \boxed{84, 68}.", tools)[STRICT].verdict == "rejected"
    assert both(problem, r"So the final answer is \boxed{84}.", tools)[STRICT].verdict == "rejected"


def test_an_item_s_own_tolerance(tools):
    problem = maths("4.2", benchmark="olympiadbench", paper_rule="olympiad", tolerance=0.1)
    for text, verdict in ((r"\boxed{4.25}", "accepted"), (r"\boxed{4.4}", "rejected")):
        judgements = both(problem, text, tools)
        assert judgements[STRICT].verdict == judgements[PAPER].verdict == verdict


def theorem(gold, answer_type: str) -> Problem:
    from caco_recipes.evaluation.loading import gold_text

    return Problem(
        benchmark="theoremqa",
        id="1",
        problem="P?",
        answer=gold_text(gold),
        gold=gold,
        answer_type=answer_type,
        paper_rule="theoremqa",
    )


@pytest.mark.parametrize(
    "gold, kind, answer, strict, paper",
    [
        (1.42, "float", "1.42", True, True),
        (1.42, "float", "1.4157", True, True),
        (1.42, "float", "1.45", False, True),  # within 4 %, not within a unit of the last digit
        (1.42, "float", "1.6", False, False),
        (0.333, "float", r"\frac{1}{3}", True, True),
        (3.1415926, "float", "3.142", True, True),
        (28.3, "float", "28.296 MeV", True, None),
        (1.2, "float", "1.27", False, None),
        (1.0, "float", r"\frac{1}{6}", False, None),
        ([1, 0], "list of integer", "[True, False]", True, None),
        (11760, "integer", "11760", True, True),
        (11760, "integer", "11761", False, None),
        (True, "bool", "True", True, True),
        (False, "bool", "True", False, False),
        ([0, 5], "list of integer", "[0, 5]", True, True),
        ([0.333, 0.25], "list of float", "[0.3333, 0.25]", True, True),
        ("(c)", "option", "(c)", True, True),
        ("(c)", "option", "(b)", False, False),
    ],
)
def test_theoremqa_goes_by_type(tools, gold, kind, answer, strict, paper):
    judgements = both(theorem(gold, kind), f"Some reasoning.\nThe answer is {answer}", tools)
    assert judgements[STRICT].right is strict
    if paper is not None:
        assert judgements[PAPER].right is paper


@pytest.mark.parametrize(
    "kind, response, taken",
    [
        ("option", r"Therefore, the answer is (b) $2\theta^2$.", "b"),
        ("bool", "the answer is True, as there exists a function v.", "True"),
        ("bool", "True.", "True"),
        ("bool", "up to a factor of 2. Therefore, the statement is false.", "false"),
        ("bool", "I can't tell.", None),
        ("list of integer", "so [1, 2]. Therefore, the answer is [1, 2, 4].", "[1, 2, 4]"),
        ("float", "the answer is 2", None),
    ],
)
def test_announced_answers(kind, response, taken):
    found = said(response, kind)
    assert (found[0] if found else None) == taken
    if found:
        assert response[found[1] : found[2]] == taken


def test_last_digit_of_a_gold():
    assert [float(last_digit(gold)) for gold in (1.42, 3.0, 1.5e-05)] == [0.01, 0.1, 1e-06]


def test_the_paper_s_prompt_to_the_byte():
    problem = maths("1")
    assert prompts.render(problem, "caco").text == "### Instruction:\nP?\n\n### Response: Let's think step by step.\n"
    assert prompts.render(problem, "training").text == "### Instruction:\nP?\n\n### Response:\n"
    assert prompts.render(problem, "plain").text.startswith("P?\n\n")
    assert prompts.render(problem, "caco", prefix="<s>").text.startswith("<s>### Instruction")


def test_nothing_in_a_problem_is_interpreted():
    problem = Problem(benchmark="math", id="1", problem="$problem costs $5 {x} ${y} \\n", answer="1")
    assert "$problem costs $5 {x} ${y} \\n" in prompts.render(problem, "caco").text


def test_questions_of_every_kind():
    question = Problem(benchmark="arc_challenge", id="1", kind="choice", problem="Q?", answer="B", choices=("x", "y"))
    assert "A. x\nB. y" in prompts.render(question, "caco").text
    asked = prompts.render(HUMANEVAL, "chat", chat=lambda messages: json.dumps(messages)).text
    assert "def total" in asked and json.loads(asked)[0]["role"] == "user"
    with pytest.raises(ValueError, match="chat template"):
        prompts.render(question, "chat")
    with pytest.raises(ValueError, match="not one of"):
        prompts.render(question, "alpaca")
