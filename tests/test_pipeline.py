"""The runner: rows in order, parts resumed, work repeated only where something changed, damage noticed."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from caco_recipes import pipeline
from caco_recipes.recipe import RecipeError
from caco_recipes.run_folder import RunError, StepFolder

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def toy_stages(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setitem(pipeline.STAGES, "numbers", "toy_numbers")
    monkeypatch.setitem(pipeline.STAGES, "double", "toy_double")


def recipe(folder, count=25, shard_rows=10, **double):
    content = {
        "name": "toy",
        "output_dir": str(folder / "runs"),
        "shard_rows": shard_rows,
        "stages": {"numbers": {"count": count}, "double": {"calls": str(folder / "calls.txt")} | double},
    }
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def calls(folder):
    path = folder / "calls.txt"
    return [line.split()[1] for line in path.read_text().splitlines()] if path.exists() else []


def compared_bytes(run_folder):
    """Everything that has to be the same: all but sidecars, events, locks."""
    return {
        str(path.relative_to(run_folder)): path.read_bytes()
        for path in sorted(run_folder.rglob("*"))
        if path.is_file() and ".timing." not in path.name and path.name not in ("events.jsonl", ".lock")
    }


def test_rows_are_split_by_verdict_in_order_and_counted(tmp_path):
    run = pipeline.load_run(recipe(tmp_path))
    pipeline.run_steps(run)
    folder = run.step_folder("double")
    kept = [row["number"] for row in folder.read()]
    put_aside = [(row["number"], row["verdict"]) for row in folder.read("rejected")]
    assert kept == [n for n in range(25) if n % 7 != 6 and n % 3]
    assert [n for n, _ in put_aside] == [n for n in range(25) if n % 7 == 6 or n % 3 == 0]
    assert dict(put_aside)[6] == "undecided"
    totals = folder.manifest()["totals"]
    assert totals["rows"] == 25 and totals["accepted"] == len(kept)
    assert totals["reasons"] == {"infrastructure:seven": 3, "too_short": 8}
    assert [path.name for path in folder.accepted_files()] == [f"part-0000{i}.parquet" for i in range(3)]
    first = next(folder.read())
    assert list(first)[:6] == ["id", "parent_ids", "family_id", "lineage", "verdict", "reason"]
    assert "seconds" not in first, "measured values belong to the sidecar"
    assert {row["id"] for row in folder.read("timing")} == {
        row["id"] for k in ("", "rejected") for row in folder.read(k)
    }


def test_a_second_run_does_nothing_and_a_change_repeats_only_what_reads_it(tmp_path, capsys):
    path = recipe(tmp_path)
    pipeline.run_steps(pipeline.load_run(path))
    assert len(calls(tmp_path)) == 3
    before = compared_bytes(tmp_path / "runs/toy")
    pipeline.run_steps(pipeline.load_run(path))
    assert len(calls(tmp_path)) == 3
    assert compared_bytes(tmp_path / "runs/toy") == before

    numbers = (tmp_path / "runs/toy/numbers/part-00000.parquet").stat().st_mtime_ns
    changed = pipeline.load_run(path, {"stages.double.factor": 3})
    from caco_recipes.planning import explain

    explain(changed, None)
    shown = capsys.readouterr().out
    assert "reuse" in shown.splitlines()[0] and "factor: 2 -> 3" in shown.splitlines()[1]
    pipeline.run_steps(changed)
    assert len(calls(tmp_path)) == 6
    assert (tmp_path / "runs/toy/numbers/part-00000.parquet").stat().st_mtime_ns == numbers
    assert next(changed.step_folder("double").read())["doubled"] == 3


def test_content_does_not_depend_on_the_shard_size(tmp_path):
    rows = []
    for size in (4, 25):
        folder = tmp_path / str(size)
        folder.mkdir()
        run = pipeline.load_run(recipe(folder, shard_rows=size))
        pipeline.run_steps(run)
        rows.append([list(run.step_folder("double").read(kind)) for kind in ("", "rejected")])
    assert rows[0] == rows[1]


def test_fewer_rows_leave_no_old_parts_behind(tmp_path):
    pipeline.run_steps(pipeline.load_run(recipe(tmp_path, count=40)))
    run = pipeline.load_run(recipe(tmp_path, count=15))
    pipeline.run_steps(run)
    assert len(run.step_folder("double").accepted_files()) == 2
    assert sum(1 for kind in ("", "rejected") for _ in run.step_folder("double").read(kind)) == 15


@pytest.mark.parametrize("damage", ["truncated", "absent", "rejected gone"])
def test_a_damaged_part_is_done_again(tmp_path, damage):
    run = pipeline.load_run(recipe(tmp_path))
    pipeline.run_steps(run)
    before = compared_bytes(run.folder)
    folder = run.step_folder("double")
    victim = folder.part(1, "rejected" if damage == "rejected gone" else "")
    if damage == "truncated":
        victim.write_bytes(victim.read_bytes()[:-20])
    else:
        victim.unlink()
    pipeline.run_steps(run)
    assert calls(tmp_path)[3:] == ["10"], "only the damaged part is done again"
    assert compared_bytes(run.folder) == before


def test_an_empty_shard_and_an_empty_input_keep_their_columns(tmp_path):
    run = pipeline.load_run(recipe(tmp_path, count=1))  # the only number, 0, is rejected
    mapping = yaml.safe_load((tmp_path / "toy.yaml").read_text())
    mapping["stages"]["again"] = {"stage": "double", "input": ["double"]}
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(mapping, sort_keys=False))
    run = pipeline.load_run(tmp_path / "toy.yaml")
    pipeline.run_steps(run)
    schema = pq.read_schema(run.step_folder("again").part(0))
    assert {"id", "number", "doubled"} <= set(schema.names)
    assert run.step_folder("again").manifest()["totals"]["rows"] == 0


def test_limit_takes_the_first_rows(tmp_path):
    run = pipeline.load_run(recipe(tmp_path), {"stages.double.limit": 12})
    pipeline.run_steps(run)
    assert run.step_folder("double").manifest()["totals"]["rows"] == 12


def test_a_step_whose_input_is_not_finished_says_so(tmp_path):
    with pytest.raises(RunError, match=r"reads numbers, which is not finished.*--stages numbers"):
        pipeline.run_steps(pipeline.load_run(recipe(tmp_path)), ["double"])


def test_two_commands_can_not_share_a_run_folder(tmp_path):
    run = pipeline.load_run(recipe(tmp_path))
    run.folder.mkdir(parents=True)
    with pipeline._only_one(run.folder), pytest.raises(RunError, match="in use by another command"):
        pipeline.run_steps(run)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stages": {"nunbers": {}}}, "did you mean 'numbers'"),
        ({"stages": {"numbers": {"cuont": 3}}}, "stages.numbers: unknown key 'cuont'; did you mean 'count'"),
        ({"stages": {"numbers": {"count": "many"}}}, "count: expected a number"),
        ({"stages": {"numbers": {}, "double": {"input": ["nmbers"]}}}, "did you mean 'numbers'"),
        ({"stages": {"double": {}}}, "must be a source"),
        ({"stages": {"numbers": {"limit": 0}}}, "at least 1"),
        ({"shard_rows": 0, "stages": {"numbers": {}}}, "shard_rows must be at least 1"),
        ({"stages": {}}, "no steps"),
    ],
)
def test_a_wrong_recipe_is_an_error_that_names_the_key(tmp_path, change, words):
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump({"name": "toy"} | change, sort_keys=False))
    with pytest.raises(RecipeError, match=words):
        pipeline.load_run(tmp_path / "toy.yaml")


RUNNER = textwrap.dedent(
    """
    import sys
    sys.path.insert(0, {here!r})
    from caco_recipes import pipeline
    pipeline.STAGES |= {{"numbers": "toy_numbers", "double": "toy_double"}}
    pipeline.run_steps(pipeline.load_run(sys.argv[1]))
    """
).format(here=str(HERE))


def test_killed_at_any_moment_the_same_command_finishes_with_the_same_bytes(tmp_path):
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    keys = {"count": 60, "shard_rows": 5, "sleep": 0.02, "calls": ""}
    run = pipeline.load_run(recipe(undisturbed, **keys))
    pipeline.run_steps(run)
    path = recipe(tmp_path, **keys)
    killed = 0
    for delay in (0.05, 0.4, 0.1, 0.7, 0.2, 0.3):
        process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, str(path)], start_new_session=True, stderr=subprocess.DEVNULL
        )
        _wait_for_parts(tmp_path / "runs/toy", process)
        time.sleep(delay * 0.2)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
    assert killed >= 1
    subprocess.run([sys.executable, "-c", RUNNER, str(path)], check=True)
    ours, theirs = compared_bytes(tmp_path / "runs/toy"), compared_bytes(run.folder)
    assert ours == theirs


def _wait_for_parts(folder, process):
    """Until the process has written at least one more part, so that every kill hits work under way."""
    before = len(list(folder.rglob("part-*.parquet")))
    while process.poll() is None and len(list(folder.rglob("part-*.parquet"))) <= before:
        time.sleep(0.005)


def test_a_half_written_part_is_not_taken_for_a_part(tmp_path):
    run = pipeline.load_run(recipe(tmp_path))
    pipeline.run_steps(run)
    folder = StepFolder(run.folder / "double")
    manifest = folder.manifest()
    assert json.loads(json.dumps(manifest))["complete"]
    assert folder.finished(0, manifest["fingerprint"]).rows == 10
    assert folder.finished(0, "other work") is None
    assert folder.finished(9, manifest["fingerprint"]) is None
