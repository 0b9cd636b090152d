"""Loading benchmarks: the real files, small files of the real Hub schemas, and everything that can be wrong with a file."""

import json
from pathlib import Path

import pytest

from caco_recipes.evaluation import corrections, schemas
from caco_recipes.evaluation.benchmarks import (
    BENCHMARKS,
    GENERALISATION_BENCHMARKS,
    PAPER_BENCHMARKS,
    benchmark_named,
)
from caco_recipes.evaluation.loading import BenchmarkError, load
from caco_recipes.recipe import RecipeError

# One or two rows as the Hub has them, per benchmark: (rows, problem contains, gold).
HUB_ROWS = {
    "math": (
        [
            {
                "problem": "What is $1+1$?",
                "level": "Level 1",
                "type": "Algebra",
                "solution": r"It is $\boxed{\frac{4}{2}}$.",
            }
        ],
        "1+1",
        r"\frac{4}{2}",
    ),
    "gsm8k": ([{"question": "How many?", "answer": "Think <<1+1=2>>2.\n#### 1,234"}], "How many", "1234"),
    "olympiadbench": (
        [
            {
                "id": 1606,
                "question": "Find it.",
                "solution": ["…"],
                "final_answer": ["4.2"],
                "is_multiple_answer": False,
                "unit": None,
                "answer_type": "Numerical",
                "error": "1e-1",
                "subfield": "Algebra",
            }
        ],
        "Find it.",
        "4.2",
    ),
    "theoremqa": (
        [{"Question": "List?", "Answer": "[0, 5]", "Answer_type": "list of integer", "Picture": None}],
        "List?",
        "[0, 5]",
    ),
    "math500": (
        [
            {
                "problem": "P",
                "solution": "S",
                "answer": "7",
                "subject": "Algebra",
                "level": 2,
                "unique_id": "test/a/1.json",
            }
        ],
        "P",
        "7",
    ),
    "aime24": ([{"ID": "2024-II-4", "Problem": "P", "Solution": "S", "Answer": 33}], "P", "33"),
    "aime25": ([{"id": "0", "problem": "P", "answer": "70"}], "P", "70"),
    "amc23": ([{"id": 0, "question": "P", "answer": 27.0, "url": "u"}], "P", "27"),
    "svamp": (
        [{"ID": "chal-1", "Body": "There are 87 oranges", "Question": "How big?", "Equation": "", "Answer": "145.0"}],
        "There are 87 oranges. How big?",
        "145.0",
    ),
    "asdiv": (
        [
            {
                "body": "Seven red apples.",
                "question": "How many?",
                "solution_type": "Addition",
                "answer": "9 (apples)",
            },
            {"body": "Two answers.", "question": "Which?", "solution_type": "x", "answer": "1 (a); 2 (b)"},
        ],
        "Seven red apples. How many?",
        "9",
    ),
    "gsm_hard": ([{"input": "P", "code": "…", "target": -9867630.0}], "P", "-9867630"),
    "minerva_math": ([{"question": "P", "answer": "1.6"}], "P", "1.6"),
    "gaokao2023en": ([{"question": "P", "answer": "$2$"}], "P", "$2$"),
    "humaneval_plus": (
        [
            {
                "task_id": "HumanEval/0",
                "prompt": "def f(x):\n",
                "canonical_solution": "    return x\n",
                "entry_point": "f",
                "test": "def check(candidate):\n    assert candidate(1) == 1\n",
            }
        ],
        "def f(x)",
        "f",
    ),
    "arc_challenge": (
        [
            {
                "id": "Mercury_1",
                "question": "Which?",
                "choices": {"text": ["dry", "wet", "hot"], "label": ["1", "2", "3"]},
                "answerKey": "2",
            }
        ],
        "Which?",
        "B",
    ),
    "bbh": ([{"input": "not ( True ) and ( True ) is", "target": "False"}], "not", "False"),
    "agieval": (
        [
            {
                "query": "Q: A car is sold. What is it? Answer Choices: (A)3 (B)5\nA: Among A through B, the answer is",
                "choices": ["(A)3", "(B)5"],
                "gold": [1],
            }
        ],
        "A car is sold.",
        "B",
    ),
    "mmlu_stem": (
        [
            {"question": "Degree?", "subject": "abstract_algebra", "choices": ["0", "4", "2", "6"], "answer": 1},
            {"question": "Who?", "subject": "philosophy", "choices": ["a", "b", "c", "d"], "answer": 1},
        ],
        "Degree?",
        "B",
    ),
}


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_paper_s_six_and_the_generalisation_set_are_there():
    assert [BENCHMARKS[name].problems for name in PAPER_BENCHMARKS] == [5000, 1319, 2818, 1000, 675, 800]
    assert {BENCHMARKS[name].kind for name in GENERALISATION_BENCHMARKS} == {"code", "choice", "text"}
    with pytest.raises(RecipeError, match="did you mean 'gsm8k'"):
        benchmark_named("gsm8K")


