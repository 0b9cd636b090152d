"""The grader's verdicts: labelled cases, policies, typed outputs, extraction, the audit, and the bars on the reference data."""

import json

import pytest
from grading_cases import DIFFERENT, EQUAL

from caco_recipes.grading import Extraction, extract, grade, grade_output
from caco_recipes.grading.audit import audit_file, load_pairs, markdown, run
from caco_recipes.verdicts import ACCEPTED, REJECTED, UNDECIDED, check_reason

EQUAL_PAIRS = [
    pytest.param(gold, pred, id=f"{family}: {gold} = {pred}"[:80])
    for family, pairs in EQUAL.items()
    for gold, pred in pairs
]
DIFFERENT_PAIRS = [
    pytest.param(g, p, id=f"{family}: {g} / {p}"[:80]) for family, pairs in DIFFERENT.items() for g, p in pairs
]


@pytest.mark.parametrize(("gold", "pred"), EQUAL_PAIRS)
def test_equal_pairs_are_accepted(gold, pred):
    assert grade(gold, pred).verdict == ACCEPTED


@pytest.mark.parametrize(("gold", "pred"), DIFFERENT_PAIRS)
def test_different_pairs_are_never_accepted(gold, pred):
    verdict = grade(gold, pred)
    assert verdict.verdict != ACCEPTED, verdict
    check_reason(verdict.reason)
    assert verdict.reason and verdict.rule


def test_reasons():
    assert grade("5", "6").reason == "answer_mismatch"
    assert grade("5", "").reason == "no_answer"
    assert grade("5", "   ").reason == "no_answer"
    empty = grade("", "5")
    assert (empty.verdict, empty.reason) == (UNDECIDED, "bad_row:empty_gold")


def test_what_cannot_be_read_is_undecided_and_says_so():
    verdict = grade(r"\iint_D f \, dA", r"\oint_C g")
    assert verdict.verdict == UNDECIDED
    assert verdict.reason.startswith("infrastructure:")


@pytest.mark.parametrize("option", [{"kind": "code"}, {"policy": "loose"}, {"policy": "paper:nobody"}])
def test_unknown_options_are_errors(option):
    with pytest.raises(ValueError, match="unknown"):
        grade("1", "1", **option)


# -- policies ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("gold", "pred", "accepted"),
    [
        ("1/3", "0.33", True),
        ("1/3", "0.3", False),  # one place is too few
        ("1/3", "0.34", False),
        ("2/3", "0.67", True),
        (r"\pi", "3.14", True),
        (r"\pi", "3.15", False),
        (r"\sqrt{2}", "-1.41", False),
        ("-2/3", "-0.67", True),
        ("0.125", "0.13", True),  # half up
        ("0.125", "0.12", True),  # half even
        ("3.14", r"\pi", False),  # the gold isn't the prediction rounded: one direction only
        ("(1/3, 2/3)", "(0.33, 0.67)", True),
        ("[1/3, 2]", "[0.333, 2]", True),
        ("33.333333%", "33.33%", True),
    ],
)
def test_rounding_policy(gold, pred, accepted):
    assert grade(gold, pred, policy="rounding").accepted == accepted
    if gold != pred and accepted:
        assert not grade(gold, pred).accepted, "exact is the default"


