"""`caco import`: the reference's files and the released layout become runs that go on, and say what is unknown."""

import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from stage_runs import write_json_lines

from caco_recipes import pipeline
from caco_recipes.identity import receipts
from caco_recipes.imported import reason_of
from caco_recipes.run_folder import StepFolder
from caco_recipes.verdicts import check_reason

PROGRAM = """\
def area(width, height):
    total = 0
    for _ in range(height):
        total += width
    return total


input = {{"width": {0}, "height": {1}}}
output = area(**input)
print(output)
"""
TRACEBACK = 'Traceback (most recent call last):\n  File "x.py", line 31, in run\n    exec(code)\n{}\n'


def caco(*words, **keywords):
    return subprocess.run(
        [sys.executable, "-m", "caco_recipes", *map(str, words)], capture_output=True, text=True, **keywords
    )


def released(width, height, answer=None, said=None):
    right = width * height
    return {
        "instruction": f"A garden is {width} m wide and {height} m long. What is its area?",
        "output": f"The area is ${width} \\cdot {height}$, so it is \\boxed{{{said or right}}}.",
        "answer": str(answer or right),
        "code": PROGRAM.format(width, height),
    }


def executed(width, height, **changes):
    return {
        "problem": f"What is {width} times {height}?",
        "answer": str(width * height),
        "code": PROGRAM.format(width, height),
        "input": {"width": width, "height": height},
        "output": width * height,
        "execution_time": 0.021,
        "error": None,
    } | changes


def test_the_released_layout_is_imported_executed_verified_published_and_audited(tmp_path):
    rows = [
        released(3, 4),
        released(5, 6),
        released(7, 8, answer=57),
        released(9, 2, said=19),
        released(2, 2) | {"code": " "},
    ]
    file = write_json_lines(tmp_path / "cacov2.jsonl", rows)
    done = caco("import", file, "--output_dir", tmp_path / "runs", "--licence", "MIT")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "cacov2"
    assert f"next: caco run {folder / 'pipeline.yaml'}" in done.stdout
    first = next(StepFolder(folder / "imported").read())
    (receipt,) = receipts(first["lineage"])
    assert receipt["layout"] == "released" and receipt["file"] == "cacov2.jsonl" and receipt["row"] == 1
    assert {"seed", "prompts", "sandbox", "codegen_model"} <= set(receipt["unknown"]) and "licence" not in receipt[
        "unknown"
    ]
    assert str(tmp_path) not in first["lineage"]
    assert [row["reason"] for row in StepFolder(folder / "imported").read("rejected")] == ["bad_row:program"]

    done = caco("run", folder / "pipeline.yaml")
    assert done.returncode == 0, done.stderr
    assert [row["reason"] for row in StepFolder(folder / "execute").read("rejected")] == ["answer_mismatch"]
    assert [row["reason"] for row in StepFolder(folder / "verify").read("rejected")] == ["answer_mismatch"]
    dataset = folder / "publish" / "dataset"
    audit = caco("audit", dataset)
    assert "2  rows replayed" in audit.stdout and "100.00%" in audit.stdout, audit.stdout
    assert "caco-code" not in audit.stderr
    row = next(StepFolder(folder / "verify").read())
    told = caco("why", row["id"], "--run", folder)
    assert "unknown" in told.stdout and "1. imported" in told.stdout
    assert caco("replay", row["id"], "--run", folder).returncode == 0
    # The same command again does nothing anew.
    before = (folder / "imported" / "part-00000.parquet").stat().st_mtime_ns
    assert caco("import", file, "--output_dir", tmp_path / "runs", "--licence", "MIT").returncode == 0
    assert (folder / "imported" / "part-00000.parquet").stat().st_mtime_ns == before


