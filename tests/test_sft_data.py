"""Rows for training: run folders, mapping, draws, mixtures, streams; the card's table; what other ranks do."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from training_models import qwen_style, save_model

from caco_recipes.recipe import RecipeError
from caco_recipes.training import card, data, tokens
from caco_recipes.training.config import DataConfig, SFTRecipe, Source

FIELDS = ("instruction", "output")


def parquet(path: Path, numbers, **columns) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"instruction": f"q{n}", "output": f"a{n}", "extra": n, **columns} for n in numbers]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def loaded(path, **keys):
    return data.load_rows(DataConfig(text_format="instruction", dataset_path=[str(path)], **keys), FIELDS)


def test_a_step_folder_gives_its_accepted_parts_only(tmp_path):
    parquet(tmp_path / "part-00001.parquet", [2, 3])
    parquet(tmp_path / "part-00000.parquet", [0, 1])
    parquet(tmp_path / "part-00000.rejected.parquet", [90])
    parquet(tmp_path / "part-00000.timing.parquet", [91])
    (tmp_path / "manifest.json").write_text("{}")
    rows = loaded(tmp_path)
    assert rows["instruction"][:] == ["q0", "q1", "q2", "q3"] and set(rows.column_names) == set(FIELDS)


def test_a_published_folder_gives_its_train_split(tmp_path):
    parquet(tmp_path / "data" / "train-00000-of-00001.parquet", [0, 1])
    parquet(tmp_path / "data" / "rejected-00000-of-00001.parquet", [9])
    assert loaded(tmp_path)["output"][:] == ["a0", "a1"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecipeError, match=r"holds no part-\*\.parquet"):
        loaded(tmp_path / "empty")


def test_columns_are_mapped(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"problem": "p", "solution": "s"}) + "\n")
    rows = loaded(path, columns={"instruction": "problem", "output": "solution"})
    assert rows[0] == {"instruction": "p", "output": "s"}
    with pytest.raises(RecipeError, match="has no column 'instruction'"):
        loaded(path)


def test_a_draw_does_not_depend_on_order_or_files_and_is_nested(tmp_path):
    one = parquet(tmp_path / "one" / "part-00000.parquet", range(40)).parent
    two = parquet(tmp_path / "two" / "part-00000.parquet", range(39, 19, -1)).parent
    parquet(tmp_path / "two" / "part-00001.parquet", range(20))
    ten = loaded(one, dataset_rows=10)["instruction"][:]
    assert loaded(two, dataset_rows=10)["instruction"][:] == ten
    assert loaded(one, dataset_rows=25)["instruction"][:10] == ten
    assert loaded(one, dataset_rows=10, dataset_seed=7)["instruction"][:] != ten
    with pytest.raises(RecipeError, match="41 rows were asked for and there are 40"):
        loaded(one, dataset_rows=41)


def mixture(tmp_path, weights, **keys):
    a, b = parquet(tmp_path / "a.parquet", range(100)), parquet(tmp_path / "b.parquet", range(1000, 1030))
    sources = [Source(path=[str(path)], weight=weight) for path, weight in zip((a, b), weights)]
    return data.load_rows(DataConfig(text_format="instruction", dataset_mixture=sources, **keys), FIELDS)


def test_mixtures(tmp_path):
    def shares(rows):
        from_b = sum(int(text[1:]) >= 1000 for text in rows["instruction"])
        return len(rows) - from_b, from_b

    assert shares(mixture(tmp_path, (None, None))) == (100, 30)
    assert shares(mixture(tmp_path, (2, 1))) == (60, 30)  # as large as the scarcest source allows
    assert shares(mixture(tmp_path, (2, 1), dataset_rows=30)) == (20, 10)
    same = [mixture(tmp_path, (2, 1), dataset_rows=30)["instruction"][:] for _ in range(2)]
    assert same[0] == same[1]
    with pytest.raises(RecipeError, match=r"b\.parquet: 50 rows were asked for"):
        mixture(tmp_path, (1, 1), dataset_rows=100)
    with pytest.raises(ValueError, match="every source a weight, or none"):
        mixture(tmp_path, (1, None))


def recipe_for(tmp_path, path, training=None, **keys) -> SFTRecipe:
    return SFTRecipe(
        path="r.yaml",
        data=DataConfig(text_format="instruction", dataset_path=[str(path)], token_cache=str(tmp_path / "c"), **keys),
        training={"output_dir": str(tmp_path / "out"), "max_length": 64} | (training or {}),
        model={"model_name_or_path": "m"},
    )


def test_held_out_rows_are_not_trained_on(tmp_path):
    path = parquet(tmp_path / "rows.parquet", range(30))
    made = tokens.prepare(recipe_for(tmp_path, path, eval_rows=5), qwen_style())
    train, held = ({tuple(ids) for ids in part["input_ids"]} for part in (made.train, made.evaluation))
    assert (len(train), len(held)) == (25, 5) and not train & held


def test_a_stream_gives_the_same_rows_and_counts_them(tmp_path):
    path = parquet(tmp_path / "rows.parquet", range(30))
    stream = tokens.prepare(recipe_for(tmp_path, path, dataset_streaming=True, shuffle_buffer=4), qwen_style())
    whole = tokens.prepare(recipe_for(tmp_path, path), qwen_style())
    assert stream.counts["outcomes"] == {}
    rows = list(stream.train)
    assert stream.counts["outcomes"] == {"kept": 30}
    assert sorted(row["labels"] for row in rows) == sorted(whole.train["labels"])
    assert [row["input_ids"] for row in rows] != whole.train["input_ids"][:]


@pytest.mark.parametrize("packing", [False, True])
def test_training_from_a_stream(tmp_path, packing):
    import yaml

    from caco_recipes import sft

    save_model(tmp_path / "model")
    path = parquet(tmp_path / "rows.parquet", range(30))
    keys = {
        "model_name_or_path": str(tmp_path / "model"), "text_format": "instruction", "dataset_path": str(path),
        "dataset_streaming": True, "output_dir": str(tmp_path / "out"), "max_steps": 3, "max_length": 64,
        "per_device_train_batch_size": 2, "packing": packing, "bf16": False, "use_cpu": True, "report_to": "none",
        "gradient_checkpointing": False, "save_strategy": "no", "logging_steps": 1,
    }  # fmt: skip
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(keys))
    assert sft.main(["--config", str(tmp_path / "r.yaml")]) == 0
    assert json.loads((tmp_path / "out" / "training_summary.json").read_text())["rows_by_outcome"]["kept"] >= 6


def test_evaluation_table(tmp_path):
    (tmp_path / "a.json").write_text(
        json.dumps({"results": [{"benchmark": "math", "items": 500, "accuracy": 0.5, "interval": [0.45, 0.55]}]})
    )
    (tmp_path / "b.json").write_text(json.dumps({"benchmark": "gsm8k", "items": 10, "accuracy": 0.1}))
    table = card.evaluation_table([str(tmp_path / "a.json"), str(tmp_path / "b.json")])
    assert "| math | 500 | 50.0 | 45.0 – 55.0 |" in table and "| gsm8k | 10 | 10.0 | – |" in table
    assert "Not evaluated" in card.evaluation_table([])
    (tmp_path / "c.json").write_text("[]x")
    with pytest.raises(ValueError, match=r"c\.json can't be read"):
        card.evaluation_table([str(tmp_path / "c.json")])


def test_tokens_of_many_processes(tmp_path, monkeypatch):
    path = parquet(tmp_path / "rows.parquet", range(30))
    alone = tokens.prepare(recipe_for(tmp_path / "x", path), qwen_style())
    spread = tokens.prepare(recipe_for(tmp_path / "y", path, {"dataset_num_proc": 2}), qwen_style())
    assert alone.key == spread.key and alone.train["input_ids"][:] == spread.train["input_ids"][:]
    # Another rank of the same machine finds what the first one made, and makes nothing.
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(tokens, "_build", None)
    assert tokens.prepare(recipe_for(tmp_path / "x", path), qwen_style()).counts == alone.counts


def test_no_matplotlib_is_no_reason_to_stop_training(tmp_path, monkeypatch, capsys):
    import importlib.util

    from caco_recipes.training import progress, reward_progress

    progress.can_plot.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    progress.plot_loss([{"step": 1, "loss": 1.0}], tmp_path / "loss.png")
    reward_progress.plot_reward([{"step": 1, "reward": 1.0}], tmp_path / "reward.png")
    assert not list(tmp_path.iterdir()) and capsys.readouterr().out.count("matplotlib is not installed") == 1
    progress.can_plot.cache_clear()