# -- typed outputs ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("output", "answer", "accepted"),
    [
        (6, "6", True),
        (6, r"6\text{ cm}", True),
        (True, "Yes", True),
        (True, "1", False),
        (1, "True", False),
        (0.1 + 0.2, "0.3", True),
        (2 / 3, "0.67", True),
        (2 / 3, r"\frac{2}{3}", True),
        ("3", "3", True),
        ("hello", "Hello", True),
        ([1, 2], "(1, 2)", True),
        ([1, 2], "2, 1", True),
        ([1, 2], "(2, 1)", False),
        ({"$tuple": [1, 2]}, "(1,2)", True),
        ({"$tuple": [1, 2]}, "[1,2]", True),
        ({"$set": [1, 2]}, r"\{2, 1\}", True),
        ({"$frac": "1/3"}, r"\frac13", True),
        ({"$frac": [1, 3]}, "0.33", True),
        ({"$dec": "1.50"}, "3/2", True),
        ({"$int": "1" + "0" * 30}, "10^{30}", True),
        ({"$float": "inf"}, r"\infty", True),
        ({"$complex": [1.0, -2.0]}, "1-2i", True),
        ({"$sympy": {"str": "sqrt(2)/2", "srepr": ""}}, r"\frac{1}{\sqrt2}", True),
        ({"$sympy": {"str": "x**2 + 1", "srepr": ""}}, "1+x^2", True),
        ({"$sympy": {"str": "x**2 + 1", "srepr": ""}}, "x^2", False),
        ({"$range": [0, 3, 1]}, "0, 1, 2", True),
        ({"$repr": {"class": "mpmath.mpf", "text": "mpf('0.5')"}}, "1/2", True),
        ({"$frac": "1/0"}, "1", False),
        ({"$np": {"data": 3}}, "1", False),
        ({"$complex": [{"$float": "nan"}, 1.0]}, "1", False),
        (
            {"$np": {"dtype": "int64", "shape": [2, 2], "data": [1, 2, 3, 4]}},
            r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
            True,
        ),
        ({"x": 3, "y": 4}, "x = 3, y = 4", True),
        ({"$dict": [["x", 3]]}, "x=3", True),
        (None, "5", False),
        ([[1, 0], [0, 1]], r"\begin{bmatrix}1&0\\0&1\end{bmatrix}", True),
        (12.0, "12", True),
        (61215804.5, "61215810", False),
        (52166.67, "52167", False),
        (0.5, "50", False),
    ],
)
def test_typed_outputs(output, answer, accepted):
    assert grade_output(json.dumps(output), answer).accepted == accepted
    if not isinstance(output, str):  # text is always taken for JSON
        assert grade_output(output, answer).accepted == accepted
    assert grade(answer, json.dumps(output), kind="typed", policy="rounding").accepted == accepted


def test_typed_outputs_that_are_no_json():
    with pytest.raises(ValueError, match="JSON"):
        grade_output("{not json", "5")
    assert grade("5", "{not json", kind="typed").reason == "bad_row:typed_json"


def test_typed_output_without_an_answer():
    assert grade_output(5, "").reason == "no_answer"
    assert grade_output(None, "5").verdict == REJECTED


def test_deep_and_large_outputs_are_undecided_not_errors():
    deep = "[" * 400 + "]" * 400
    assert grade_output(deep, "5").verdict == UNDECIDED
    with pytest.raises(ValueError, match="JSON"):
        grade_output("[" * 200_000, "5")
    assert grade_output(list(range(6000)), "5").verdict == UNDECIDED


# -- extraction -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "answer", "rule"),
    [
        (r"So it is \boxed{\frac{1}{2}}.", r"\frac{1}{2}", "boxed"),
        (r"First \boxed{10}, hmm. And then we do it again with care: \boxed{42}", "42", "boxed"),
        (r"\boxed{-2} \quad \text{and} \quad \boxed{1}", "-2, 1", "boxed_joined"),
        (r"The set is \boxed{\{1, 2\}}", r"\{1, 2\}", "boxed"),
        ("She has 3 + 4 = 7.\n#### 7", "7", "hashes"),
        ("Therefore the final answer is $5$. I hope it is correct.", "5", "phrase"),
        ("The answer is 42.", "42", "phrase"),
        ("**Answer:** 12", "12", "phrase"),
        ("The answer is (B).", "B", "phrase"),
        (r"Hence \(x = 3\).", "x = 3", "last_formula"),
        ("So she paid 1,250 dollars in all", "1,250", "last_number"),
        ('{"reasoning": "long", "answer": "A"}', "A", "json"),
        (r"We get \boxed{3}<|im_end|> <|im_start|>user what about \boxed{4}", "3", "boxed"),
        (r"It is \boxed 7.", "7", "boxed"),
        ("[1, 2, 4, 5, 6].", "[1, 2, 4, 5, 6]", "whole"),
        ("(3, 4, 5, 6)", "(3, 4, 5, 6)", "whole"),
        ('{"reasoning": "x", "answer": [1, 2, 3]}', "[1, 2, 3]", "json"),
        ('"answer": [[1, 2], [3, 4]]', "[[1, 2], [3, 4]]", "json"),
        ("{'answer': '12'}", "12", "json"),
        ('{"answer": "\\\\frac{1}{2}"}', r"\frac{1}{2}", "json"),
        (r"It is \boxed{3}, no: \boxed{4}", "4", "boxed"),
        (r"\boxed{\frac12} = \boxed{0.5}", "0.5", "boxed"),
        (r"x = \boxed{1} and y = \boxed{2}", "1, 2", "boxed_joined"),
    ],
)
def test_extraction(text, answer, rule):
    found = extract(text)
    assert (found.answer, found.rule) == (answer, rule)
    assert found.rule in ("boxed_joined",) or found.answer.replace(" ", "") in text[found.start : found.end].replace(
        " ", ""
    )


