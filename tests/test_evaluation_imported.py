"""`caco evaluate --from FILE`: responses made elsewhere, the real ones of 15 models included."""

import json

import pytest

from caco_recipes import evaluate
from caco_recipes.evaluation import imported
from caco_recipes.evaluation.protocols import PAPER, STRICT
from caco_recipes.recipe import RecipeError

SOURCES = {
    "MATH500": "math500",
    "MATH": "math",
    "GSM8K": "gsm8k",
    "TheoremQA": "theoremqa",
    "Gaokao2023en": "gaokao2023en",
    "Minerva-MATH (OCW)": "minerva_math",
    "OlympiadBench": "olympiadbench",
}
ROWS = [
    {"id": "a", "question": "Q1", "solution_text": r"\boxed{\frac12}", "gold": 0.5, "label": True, "source": "mine"},
    {"id": "b", "question": "Q2", "solution_text": r"The answer is 3", "gold": "4", "label": True, "source": "mine"},
    {"id": "c", "question": "Q3", "solution_text": "", "gold": "m", "label": False, "source": "mine"},
]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_small_file(tmp_path, capsys):
    file = write(tmp_path / "answers.jsonl", [*ROWS, {"id": "d", "solution_text": "no gold"}])
    assert evaluate.main(["--from", str(file), "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "3 rows graded, 1 rows could not be used" in printed
    items = [json.loads(line) for line in open(tmp_path / "out" / "items.jsonl")]
    assert [item["judgements"][STRICT]["verdict"] for item in items] == ["accepted", "rejected", "rejected"]
    assert [item["id"] for item in items] == ["a", "b", "c"]
    [disagreement] = [json.loads(line) for line in open(tmp_path / "out" / "disagreements.jsonl")]
    assert disagreement["id"] == "b" and disagreement["class"].startswith("label right, strict answer_mismatch")
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["right"][STRICT] == 1 and results["bad_rows"] == 1


def test_fields_are_mapped_by_option(tmp_path, capsys):
    file = write(tmp_path / "a.jsonl", [{"q": "Q", "text": r"\boxed{2}", "truth": "2", "ds": "x"}])
    arguments = ["--from", str(file), "--output", str(tmp_path / "out"), "--fields.response", "text"]
    with pytest.raises(
        RecipeError, match=r"no field for the gold; name it with --fields.gold NAME \(there are: q, text"
    ):
        evaluate.main(arguments)
    assert evaluate.main([*arguments, "--fields.gold", "truth", "--fields.problem", "q"]) == 0
    assert "100.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--fields.answer", "x"], "no field 'answer'"),
        (["--benchmark", "gsm8"], "did you mean 'gsm8k'"),
        (["--benchmark", "humaneval_plus"], "graded where it is generated"),
        (["--rule", "hendrycks"], "'hendrycks' is not one of"),
        (["--data_dir", "nowhere"], "nowhere is no folder"),
    ],
)
def test_bad_options(tmp_path, arguments, message):
    file = write(tmp_path / "a.jsonl", ROWS)
    with pytest.raises(RecipeError, match=message):
        evaluate.main(["--from", str(file), "--output", str(tmp_path / "out"), *arguments])


@pytest.mark.parametrize(
    "response, end",
    [
        ('{"reasoning": "x", "answer": 1.5}', r"\boxed{1.5}"),
        ('```json\n{"answer": ["B", "F"]}\n```', r"\boxed{B, F}"),
        ('{"answer": "C"}', r"\boxed{C}"),
        ('{"answer": 869/27}', r"\boxed{869/27}"),
        (r'{"answer": "\frac{1}{2}", "more": 1}', r"\boxed{\frac{1}{2}}"),
        ("no JSON here", "no JSON here"),
    ],
)
def test_answers_inside_json(response, end):
    assert imported.boxed_json_answer(response, "answer").endswith(end)


@pytest.fixture(scope="module")
def real(shared):
    """All 5,248 real outputs under both protocols (about ten seconds)."""
    config = imported.ImportConfig(
        fields={"response": "solution_text"},
        sources=SOURCES,
        json_answer={"MathOdyssey": "answer"},
        data_dir=str(shared / "data" / "benchmarks"),
    )
    rows, bad = imported.grade_file(shared / "data" / "seeds" / "cot_outputs.jsonl", config)
    assert (len(rows), bad) == (5248, 0)
    return rows


def agreement(rows, sources, protocol) -> float:
    known = [row for row in rows if row.group[0] in sources]
    return sum(row.judgements[protocol].right == row.label for row in known) / len(known)


def test_real_outputs_get_the_verdicts_of_the_graders_that_labelled_them(real):
    """Qwen2.5-Math's evaluator and exact match labelled these; caco-paper re-implements the former's rules."""
    assert agreement(real, {"GSM8K"}, PAPER) > 0.998 and agreement(real, {"GSM8K"}, STRICT) == 1.0
    assert agreement(real, {"MATH"}, PAPER) > 0.995
    assert agreement(real, {"MATH500", "Gaokao2023en", "Minerva-MATH (OCW)"}, PAPER) > 0.985


def test_strict_rarely_rejects_what_those_graders_accept(real):
    """The other way round it accepts more (units, powers of ten, clock times): those are listed in docs/evaluation.md."""
    rows = [row for row in real if row.group[0] in {"GSM8K", "MATH", "MATH500", "Gaokao2023en", "Minerva-MATH (OCW)"}]
    lost = [row for row in rows if row.label and not row.judgements[STRICT].right]
    assert len(lost) <= 20, [(row.problem.answer, row.judgements[STRICT].extracted) for row in lost]


def test_every_disagreement_has_a_class(real):
    classes = {name for _, name in imported.disagreements(real)}
    assert classes and all(name.startswith(("label", "caco-paper")) for name in classes)
    undecided = sum(row.judgements[STRICT].verdict == "undecided" for row in real)
    assert undecided / len(real) < 0.03