@pytest.mark.parametrize("name", [name for name in BENCHMARKS if BENCHMARKS[name].kind == "answer"])
def test_real_files_load_whole(shared, name):
    benchmark = BENCHMARKS[name]
    found = load(benchmark, path=shared / "data" / "benchmarks" / benchmark.local_file)
    assert len(found) == benchmark.problems == len({item.id for item in found.items})
    assert found.revision.startswith("sha256:") and len(found.fingerprint) == 64
    assert all(item.paper_rule == benchmark.paper_rule for item in found.items)


def test_real_types_and_tolerances(shared):
    folder = shared / "data" / "benchmarks"
    olympiad = load(BENCHMARKS["olympiadbench"], path=folder / "olympiadbench_math_en.jsonl").items
    assert sum(item.is_multiple for item in olympiad) == 94
    assert [item.tolerance for item in olympiad if item.tolerance] == [0.1]
    theorem = load(BENCHMARKS["theoremqa"], path=folder / "theoremqa.jsonl").items
    assert sum(item.needs_picture for item in theorem) == 53
    assert sum(isinstance(item.gold, bool) for item in theorem) == 116


def test_corrections_name_problems_of_the_test_split(shared):
    items = load(BENCHMARKS["math"], path=shared / "data" / "benchmarks" / "math_test.jsonl").items
    corrected = [item for item in items if corrections.strict_golds(item) != (item.answer,)]
    assert len(corrected) == len(corrections.CORRECTED) == 12


@pytest.mark.parametrize("name", HUB_ROWS)
def test_hub_schemas(tmp_path, name):
    rows, problem, gold = HUB_ROWS[name]
    found = load(BENCHMARKS[name], path=write(tmp_path / "hub.jsonl", rows), expected=1)
    assert problem in found.items[0].problem and found.items[0].answer == gold
    own_ids = {"math500": "test/a/1.json", "aime24": "2024-II-4", "svamp": "chal-1", "arc_challenge": "Mercury_1"}
    assert found.items[0].id == own_ids.get(name, found.items[0].id)
    if BENCHMARKS[name].kind == "choice":
        assert len(found.items[0].choices) >= 2 and "(A)" not in found.items[0].choices[0]


@pytest.mark.parametrize("name", [name for name in HUB_ROWS if BENCHMARKS[name].hub])
def test_declared_columns_are_the_schema_s(name):
    assert set(BENCHMARKS[name].hub.columns) <= set(HUB_ROWS[name][0][0])


def test_parquet_loads_like_json_lines(tmp_path):
    import pyarrow
    import pyarrow.parquet

    rows = HUB_ROWS["math500"][0]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    from_parquet = load(BENCHMARKS["math500"], path=tmp_path / "a.parquet", expected=1)
    from_lines = load(BENCHMARKS["math500"], path=write(tmp_path / "a.jsonl", rows), expected=1)
    assert from_parquet.fingerprint == from_lines.fingerprint


def test_korbench_joins_samples_with_their_rules(tmp_path):
    for category in ("cipher", "counterfactual", "logic", "operation", "puzzle"):
        (tmp_path / category).mkdir()
        write(tmp_path / category / "rule.jsonl", [{"idx": "1", "title": "t", "rule_content": "a※b = a+b"}])
        sample = {"idx": "1", "rule_id": "1", "question": "1※1=?", "answer": "[[2]]", "needle": []}
        write(tmp_path / category / "sample.jsonl", [sample])
    found = load(BENCHMARKS["korbench"], path=tmp_path, expected=5)
    assert found.items[3].id == "operation/1" and "a※b" in found.items[3].problem
    write(tmp_path / "logic" / "sample.jsonl", [sample | {"rule_id": "9"}])
    with pytest.raises(BenchmarkError, match="no rule '9'"):
        load(BENCHMARKS["korbench"], path=tmp_path, expected=5)


