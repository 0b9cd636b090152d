"""The published graders' rules: their known verdicts, oddities included, and agreement with recorded verdicts of the originals."""

import json
import time

import pytest

from caco_recipes.grading import grade
from caco_recipes.grading.paper import dart, olympiad, qwen, theoremqa
from caco_recipes.grading.paper.number_words import words_to_number
from caco_recipes.grading.paper.sympy_python import python
from caco_recipes.grading.paper.sympy_reading import latex
from caco_recipes.grading.syntax import Unreadable

# prediction, gold, verdicts of (Qwen2.5-Math, DART, OlympiadBench judge), measured on the originals
ODDITIES = [
    ("[0,1)", "[0,1]", "TFF"), ("x<3", "x>3", "TFF"), (r"x\le3", "x<3", "TFF"), ("500", "5", "TTT"), ("0.05", "5", "TTT"),
    ("123457", "123456", "TFF"), ("1,2", "12", "TFF"), ("a+b", "c+b", "TFF"), ("x=5", "y=5", "TTF"), ("2m", "2", "FTF"), ("3t", "3", "FTF"),
    (r"\text{north}", r"\text{no solution}", "FTF"), ("none", "November", "FTF"), ("monkey", "Monday", "FTF"), ("5!", "5", "FFT"),
    ("x+0.0005", "x", "FFT"), ("2x+c", "2x+C", "FTF"), (r"1\frac12", "1.5", "FFF"), ("Fraction(1, 2)", r"\frac12", "FFF"),
]  # fmt: skip


@pytest.mark.parametrize(("pred", "gold", "verdicts"), ODDITIES)
def test_known_verdicts(pred, gold, verdicts):
    ours = (qwen.equal(qwen.strip(pred), qwen.strip(gold)), dart.equal(pred, gold), olympiad.judge(pred, gold))
    assert "".join("FT"[verdict] for verdict in ours) == verdicts


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{\dfrac12}.", r"\frac{1}{2}"),
        ("The answer is 5 apples.", "5"),
        ("The final answer is $42$. I hope it is correct.", "42"),
        ("we add 3 and 4 to get 7", "7"),
        (r"\boxed{12\text{ cm}}", "12"),
        (r"\boxed{x = 5}", "5"),
        (r"\boxed{90^\circ}", "90"),
        (r"\boxed{3/4}", r"\frac{3}{4}"),
        (r"\boxed{1{,}000", "1{,}000"),
        ("nothing", ""),
        (r"\boxed{seven}", "7"),
    ],
)
def test_qwen_extraction(text, answer):
    assert qwen.extract(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"Therefore, \boxed{\dfrac12}.", r"\frac{1}{2}"),
        ("The answer is 5.", "5"),
        ("#### 42\nThe answer is 42", "42"),
        ("nothing to see", "False"),  # no explicit answer: "None", which contains "no"
        ("The statement is true", "True"),
        (r"\boxed{Tues}", "Tuesday"),
        (r"\boxed{12\text{ cm}}", "12"),
        (r"\boxed{1\pm\sqrt{5}}", r"1-\sqrt{5},1+\sqrt{5}"),
    ],
)
def test_dart_extraction(text, answer):
    assert dart.extract(text) == answer


@pytest.mark.parametrize(
    ("pred", "gold", "as_set", "equal"),
    [
        ("2,1", "1,2", True, True), ("2,1", "1,2", False, False), ("1,2,2", "1,2", True, True), ("12:00", "12:00:00", False, True),
        ("(-\\infty,3]", "(-\\infty,3]", False, True), ("(0,1)", "(0,1]", False, False), (r"\begin{pmatrix}1\\2\end{pmatrix}", "(1,2)", False, True),
        ("0.99", "99", False, True), ("x=3", "3", False, True), ("3:2", "1.5", False, True), (r"\sqrt{8}", r"2\sqrt{2}", False, True), ("True", "yes", False, True),
    ],
)  # fmt: skip
def test_dart_equality(pred, gold, as_set, equal):
    assert dart.equal(pred, gold, as_set=as_set) == equal


def test_dart_gold_with_a_number():
    assert dart.equal("0.5", [r"\frac{1}{2}", 0.5])
    assert not dart.equal("0.51", [r"\frac{1}{2}", 0.5])


@pytest.mark.parametrize(
    ("pred", "gold", "error", "verdict"),
    [
        (r"So the final answer is \boxed{2}, \boxed{3}.", "3,2", None, True),
        (r"\boxed{\pm 2}", "2,-2", None, True),
        (r"\boxed{2}", "2,-2", None, False),
        (r"\boxed{3.15}", "3.14", "1e-1", True),
        (r"\boxed{3.15}", "3.14", None, False),
        (r"\boxed{x = \frac{1}{2}}", r"\frac{1}{2}", None, True),
        (r"\boxed{2x+4y=6}", "x+2y=3", None, True),
        (r"\boxed{(0,1]}", "(0,1)", None, False),
        (r"\boxed{\frac{\pi}{2}}", "1.5707963267948966", None, True),
        ("The answer is $7$", "7", None, True),
        (r"\boxed{7", "7", None, False),
        ("", "7", None, False),
    ],
)
def test_olympiad_judge(pred, gold, error, verdict):
    assert olympiad.judge(pred, gold, error) == verdict