def test_rows_that_share_a_program_are_all_published_in_one_family(tmp_path):
    one, other = (
        released(3, 4),
        released(3, 4) | {"instruction": "Twelve tiles lie in 3 columns of 4. How many are there?"},
    )
    again = other | {"output": "There are 12: $\\boxed{12}$."}  # the same program and problem
    file = write_json_lines(tmp_path / "rows.jsonl", [one, other, again, released(5, 6)])
    assert caco("import", file, "--output_dir", tmp_path / "runs").returncode == 0
    folder = tmp_path / "runs" / "rows"
    first = [row["id"] for row in StepFolder(folder / "imported").read()]
    assert len(set(first)) == 3 and first[1] == first[2]
    done = caco("run", folder / "pipeline.yaml")
    assert done.returncode == 0, done.stderr
    files = sorted((folder / "publish" / "dataset" / "data").glob("*.parquet"))
    rows = [row for path in files for row in pq.read_table(path).to_pylist()]
    assert [row["instruction"] for row in rows] == [
        one["instruction"],
        other["instruction"],
        released(5, 6)["instruction"],
    ]
    assert len({row["id"] for row in rows}) == 3
    assert rows[0]["family_id"] == rows[1]["family_id"] != rows[2]["family_id"]
    assert {row["problem_origin"] for row in rows} == {"imported"}
    left_out = json.loads((folder / "publish" / "manifest.json").read_text())["totals"]["reasons"]
    assert left_out == {"duplicate:row": 1}
    audit = caco("audit", folder)
    assert "3  rows replayed" in audit.stdout and "3  rows carry a whole chain" in audit.stdout, audit.stdout
    report = (folder / "report.html").read_text()
    assert all(row["id"] in report for row in rows)


def test_what_the_references_filter_wrote_keeps_its_verdicts_in_our_words(tmp_path, monkeypatch):
    good = [executed(2, 3), executed(4, 5, input={"pair": [1, 2]}, output=[1, 2])]
    bad = [
        executed(1, 2, rejection_reason="math_not_equal", answer="7"),
        executed(1, 3, rejection_reason="invalid_entry", error="Code is too short", input=None, output=""),
        executed(1, 4, rejection_reason="invalid_entry", error="Unused input parameters: height, width"),
        executed(1, 5, rejection_reason="invalid_entry", error="Timeout: execution exceeded 5 seconds", input=None),
        executed(
            1, 6, rejection_reason="invalid_entry", error=TRACEBACK.format("ZeroDivisionError: division by zero")
        ),
        executed(1, 7, rejection_reason="invalid_entry", error=None, output=None),
        executed(1, 8, rejection_reason="exception: TimeoutError"),
        {"title": "no row at all"},
    ]
    files = [write_json_lines(tmp_path / "out.jsonl", good), write_json_lines(tmp_path / "out_rejected.jsonl", bad)]
    done = caco("import", *files, "--output_dir", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "out"
    kept = list(StepFolder(folder / "imported").read())
    assert [row["layout"] for row in kept] == ["reference executed"] * 2
    assert kept[1]["output_text"] == "[1, 2]" and json.loads(kept[1]["reported"])["input"] == {"pair": [1, 2]}
    assert kept[0]["input"] == kept[0]["output"] == "", "values flattened to JSON are not taken for exact ones"
    assert "licence" in receipts(kept[0]["lineage"])[0]["unknown"]
    dropped = list(StepFolder(folder / "imported").read("rejected"))
    assert [row["reason"] for row in dropped] == [
        "answer_mismatch",
        "too_short",
        "unused_input:height",
        "timeout:wall",
        "exception:ZeroDivisionError",
        "no_output",
        "infrastructure:reference grader TimeoutError",
        "bad_row:layout",
    ]
    assert [row["verdict"] for row in dropped] == ["rejected"] * 6 + ["undecided", "rejected"]
    # Programs without solutions: the recipe executes them and ends there.
    stages = [step.stage for step in pipeline.load_run(folder / "pipeline.yaml").steps]
    assert stages == ["imported", "execute", "report"]
    assert caco("run", folder / "pipeline.yaml").returncode == 0
    executed_rows = [*StepFolder(folder / "execute").read(), *StepFolder(folder / "execute").read("rejected")]
    assert {row["status"] for row in executed_rows} == {"ok"}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TRACEBACK.format("sympy.core.sympify.SympifyError: bad"), "exception:SympifyError"),
        (TRACEBACK.format("  File '<string>', line 1\nIndentationError: unexpected indent"), "syntax_error"),
        (TRACEBACK.format("KeyError"), "exception:KeyError"),
        ("output is too large (> 20000 digits)", "too_large"),
        ("", "exception:Error"),
        ("\u2028 nothing like it", "exception:Error"),
    ],
)
def test_errors_of_the_reference_are_reasons_of_ours(error, reason):
    assert check_reason(reason_of(error)) == reason


def test_a_file_of_another_kind_is_said(tmp_path):
    file = write_json_lines(tmp_path / "other.jsonl", [{"question": "?", "answer": "!"}])
    done = caco("import", file, "--output_dir", tmp_path / "runs")
    assert done.returncode == 2 and "no row has a known layout" in done.stderr and not (tmp_path / "runs").exists()
    assert "no such file" in caco("import", tmp_path / "absent.jsonl").stderr