@pytest.mark.parametrize("text", ["", "   ", "I don't know."])
def test_no_answer(text):
    assert extract(text) == Extraction(None, 0, 0, "no_answer")


def test_extraction_of_very_long_and_hostile_texts_is_quick():
    assert extract("a b " * 200_000 + r"\boxed{42}").answer == "42"
    for text in ("\\boxed{" * 5000, "$" * 20_000, "the answer is " * 3000, "(" * 50_000, "1," * 30_000, "\\(" * 9000):
        extract(text)


# -- size ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text",
    ["(" * 5000, "\\frac{" * 3000, "9" * 50_000, "x^" * 2000, "1+" * 3000, "10^{10^{10^{10}}}", "(9!)!", "2**2**2**2**2**2", "9**9**9**9",
     "\\binom{10000000}{5000000}", "\\sum_{k=1}^{10^{12}} k", "{" * 4000, "\\sqrt{" * 1500, "|" * 3000, "1e999999", "\\begin{pmatrix}" * 300, "-" * 3900],
)  # fmt: skip
def test_bounded(text):
    assert grade("1", text).verdict != ACCEPTED
    assert grade(text, "1").verdict != ACCEPTED
    assert grade(text, text).verdict == ACCEPTED


def test_numbers_of_any_size_are_exact():
    big = "1" + "0" * 250
    assert grade(big, big + ".0").accepted
    assert not grade(big, big[:-1] + "1").accepted


# -- audit ------------------------------------------------------------------------------------------------------------
def test_audit_table(tmp_path):
    rows = [
        {"gold": "1", "pred": "1.0", "equal": True, "family": "int:float"},
        {"gold": "1", "pred": "2", "equal": True, "family": "int:+1"},
        {"gold": "1", "pred": "1", "equal": False, "family": "int:+1"},
        {"gold": "1", "pred": "3", "equal": False, "family": "approx", "policy": "approx"},
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = audit_file(path)
    assert "| int:+1 | 2 | 0.0 % | 1 | 1 | 0 |" in table
    assert "| **all** | 3 | 33.3 % | 1 | 1 | 0 |" in table
    assert "approx" not in table
    with pytest.raises(ValueError, match="no pairs labelled"):
        audit_file(path, labelled="locale")
    path.write_text('{"gold": "1", "pred": 2, "equal": true}\n')
    with pytest.raises(ValueError, match="line 1"):
        audit_file(path)


def test_the_bar_on_labelled_pairs(shared):
    pairs = [pair for pair in load_pairs(shared / "data/grading/answer_pairs.jsonl") if pair.policy == "core"]
    audit = run(pairs)
    assert audit.total.right / audit.total.pairs >= 0.993, markdown(audit)
    assert audit.total.false_accepts <= 3, markdown(audit)


def test_the_bar_on_whole_texts(shared):
    right = 0
    with open(shared / "data/grading/extraction_text.jsonl", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            gold, pred = extract(row["gold_text"]).answer, extract(row["pred_text"]).answer
            right += grade(gold or row["gold_text"], pred or "").accepted == row["equal"]
    assert right >= 140


def test_real_stream_is_decided(shared):
    with open(shared / "data/grading/real_stream.jsonl", encoding="utf-8") as lines:
        verdicts = [grade(row["gold"], row["pred"]) for row in map(json.loads, lines)]
    assert sum(verdict.rule == "unread" for verdict in verdicts) < len(verdicts) * 0.003