@pytest.mark.parametrize(
    ("pred", "gold", "kind", "verdict"),
    [
        ("3.1", 3.0, "float", True), ("3.2", 3.0, "float", False), ("7.4", 7, "integer", True), ("7.6", 7, "integer", False), ("x = 7", 7, "integer", True),
        ("1/3", 0.333, "float", True), ("[2, 1]", [1, 2], "list of integer", True), ("(1, 2)", [1, 2.0], "list of float", True), ("[1]", [1, 2], "list of integer", False),
        ("True", True, "bool", True), ("yes", True, "bool", True), ("False", True, "bool", False), ("(b)", "(b)", "option", True), ("(b) Gamma", "(b)", "option", True),
        ("(c)", "(b)", "option", False), ("12 cm", 12, "integer", True), (None, 5, "integer", False), ("ln(15000)", 9.616, "float", True), ("14,666.67", 14666.67, "float", True),
    ],
)  # fmt: skip
def test_theoremqa(pred, gold, kind, verdict):
    assert theoremqa.judge(pred, gold, kind) == verdict


def test_theoremqa_unknown_type():
    with pytest.raises(ValueError, match="answer_type"):
        theoremqa.judge("1", 1, "number")


@pytest.mark.parametrize(
    ("text", "number"),
    [("seven", "7"), ("twenty-one", "21"), ("two hundred five", "205"), ("one of the roots", "1"), ("007", "7"), ("two million three hundred thousand", "2300000"), ("three point one four", "3.14"), ("abc", None), ("million billion", None)],
)  # fmt: skip
def test_number_words(text, number):
    assert words_to_number(text) == number


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("1,2", "1"),
        ("1,234", "1234"),
        ("x**2+1", "x"),
        ("10^-3", "10"),
        ("204_5", "204"),
        ("3{,}504", "3"),
        ("2(x,", "2"),
    ],
)
def test_latex_reads_the_longest_prefix(text, read):
    assert latex(text) == latex(read)


@pytest.mark.parametrize("text", ["(1,2)", "5%", "", ".5", "[0,1)", r"\sqrt2", "\\"])
def test_latex_refuses(text):
    with pytest.raises(Unreadable):
        latex(text)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "x.y",
        "[i for i in x]",
        "lambda: 1",
        "f'{x}'",
        "open('x')",
        "a if b else c",
        "x := 3",
        "1" * 700,
    ],
)
def test_python_refuses(text):
    with pytest.raises(Unreadable):
        python(text)


@pytest.mark.parametrize("text", ["1" * 30_000, "a" * 50_000, "\\boxed{" * 3000, "\\text{" * 5000, "1," * 9000, "(" * 5900, "\\frac" * 1000, "$" * 20_000, "-" * 5000, "9!!!!!!", "10^{10^{10}}", "\n" * 20_000])  # fmt: skip
def test_hostile_texts_are_quick(text):
    started = time.process_time()
    qwen.equal(qwen.extract(text), "5"), qwen.equal(text, r"\sqrt{2}x")
    dart.equal(dart.extract(text), "5"), dart.equal(text, r"\sqrt{2}x"), dart.equal(text, "1,2", as_set=True)
    olympiad.judge(text, "5"), olympiad.judge(text, r"\sqrt{2}x"), theoremqa.judge(text, 5.0, "float")
    assert time.process_time() - started < 10  # none may hang; a busy machine is no failure


def test_agreement_with_recorded_verdicts(shared):
    """The originals' own labels on real outputs: at least 99.5 % of the verdicts are the same."""
    rows = agreed = 0
    with open(shared / "data/seeds/cot_outputs.jsonl", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if row["label_source"] != "Qwen2.5-Math evaluator":
                continue
            gold = row.get("gold_normalised_by_source") or (
                row["gold"] if row["source"].startswith("Minerva") else qwen.strip(row["gold"])
            )
            rows += 1
            agreed += qwen.equal(row["predicted"] or "", gold) == row["label"]
    assert rows > 2500
    assert agreed / rows >= 0.995, f"{agreed} of {rows}"


def test_own_extraction_reaches_the_recorded_verdicts(shared):
    rows = agreed = 0
    with open(shared / "data/seeds/cot_outputs.jsonl", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if row["label_source"] != "Qwen2.5-Math evaluator":
                continue
            minerva = row["source"].startswith("Minerva")
            gold = row.get("gold_normalised_by_source") or (row["gold"] if minerva else qwen.strip(row["gold"]))
            rows += 1
            agreed += qwen.equal(qwen.extract(row["solution_text"], skip_unit=minerva), gold) == row["label"]
    assert agreed / rows >= 0.99, f"{agreed} of {rows}"


@pytest.mark.parametrize(
    ("policy", "gold", "pred", "verdict"),
    [
        ("paper", "5", "500", "accepted"),
        ("paper:qwen", "x<3", "x>3", "accepted"),
        ("paper:dart", "x<3", "x>3", "rejected"),
        ("paper:dart", "Monday", "monkey", "accepted"),
        ("paper:olympiad", "5", r"\boxed{5!}", "accepted"),
        ("paper:theoremqa", "3.0", "3.1", "accepted"),
        ("paper:theoremqa", "3", "3.6", "rejected"),
        ("paper", "", "5", "undecided"),
        ("paper", "5", " ", "rejected"),
    ],
)
def test_the_policy_paper(policy, gold, pred, verdict):
    found = grade(gold, pred, policy=policy)
    assert found.verdict == verdict
    assert found.rule == ("paper:qwen" if policy == "paper" else policy)


def test_the_policy_paper_on_typed_outputs():
    assert grade("0.5", '{"$frac": "1/2"}', kind="typed", policy="paper").accepted
    assert grade("5", "{no json", kind="typed", policy="paper").reason == "bad_row:typed_json"
    assert grade("5", '{"$set": [5]}', kind="typed", policy="paper").verdict == "undecided"
