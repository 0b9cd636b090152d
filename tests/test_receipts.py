"""Receipts: every row of a recorded run, kept or rejected, carries its whole chain; what is published replays; no token."""

import json
import os
import shutil
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from caco_recipes.chain import PUBLISHED, gaps, published_gaps
from caco_recipes.funnel import read_run
from caco_recipes.identity import add_receipt, receipts
from caco_recipes.report import write_report

TOKEN = "hf_aTokenThatNobodyMayEverSeeAgain01"
RECIPE = "recipes/quickstart/recorded.yaml"


def caco(root, *words, **environment):
    settings = os.environ | environment
    command = [sys.executable, "-m", "caco_recipes", *map(str, words)]
    return subprocess.run(command, cwd=root, env=settings, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def run(root, tmp_path_factory):
    """The whole recorded loop, by the command, in an environment that holds a token."""
    folder = tmp_path_factory.mktemp("recorded")
    done = caco(root, "run", RECIPE, "--output_dir", folder, HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return folder / "quickstart-recorded"


def test_every_row_has_its_whole_chain_as_far_as_it_came(run):
    rows = incomplete = 0
    for step in read_run(run):
        if step.folder is None or not step.has_rows:
            continue
        for kind in ("", "rejected"):
            for row in step.folder.read(kind):
                rows += 1
                lacks = gaps(row["lineage"], accepted=kind == "")
                incomplete += bool(lacks)
                assert not lacks, (step.name, kind, row["id"], lacks)
                assert receipts(row["lineage"])[-1]["stage"] == step.stage
                assert (row["reason"] == "") == (row["verdict"] == "accepted")
    assert rows > 1800 and not incomplete


def test_a_published_row_tells_seed_program_execution_requests_and_verdicts(run):
    rows = pq.read_table(run / "publish" / "dataset" / "data").to_pylist()
    seeds = {row["id"] for row in pq.read_table(run / "publish" / "dataset" / "seeds").to_pylist()}
    assert len(rows) > 200
    for row in rows:
        assert not published_gaps(row)
        chain = {receipt["stage"]: receipt for receipt in receipts(row["lineage"])}
        assert chain["unify"]["seed"] in seeds and chain["unify"]["seed"] in row["parent_ids"]
        assert len(chain["execute"]["program_sha256"]) == len(chain["execute"]["output_sha256"]) == 64
        assert set(chain["execute"]["limits"]) == {"cpu_seconds", "slow_cpu_seconds", "memory_mb"}
        for stage in ("unify", "solve"):
            receipt = chain[stage]
            assert receipt.get("model", "").startswith("recorded") or receipt["method"] == "mechanical"
        assert chain["solve"]["sampling"]["max_tokens"] > 0 and len(chain["solve"]["request_key"]) == 64
        assert chain["verify"]["grader"] and chain["verify"]["answer_rule"]


def test_the_audit_of_what_is_published_holds_in_full(root, run):
    done = caco(root, "audit", run / "publish" / "dataset")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    count = str(pq.read_table(run / "publish" / "dataset" / "data").num_rows)
    assert lines[0] == [count, "rows", "replayed"] and lines[1] == [count, "hold"]
    assert lines[2][0] == lines[3][0] == "0" and lines[4][0] == "100.00%"
    assert f"{count}  rows carry a whole chain of receipts" in done.stdout and "lack:" not in done.stdout


def test_an_audit_says_what_a_chain_lacks(root, run, tmp_path):
    rows = pq.read_table(run / "publish" / "dataset" / "data").to_pylist()[:3]
    chain = receipts(rows[0]["lineage"])
    next(receipt for receipt in chain if receipt["stage"] == "verify").pop("grader")
    rows[0]["lineage"] = json.dumps(chain)
    rows[1]["lineage"] = ""
    (tmp_path / "cut.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = caco(root, "audit", tmp_path / "cut.jsonl")
    assert "1  rows carry a whole chain" in done.stdout
    assert "lack: verify without grader" in done.stdout and "lack: no receipt" in done.stdout


def test_what_a_receipt_needs():
    lineage = add_receipt("", stage="seeds", version=1, dataset="d", content="c", row=1)
    assert gaps(lineage, True) == [] and gaps(lineage, True, PUBLISHED) == ["no execute", "no solve", "no verify"]
    model = add_receipt(lineage, stage="unify", version=2, seed="s", method="model", model="m")
    assert gaps(model, True) == ["unify without request_key", "unify without sampling", "unify without prompt_sha256"]
    assert gaps(add_receipt(lineage, stage="solve", version=2, lost="KeyError"), False) == []
    assert gaps(add_receipt("", stage="unify", version=1, seed="s", method="mechanical"), True)[0].startswith("begins")


def test_no_token_in_anything_that_a_run_leaves(root, run, tmp_path):
    """Neither in the run's own files, nor in what is made of it afterwards with a token at hand."""
    copy = shutil.copytree(run, tmp_path / "run")
    row = next(iter(pq.read_table(run / "publish" / "dataset" / "data", columns=["id"]).to_pylist()))
    for words in (
        ["status", copy, "--json"],
        ["why", row["id"], "--run", copy],
        ["report", copy],
        ["replay", row["id"], "--run", copy],
    ):
        done = caco(root, *words, HF_TOKEN=TOKEN)
        assert done.returncode == 0 and TOKEN not in done.stdout + done.stderr, (words, done.stderr)
    write_report(copy)
    found = [path for path in copy.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert not found