def test_agieval_s_own_files(tmp_path):
    rows = [
        {"passage": "Read.", "question": "Which?", "options": ["(A)one", "(B)two"], "label": "B", "answer": None},
        {"passage": None, "question": "Fill in", "options": None, "label": None, "answer": "7"},
    ]
    found = load(BENCHMARKS["agieval"], path=write(tmp_path / "a.jsonl", rows), expected=1)
    assert found.items[0].problem == "Read.\n\nWhich?" and found.items[0].choices == ("one", "two")


ROW = {"id": 1, "problem": "P", "answer": "2"}


@pytest.mark.parametrize(
    "rows, message",
    [
        ([ROW, {"id": 2, "problem": "Q"}], "row 2: the field 'answer' is missing"),
        ([ROW, {"problem": "Q", "answer": "1"}], "row 2: the field 'id' is missing"),
        ([ROW, ROW], "the id '1' occurs twice"),
        ([ROW], "GSM8K has 2 problems, this has 1"),
        ([ROW, {"id": 2, "problem": " ", "answer": "1"}], "row 2: not a row of GSM8K: the problem is empty"),
        ([ROW, {"id": 2, "problem": "Q", "answer": None}], "row 2: not a row of GSM8K: the answer is null"),
        ([{"foo": 1}, ROW], "row 1: the field 'answer' is missing"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, rows, message):
    path = write(tmp_path / "bad.jsonl", rows)
    with pytest.raises(BenchmarkError, match=message) as caught:
        load(BENCHMARKS["gsm8k"], path=path, expected=2)
    assert "bad.jsonl" in str(caught.value)


def test_a_changed_number_of_problems_can_be_meant(tmp_path):
    path = write(tmp_path / "part.jsonl", [ROW])
    with pytest.raises(BenchmarkError, match=r"--expected.gsm8k 1"):
        load(BENCHMARKS["gsm8k"], path=path)
    assert len(load(BENCHMARKS["gsm8k"], path=path, expected=1)) == 1


def test_broken_lines_and_missing_files(tmp_path):
    path = tmp_path / "broken.jsonl"
    path.write_text(json.dumps(ROW) + "\n{half\n")
    with pytest.raises(BenchmarkError, match="row 2: not a JSON object"):
        load(BENCHMARKS["gsm8k"], path=path, expected=2)
    with pytest.raises(BenchmarkError, match="no such file"):
        load(BENCHMARKS["gsm8k"], path=tmp_path / "none.jsonl")
    with pytest.raises(BenchmarkError, match=r"--data.deepmind_math FILE"):
        load(BENCHMARKS["deepmind_math"])


def test_a_limit_comes_after_the_checks(tmp_path):
    path = write(tmp_path / "two.jsonl", [ROW, ROW | {"id": 2}])
    found = load(BENCHMARKS["gsm8k"], path=path, expected=2, limit=1)
    assert len(found) == 1 and found.total == 2


def test_last_boxed():
    assert schemas.last_boxed(r"\boxed{1} then $\boxed{\frac{a}{b}}$.") == r"\frac{a}{b}"
    assert schemas.last_boxed(r"so $\boxed 7$.") == "7"
    assert schemas.last_boxed(r"\fbox{3}") == "3"
    assert schemas.last_boxed("none") == ""


def test_math_golds_of_the_hub_and_of_the_file_agree(shared):
    """The Hub's copy has solutions only: what is taken from them is the file's answer, spacing aside."""
    rows = [json.loads(line) for line in open(shared / "data" / "benchmarks" / "math_test.jsonl")]
    differ = [
        r["id"] for r in rows if "".join(schemas.last_boxed(r["solution"]).split()) != "".join(r["answer"].split())
    ]
    assert len(differ) <= 10, differ
