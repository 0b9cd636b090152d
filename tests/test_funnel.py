"""The funnel: counts of finished and unfinished steps, seconds from events, and its tables."""

import itertools
import json
import shutil

import pytest
from made_runs import make_run

from caco_recipes.funnel import by_code, funnel_text, markdown_cell, markdown_table, read_run
from caco_recipes.run_folder import RunError, StepFolder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"), 200)


def test_every_row_goes_somewhere(run):
    steps = read_run(run)
    assert [step.name for step in steps] == ["seeds", "unify", "execute_seeds", "solve", "verify"]
    for before, step in itertools.pairwise(steps):
        assert step.rows == before.accepted and step.inputs == [before.name]
    for step in steps:
        assert step.rows == step.accepted + step.rejected + step.undecided
        assert sum(step.reasons.values()) == step.rejected + step.undecided


def test_the_text_fits_a_terminal_and_marks_recorded_steps(run):
    text = funnel_text(run)
    assert all(len(line) <= 119 for line in text.splitlines())
    assert "solve [recorded]" in text and "no model ran in this step" in text
    for step in read_run(run):
        line = next(line for line in text.splitlines() if line.startswith(step.name))
        assert f"{step.rows:,}" in line and (f"{step.tokens:,}" if step.tokens else "–") in line


def test_an_unfinished_step_is_counted_from_its_finished_parts(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    step = StepFolder(copy / "verify")
    whole = step.manifest()
    step.write_manifest({key: value for key, value in whole.items() if key != "totals"} | {"complete": False})
    assert read_run(copy)[-1].rows == whole["totals"]["rows"] and "verify (so far)" in funnel_text(copy)
    first = json.loads(json.dumps(whole["totals"]))["rows"]
    step.part(1).write_bytes(b"half a file")  # a part that a kill left behind counts for nothing
    assert 0 < read_run(copy)[-1].rows < first
    step.write_manifest(whole | {"complete": False, "fingerprint": "other work"})
    assert read_run(copy)[-1].rows == 0, "parts of other work are not this step's"


def test_seconds_survive_a_cut_line_and_count_repeated_work(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    before = read_run(copy)[0].seconds
    event = {"time": 1, "event": "part", "step": "seeds", "part": 0, "seconds": 2.0}
    start = {"time": 1, "event": "step_start", "step": "seeds", "fingerprint": read_run(copy)[0].fingerprint}
    with open(copy / "events.jsonl", "a") as file:
        file.write(json.dumps(start) + "\n" + json.dumps(event) + "\n" + '{"event": "part", "st')
    assert read_run(copy)[0].seconds == pytest.approx(before + 2.0)
    (copy / "events.jsonl").unlink()
    assert read_run(copy)[0].seconds is None and "–" in funnel_text(copy)


def test_markdown_has_no_seconds_when_bytes_must_be_the_same(run):
    steps = read_run(run)
    assert "seconds" in markdown_table(steps) and "seconds" not in markdown_table(steps, measured=False)
    widths = {line.count("|") for line in markdown_table(steps).splitlines()}
    assert len(widths) == 1


@pytest.mark.parametrize("text", ["a|b", "<script>", "`x`", "[a](b)", "**b**", "two\nlines", "~~s~~", "_i_"])
def test_a_cell_is_text(text):
    cell = markdown_cell(text)
    assert not set(cell) & set("|<>`\n")
    for mark in "[]*~":
        assert f"\\{mark}" in cell or mark not in text
    assert "_i_" not in cell


def test_reasons_fold_to_codes():
    assert by_code({"exception:A": 2, "exception:B": 3, "too_short": 4}) == {"exception": 5, "too_short": 4}


def test_what_is_no_run(tmp_path):
    with pytest.raises(RunError, match="is not a folder"):
        read_run(tmp_path / "absent")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "manifest.json").write_text("not json")
    with pytest.raises(RunError, match="holds no step of a run yet"):
        read_run(tmp_path)
