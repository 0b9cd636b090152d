"""The decontaminate stage in a run: verdicts, columns, receipts, options, resume, shards, and the embedding check."""

import json
from pathlib import Path

import pytest

from caco_recipes import decontaminate, identity, pipeline
from caco_recipes.decontamination import Index
from caco_recipes.recipe import RecipeError
from caco_recipes.run_folder import RunError
from tests.stage_runs import dropped, kept, run_stages, write_json_lines

ITEM = (
    "Mr. Berg plants 17 rows of 23 tulips and 14 rows of 31 daffodils in the garden behind his house. A storm breaks 58 of "
    "the flowers during the night. How many flowers are still standing in the garden next morning?"
)
CLEAN = "A cube has a surface of 54 square centimetres. How long is one of its edges?"
TEXTS = {
    "copy": ITEM,
    "edited": ITEM.replace("Mr. Berg", "Mrs. Okafor").replace("still standing", "left upright"),
    "renumbered": ITEM.replace("17", "12").replace("23", "41").replace("14", "16").replace("31", "29"),
    "retold": "58 flowers broke: of the tulips (17 rows, 23 each) and daffodils (14 rows, 31 each), how many stand?",
    "clean": CLEAN,
}


@pytest.fixture
def index(tmp_path: Path) -> Path:
    Index.build("tulips", [ITEM], ["767"], ["i1"]).save(tmp_path / "tulips.npz")
    return tmp_path / "tulips.npz"


def run(folder: Path, index: Path, texts: dict[str, str] = TEXTS, shard_rows: int = 2, **keys) -> pipeline.Run:
    rows = [{"problem": text, "answer": "767"} for text in texts.values()]
    path = write_json_lines(folder / "seeds.jsonl", rows)
    stages = {"seeds": {"sources": [{"path": str(path)}]}, "decontaminate": {"indexes": [str(index)]} | keys}
    return run_stages(folder, stages, shard_rows=shard_rows)


def verdicts(made: pipeline.Run, texts: dict[str, str] = TEXTS) -> dict[str, str]:
    found = {row["problem"]: row["verdict"] for row in kept(made, "decontaminate") + dropped(made, "decontaminate")}
    return {name: found[text] for name, text in texts.items()}


def test_every_disguise_gets_its_verdict(tmp_path, index) -> None:
    made = run(tmp_path, index)
    assert verdicts(made) == {
        "copy": "rejected",
        "edited": "rejected",
        "renumbered": "rejected",
        "retold": "undecided",
        "clean": "accepted",
    }
    rows = {row["problem"]: row for row in dropped(made, "decontaminate")}
    assert {row["reason"] for row in rows.values()} == {"contaminated:tulips"}
    assert {row["contaminated_by"] for row in rows.values()} == {"tulips/i1"}
    edited = rows[TEXTS["edited"]]
    assert edited["contaminated_kind"] == "runs" and edited["contaminated_span"] in TEXTS["edited"]
    assert rows[TEXTS["renumbered"]]["contaminated_kind"] == "changed_numbers"
    assert rows[TEXTS["retold"]]["contaminated_kind"] == "numbers_answer"
    receipt = identity.receipts(edited["lineage"])[-1]
    assert receipt["stage"] == "decontaminate" and receipt["item"] == "tulips/i1" and receipt["column"] == "problem"
    (clean,) = kept(made, "decontaminate")
    assert clean["contaminated_by"] == clean["contaminated_span"] == ""


def test_options_decide_what_the_doubtful_kinds_are(tmp_path, index) -> None:
    made = run(tmp_path, index, changed_numbers="keep", borderline="reject")
    assert verdicts(made)["renumbered"] == "accepted" and verdicts(made)["retold"] == "rejected"
    assert verdicts(made)["copy"] == "rejected"


def test_same_rows_for_any_shards_and_after_a_lost_part(tmp_path, index) -> None:
    seen = []
    for shard_rows in (1, 2, 50):
        (tmp_path / str(shard_rows)).mkdir()
        made = run(tmp_path / str(shard_rows), index, shard_rows=shard_rows)
        seen.append(kept(made, "decontaminate") + dropped(made, "decontaminate"))
    assert seen[0] == seen[1] == seen[2]
    made.step_folder("decontaminate").part(0).unlink()
    pipeline.run_steps(made)
    assert kept(made, "decontaminate") + dropped(made, "decontaminate") == seen[0]


def test_a_changed_index_is_another_step(tmp_path, index) -> None:
    made = run(tmp_path, index)
    Index.build("tulips", [CLEAN], ["3"], ["i1"]).save(index)
    pipeline.run_steps(made)
    assert verdicts(made)["clean"] == "rejected" and verdicts(made)["copy"] == "accepted"


def test_odd_rows_are_no_faults(index) -> None:
    resources = decontaminate.Resources(Index.load(index), "f" * 64)
    texts = [None, "", "x" * 1_000_000, "數學題：求 x 的值。", "\ud800 lone", "Ｅ\x1e\x00", ITEM * 3]
    batch = {"id": list("abcdefg"), "lineage": [""] * 7, "problem": texts}
    done = decontaminate.run(batch, decontaminate.Config(), resources)
    assert done["verdict"] == ["accepted"] * 6 + ["rejected"]
    with pytest.raises(RunError, match="none of the columns"):
        decontaminate.run({"id": ["a"], "lineage": [""]}, decontaminate.Config(), resources)


def test_solutions_are_checked_too(index) -> None:
    resources = decontaminate.Resources(Index.load(index), "f" * 64)
    batch = {"id": ["a"], "lineage": [""], "problem": [CLEAN], "solution": [f"We recall: {ITEM} So 767."]}
    done = decontaminate.run(batch, decontaminate.Config(), resources)
    assert done["reason"] == ["contaminated:tulips"]
    assert json.loads(done["lineage"][0])[-1]["column"] == "solution"


def test_unknown_indexes_are_refused_before_the_run(tmp_path) -> None:
    with pytest.raises(RecipeError, match="did you mean 'gsm8k'"):
        run(tmp_path, "gsm8")


def test_an_embedder_decides_borderline_rows(tmp_path) -> None:
    class Double:
        """Stands for the model: the retold problem lies near the item, the rest doesn't."""

        name = "double"

        def embed(self, texts):
            import numpy as np

            near = [[1.0, 0.0] if "tulips" in text else [0.0, 1.0] for text in texts]
            return np.array(near, np.float32)

    index = Index.build("tulips", [ITEM], ["767"], ["i1"], embedder=Double())
    index.save(tmp_path / "vectors.npz")
    resources = decontaminate.Resources(Index.load(tmp_path / "vectors.npz"), "f" * 64, Double())
    batch = {"id": ["a", "b"], "lineage": ["", ""], "answer": ["767", "767"]}
    batch["problem"] = [TEXTS["retold"], TEXTS["retold"].replace("tulips", "roses")]
    done = decontaminate.run(batch, decontaminate.Config(embedder="double"), resources)
    assert done["verdict"] == ["rejected", "accepted"]
    assert done["contaminated_kind"] == ["numbers_answer"] * 2
