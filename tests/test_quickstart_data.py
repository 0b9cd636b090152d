"""The shipped data: small, licensed, clean of test problems, made by its script, and good for the recorded loop."""

import importlib.util
import json
import time

import pytest
from stage_runs import dropped, kept, run_stages

from caco_recipes.seeds import Config, Source, rows

ALLOWED = {"MIT", "Apache-2.0", "CC0-1.0", "CC-BY-4.0"}
FILES = ("seeds.jsonl", "recorded.jsonl", "gsm8k_test_sample.jsonl", "math_test_sample.jsonl")


@pytest.fixture(scope="module")
def data(root):
    return root / "recipes" / "quickstart" / "data"


@pytest.fixture(scope="module")
def build(data):
    spec = importlib.util.spec_from_file_location("quickstart_data_build", data / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_row_has_a_licence_that_may_be_shipped_and_a_source(data):
    assert sum((data / name).stat().st_size for name in FILES) < 1_500_000
    for name in FILES:
        for row in read(data / name):
            assert row["licence"] in ALLOWED and row["source"], (name, row)


def test_seeds_are_what_the_readme_says(data):
    seeds = list(rows(Config(sources=[Source(path=str(data / "seeds.jsonl"))]), None))
    assert len(seeds) == 309 and not [seed for seed in seeds if seed["reason"]]
    assert len({" ".join(seed["problem"].split()) for seed in seeds}) == 309
    assert all(seed["answer"] for seed in seeds)
    assert sum(bool(seed["program"]) for seed in seeds) == 76
    assert sum(seed["domain"] == "code" for seed in seeds) == 36
    # The first rows are for a real model: no program, and none recorded.
    subjects = {row["subject"] for row in read(data / "recorded.jsonl") if row["stage"] == "unify"}
    assert all(not seed["program"] and seed["problem"] not in subjects for seed in seeds[:24])


def test_recordings_are_the_originals(data):
    seeds = {seed["problem"]: seed for seed in read(data / "seeds.jsonl")}
    for row in read(data / "recorded.jsonl"):
        if row["stage"] == "back_translate":
            assert row["text"] in seeds and "not reversed" in row["source"]
        elif row["stage"] == "solve":
            assert row["text"] == seeds[row["subject"]]["solution"] and row["text"].count("\\boxed") == 1


def test_nothing_touches_a_test_problem(data, build, shared):
    tests = build.Contamination(shared / "data" / "benchmarks")
    trained = [row["problem"] for row in read(data / "seeds.jsonl")]
    trained += [row["text"] for row in read(data / "recorded.jsonl") if row["stage"] == "back_translate"]
    assert not [problem for problem in trained if tests.touches(problem)]
    samples = [row["problem"] for name in FILES[2:] for row in read(data / name)]
    assert len(samples) == 80 and all(tests.touches(problem) for problem in samples if len(problem.split()) > 20)


def test_the_script_gives_the_same_bytes(data, build, shared, tmp_path):
    build.main(shared / "data", tmp_path)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (data / name).read_bytes(), name


def test_the_recorded_loop_runs_in_well_under_a_minute(tmp_path, data):
    started = time.monotonic()
    run = run_stages(
        tmp_path,
        {
            "seeds": {"sources": [{"path": str(data / "seeds.jsonl")}]},
            "unify_recorded": {"stage": "unify", "input": ["seeds"], "engine": "replay", "only": "recorded"},
            "unify_programs": {"stage": "unify", "input": ["seeds"], "method": "mechanical"},
            "execute": {"input": ["unify_recorded", "unify_programs"]},
            "dedup": {},
            "back_translate": {"engine": "replay", "only": "recorded"},
            "solve": {"engine": "replay"},
            "verify": {},
        },
        engines={"replay": {"engine": "recorded", "path": str(data / "recorded.jsonl")}},
    )
    assert len(kept(run, "unify_recorded")) == 209 and len(kept(run, "unify_programs")) == 76
    reasons = [row["reason"] for row in dropped(run, "execute")]
    assert "answer_mismatch" in reasons and len(reasons) < 15
    rows = kept(run, "verify")
    assert len(rows) >= 235
    assert {row["problem_origin"] for row in rows} == {"original"}
    assert all(row["licence"] in ALLOWED for row in rows)
    # A hang or a step that is slow by the hundred, not a benchmark: it takes 20 s on two busy cores.
    assert time.monotonic() - started < 300
