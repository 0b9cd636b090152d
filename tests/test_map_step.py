"""How shards become parts: several at work at once with the same bytes, and rows that the stage's code can't bear."""

import json
from pathlib import Path

import pytest
from stage_runs import recording, run_stages, write_json_lines

from caco_recipes import identity, pipeline

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def toy_stages(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setitem(pipeline.STAGES, "numbers", "toy_numbers")
    monkeypatch.setitem(pipeline.STAGES, "fragile", "toy_fragile")


def fragile(folder, count=20, shard_rows=10, shards_at_once=None, **keys):
    folder.mkdir(exist_ok=True)
    stages = {"numbers": {"count": count}, "fragile": keys}
    return run_stages(folder, stages, shard_rows=shard_rows, shards_at_once=shards_at_once)


def events(run, kind):
    lines = (run.folder / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def test_shards_are_at_work_together_and_their_parts_are_in_order(tmp_path):
    run = fragile(tmp_path, count=40, shards_at_once=4, meet=4)  # each waits until four have begun
    assert [row["square"] for row in run.step_folder("fragile").read()] == [n * n for n in range(40)]
    assert [part["index"] for part in run.step_folder("fragile").manifest()["parts"]] == [0, 1, 2, 3]
    assert len(events(run, "part")) == 8


def test_parts_and_their_tokens_are_the_same_however_many_are_at_once(tmp_path):
    seeds = [{"problem": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(30)]
    answers = [recording("unify", seed["problem"], f"```python\nprint({n})\n```") for n, seed in enumerate(seeds)]
    contents = []
    for at_once in (1, 5):
        folder = tmp_path / str(at_once)
        folder.mkdir()
        path = write_json_lines(tmp_path / "seeds.jsonl", seeds)
        stages = {"seeds": {"sources": [{"path": str(path)}]}, "unify": {"engine": "recorded"}}
        run = run_stages(folder, stages, answers[:20], shard_rows=4, shards_at_once=at_once)
        contents.append({p.name: p.read_bytes() for p in (run.folder / "unify").glob("*.parquet")})
        parts = run.step_folder("unify").manifest()["parts"]
        assert [part["facts"]["requests"] for part in parts] == [4] * 7 + [2]
    assert contents[0] == contents[1]


def test_a_row_that_the_stage_can_not_bear_is_put_aside_alone(tmp_path):
    run = fragile(tmp_path, count=30, raises=["KeyError:13", "MemoryError:17"])
    folder = run.step_folder("fragile")
    assert [row["number"] for row in folder.read()] == [n for n in range(30) if n not in (13, 17)]
    aside = {row["number"]: row for row in folder.read("rejected")}
    assert (aside[13]["verdict"], aside[13]["reason"]) == ("undecided", "infrastructure:KeyError in fragile")
    assert (aside[17]["verdict"], aside[17]["reason"]) == ("rejected", "memory:fragile")
    assert identity.receipts(aside[13]["lineage"])[-1]["lost"] == "KeyError"
    assert aside[13]["square"] is None
    [lost, _] = sorted(events(run, "row_lost"), key=lambda event: event["why"])
    assert lost["why"] == "KeyError" and lost["where"].startswith("toy_fragile.py:")


def test_a_stage_that_raises_for_many_rows_or_a_run_that_fails_is_an_error(tmp_path):
    with pytest.raises(KeyError):
        fragile(tmp_path / "many", raises=[f"KeyError:{n}" for n in range(5)])
    with pytest.raises(RuntimeError):
        fragile(tmp_path / "machinery", raises=["RuntimeError:3"])


def test_what_other_shards_had_finished_is_kept_when_one_fails(tmp_path):
    # Both begin before either goes on; the second fails, the first is finished all the same.
    with pytest.raises(RuntimeError):
        fragile(tmp_path, shards_at_once=2, meet=2, raises=["RuntimeError:13"])
    made = sorted(path.name for path in (tmp_path / "runs/test/fragile").glob("part-*.parquet"))
    assert made == ["part-00000.parquet", "part-00000.rejected.parquet"]
