"""Benchmarks from the Hub's protocol on loopback, and results in the Hub's own forms."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import localhub
import pytest
import yaml

from caco_recipes import evaluate
from caco_recipes.evaluation import hub_results
from caco_recipes.evaluation.benchmarks import BENCHMARKS
from caco_recipes.evaluation.loading import Problem, Problems
from caco_recipes.evaluation.metrics import wilson
from caco_recipes.evaluation.protocols import PAPER, STRICT
from caco_recipes.evaluation.results import Evaluation, ModelResult
from caco_recipes.evaluation.scores import BenchmarkScore, ProtocolScore

ROOT = Path(__file__).resolve().parent.parent

# In a process of its own: the Hub's address is read when huggingface_hub is imported.
LOAD = """
import json, sys
from dataclasses import replace
from huggingface_hub import HfApi
from caco_recipes.evaluation.benchmarks import BENCHMARKS
from caco_recipes.evaluation.loading import BenchmarkError, load

def moved(name):  # the same benchmark in the namespace that the loopback Hub lets us write to
    hub = BENCHMARKS[name].hub
    return replace(BENCHMARKS[name], hub=replace(hub, name="tester/" + hub.name.split("/")[1]))

def upload(name, rows, folder=""):
    api = HfApi()
    api.create_repo(name, repo_type="dataset", exist_ok=True)
    text = "".join(json.dumps(row) + "\\n" for row in rows)
    api.upload_file(path_or_fileobj=text.encode(), path_in_repo=f"{folder}test.jsonl", repo_id=name, repo_type="dataset")
    return api.dataset_info(name).sha

row = {"problem": "P", "solution": "S", "answer": "7", "subject": "Algebra", "level": 2, "unique_id": "test/a/1.json"}
first = upload("tester/MATH-500", [row, row | {"unique_id": "test/a/2.json"}])
found = load(moved("math500"), expected=2)
out = {"first": first, "revision": found.revision, "ids": [item.id for item in found.items], "source": found.source}
second = upload("tester/MATH-500", [{"problem": "P", "answer": "7"}])
pinned = load(moved("math500"), expected=2, revision=first)
out["pinned"] = [pinned.revision, pinned.fingerprint == found.fingerprint]
errors = []
for name, keywords in (("math500", {}), ("math500", {"revision": first}), ("minerva_math", {})):
    try:
        load(moved(name), **keywords)
    except BenchmarkError as error:
        errors.append(str(error))
out["errors"] = errors
for task in BENCHMARKS["agieval"].hub.configs:
    upload(f"tester/agieval-{task}", [{"query": f"Q: {task}? Answer Choices: (A)1 (B)2", "choices": ["(A)1", "(B)2"], "gold": [1]}])
agieval = load(moved("agieval"), expected=9)
out["agieval"] = [agieval.items[0].subset, agieval.items[8].problem, agieval.items[3].answer]
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("hub")
    server = localhub.serve(folder / "hub")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {name: os.environ[name] for name in ("PATH", "OMP_NUM_THREADS") if name in os.environ} | {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(folder / "home"),
        "HF_TOKEN": "hf_writeSecretTokenOfTheTest0001",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "PYTHONPATH": str(ROOT),
    }
    run = subprocess.run(
        [sys.executable, "-c", LOAD], env=environment, cwd=folder, capture_output=True, text=True, timeout=300
    )
    server.shutdown()
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.strip().splitlines()[-1])


def test_the_commit_that_was_read_is_recorded(loaded):
    assert loaded["revision"] == loaded["first"] and len(loaded["first"]) == 40
    assert loaded["ids"] == ["test/a/1.json", "test/a/2.json"] and loaded["source"] == "tester/MATH-500"


def test_a_pinned_commit_stays_what_it_was(loaded):
    assert loaded["pinned"] == [loaded["first"], True]


def test_what_changed_on_the_hub_is_said(loaded):
    columns, number, absent = loaded["errors"]
    assert "the columns unique_id are missing" in columns and "name a revision" in columns
    assert "MATH-500 has 500 problems, this has 2" in number
    assert "tester/minervamath can't be had from the Hub" in absent and "--data.minerva_math FILE" in absent


def test_a_benchmark_of_several_data_sets(loaded):
    assert loaded["agieval"] == ["aqua-rat", "sat-math?", "B"]


def made_evaluation(items: int) -> Evaluation:
    benchmark = BENCHMARKS["gsm8k"]
    problem = Problem(benchmark="gsm8k", id="1", problem="P", answer="1")
    problems = Problems(
        benchmark=benchmark,
        items=(problem,) * items,
        source="openai/gsm8k",
        revision=benchmark.hub.revision,
        fingerprint="0" * 64,
        total=benchmark.problems,
    )
    estimate = wilson(round(0.926 * items), items)
    protocol = ProtocolScore(estimate, round(0.926 * items), items, 1, 0, estimate.value)
    score = BenchmarkScore("gsm8k", {PAPER: protocol, STRICT: protocol}, [], 0.0, 0, {"mean": 1.0})
    model = ModelResult("tuned", "LHL3341/Qwen2.5-Math-7B-Caco", "id", {"gsm8k": score})
    return Evaluation("paper", [model], {"gsm8k": problems}, {}, {}, {"frame": "caco"})


def test_eval_results_are_what_the_hub_s_library_reads(tmp_path):
    from huggingface_hub import ModelCard, parse_eval_result_entries
    from huggingface_hub.repocard_data import model_index_to_eval_results

    evaluation = made_evaluation(1319)
    written = hub_results.write_hub_results(evaluation, evaluation.models[0], tmp_path)
    [entry] = parse_eval_result_entries(yaml.safe_load((tmp_path / ".eval_results" / "caco.yaml").read_text()))
    assert (entry.dataset_id, entry.task_id, entry.value) == ("openai/gsm8k", "main", 92.57)
    assert (
        entry.dataset_revision == BENCHMARKS["gsm8k"].hub.revision and "caco-paper protocol, zero-shot" in entry.notes
    )
    index = yaml.safe_load((tmp_path / "model-index.yaml").read_text())
    name, results = model_index_to_eval_results(index["model-index"])
    assert name == "Qwen2.5-Math-7B-Caco" and {result.metric_value for result in results} == {92.57}
    card = ModelCard(f"---\n{(tmp_path / 'model-index.yaml').read_text()}---\n# Card\n")
    assert len(card.data.eval_results) == 2 and len(written) == 2


def test_a_part_of_a_benchmark_is_no_leaderboard_entry(tmp_path):
    evaluation = made_evaluation(40)
    hub_results.write_hub_results(evaluation, evaluation.models[0], tmp_path)
    assert not (tmp_path / ".eval_results").exists()
    assert "40 items" in (tmp_path / "model-index.yaml").read_text()


def test_a_released_model_finds_its_row():
    config = evaluate.Config(benchmarks=["math"])
    assert evaluate._paper_row(config, "LHL3341/Llama3-8B-Caco@abc") == "Caco-1.3M-LLaMA3-8B"
    assert evaluate._paper_row(config, "models/mine") == ""
