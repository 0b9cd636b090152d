"""Exports of GRPO rows, each read back; the verifiers package loads in that library where it is installed."""

import asyncio
import importlib.util
import sys

import pyarrow.parquet as pq
import pytest

from caco_recipes import rewards, rl_exports

ROWS = [
    {
        "prompt": [{"role": "user", "content": f"Double {n}."}],
        "answer": str(2 * n),
        "output": str(2 * n),
        "code": f'input = {{"a": {n}}}\ndef double(a):\n    return 2 * a\noutput = double(**input)\nprint(output)\n',
        "input": f'{{"a":{n}}}',
        "family_id": "f",
    }
    for n in (3, 4)
]


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_trl_columns_load_in_datasets_and_feed_the_reward(tmp_path):
    from datasets import load_dataset

    path = rl_exports.export(ROWS, "trl", tmp_path)
    rows = load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert rows[0]["prompt"] == ROWS[0]["prompt"] and set(rows.column_names) == set(ROWS[0])
    columns = {name: rows[name] for name in rows.column_names if name != "prompt"}
    got = asyncio.run(rewards.answer_reward(completions=["\\boxed{6}", "\\boxed{6}"], **columns))
    assert got == [1.0, 0.0]


def test_verl(tmp_path):
    path = rl_exports.export(ROWS, "verl", tmp_path)
    row = pq.read_table(path).to_pylist()[1]
    assert row["reward_model"] == {"style": "rule", "ground_truth": "8"} and row["extra_info"]["index"] == 1
    score = load(tmp_path / "reward.py", "caco_verl_reward").compute_score
    assert score("caco", "\\boxed{8}", "8", row["extra_info"]) == {"score": 1.0, "undecided": 0.0}
    assert score("caco", "\\boxed{9}", "8", row["extra_info"])["score"] == 0.0
    with pytest.raises(ValueError, match="one text"):
        rl_exports.export([ROWS[0] | {"answer": ["1", "2"]}], "verl", tmp_path)


def test_verl_program_reward(tmp_path):
    path = rl_exports.export(ROWS, "verl", tmp_path, reward="program")
    extra = pq.read_table(path).to_pylist()[0]["extra_info"]
    score = load(tmp_path / "reward.py", "caco_verl_program_reward").compute_score
    assert score("caco", f"```python\n{ROWS[0]['code']}```", "6", extra)["score"] == 1.0
    assert score("caco", f"```python\n{ROWS[0]['code'].replace('2 * a', '6')}```", "6", extra)["score"] == 0.0


def test_verl_reads_the_file_and_calls_the_reward(tmp_path):
    dataset = pytest.importorskip("verl.utils.dataset.rl_dataset", reason="verl is not installed: pip install verl")
    from omegaconf import OmegaConf
    from training_models import qwen_style
    from verl.utils.import_utils import load_extern_object

    from caco_recipes.training.text_format import INSTRUCTION

    file = rl_exports.export(ROWS, "verl", tmp_path)
    tokenizer = qwen_style()
    tokenizer.chat_template = INSTRUCTION.chat_template
    keys = {"max_prompt_length": 256, "filter_overlong_prompts_workers": 1, "cache_dir": str(tmp_path / "cache")}
    rows = dataset.RLHFDataset(str(file), tokenizer, OmegaConf.create(keys))
    assert [row["raw_prompt"] for row in rows] == [row["prompt"] for row in ROWS]
    batch = dataset.collate_fn(list(rows))
    assert list(batch["index"]) == [0, 1]
    score = load_extern_object(str(tmp_path / "reward.py"), "compute_score")
    row = rows[0]
    keywords = {"data_source": row["data_source"], "ground_truth": row["reward_model"]["ground_truth"]}
    for text, value in (("\\boxed{6}", 1.0), ("\\boxed{7}", 0.0)):
        assert score(solution_str=text, extra_info=row["extra_info"], **keywords)["score"] == value


def test_verifiers_package_loads_in_the_library(tmp_path):
    pytest.importorskip("verifiers.v1", reason="verifiers is not installed: pip install verifiers")
    package = rl_exports.export(ROWS, "verifiers", tmp_path)
    module = load(package / "__init__.py", "caco_env")
    from verifiers.v1.configs.taskset import TasksetConfig

    tasks = list(module.CacoTaskset(TasksetConfig(id="caco_env")))
    assert [task.data.prompt for task in tasks] == ["Double 3.", "Double 4."]

    class Reply:
        last_reply = "\\boxed{6}"

    assert [asyncio.run(task.verified(Reply())) for task in tasks] == [1.0, 0.0]


def test_verifiers_files(tmp_path):
    package = rl_exports.export(ROWS, "verifiers", tmp_path)
    assert (package / "tasks.jsonl").read_text().count("\n") == 2
    text = (package / "__init__.py").read_text()
    compile(text, "caco_env", "exec")
    assert "rewards.answer_reward" in text and "$" not in text
    assert (tmp_path / "pyproject.toml").is_file()
    with pytest.raises(ValueError, match="expected one of trl, verifiers, verl"):
        rl_exports.export(ROWS, "ray", tmp_path)
