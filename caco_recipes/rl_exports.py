"""Rows of a GRPO recipe for other trainers: TRL columns, a `verifiers` package, verl's Parquet.

    python -m caco_recipes.rl_exports --config recipes/Qwen2.5-Math-7B-Caco/grpo.yaml --format verl --output out/

In:  a GRPO recipe (its data keys; no model is trained, the tokenizer only measures prompts).
Out: trl        `train.parquet`: prompt (chat turns), answer, output (tagged JSON), code, input, family_id
     verifiers  a package folder `caco_env/` with `tasks.jsonl` and a taskset whose reward is ours
     verl       `train.parquet`: data_source, prompt, ability, reward_model {style, ground_truth}, extra_info, and
                `reward.py` for `custom_reward_function.path` (name: compute_score)
"""

import json
import os
import sys
from pathlib import Path
from string import Template
from typing import Any

TEMPLATES = Path(__file__).resolve().parent / "rl_templates"
FORMATS = ("trl", "verifiers", "verl")
VERL_REWARD = '''"""verl's reward: caco_recipes.rewards on one completion. An undecided one counts 0 here: verl knows no missing reward."""

import asyncio

from caco_recipes import rewards


def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    extra = extra_info or {{}}
    columns = {{"answer": [ground_truth], "code": [extra.get("code")], "input": [extra.get("input")]}}
    if extra.get("output"):
        columns["output"] = [extra["output"]]
    (value,) = asyncio.run(rewards.{function}(completions=[solution_str], **columns))
    return {{"score": value or 0.0, "undecided": float(value is None)}}
'''


def export(rows: list[dict[str, Any]], kind: str, folder: Path, reward: str = "answer", split: str = "train") -> Path:
    """Writes `rows` (as `training.grpo_rows.make` gives them) into `folder`; returns the file or package to point at.

    Raises `ValueError` for an unknown format, or for paired rows in verl's (its ground truth is one text).
    """
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "trl":
        return _parquet(rows, folder / f"{split}.parquet")
    if kind == "verifiers":
        return _verifiers(rows, folder, reward)
    if kind == "verl":
        return _verl(rows, folder, reward, split)
    raise ValueError(f"format {kind!r}: expected one of {', '.join(FORMATS)}")


def _verifiers(rows: list[dict[str, Any]], folder: Path, reward: str) -> Path:
    package = folder / "caco_env"
    package.mkdir(exist_ok=True)
    lines = []
    for index, row in enumerate(rows):
        fields = {
            key: row[key] for key in ("answer", "output", "code", "input", "family_id") if row.get(key) is not None
        }
        lines.append(
            json.dumps({"id": str(index), "prompt": row["prompt"][-1]["content"], **fields}, ensure_ascii=False)
        )
    _write(package / "tasks.jsonl", "\n".join(lines) + "\n")
    template = Template((TEMPLATES / "verifiers_taskset.py.txt").read_text(encoding="utf-8"))
    _write(package / "__init__.py", template.substitute(reward=f"{reward}_reward"))
    _write(
        folder / "pyproject.toml",
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n\n[project]\nname = "caco-env"\n'
        'version = "0.1.0"\nrequires-python = ">=3.11"\ndependencies = ["verifiers>=0.4", "caco-recipes"]\n\n'
        '[tool.hatch.build.targets.wheel]\npackages = ["caco_env"]\n',
    )
    return package


def _verl(rows: list[dict[str, Any]], folder: Path, reward: str, split: str) -> Path:
    if any(isinstance(row.get("answer"), list) for row in rows):
        raise ValueError("verl's ground truth is one text: export without paired: true")
    made = [
        {
            "data_source": "caco",
            "prompt": row["prompt"],
            "ability": "math" if reward == "answer" else "code",
            "reward_model": {"style": "rule", "ground_truth": row.get("answer") or ""},
            "extra_info": {
                "split": split,
                "index": index,
                **{key: row.get(key) or "" for key in ("code", "input", "output", "family_id")},
            },
        }
        for index, row in enumerate(rows)
    ]
    _write(folder / "reward.py", VERL_REWARD.format(function=f"{reward}_reward"))
    return _parquet(made, folder / f"{split}.parquet")


def _parquet(rows: list[dict[str, Any]], path: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    temporary = path.with_name(f".{path.name}.tmp")
    pq.write_table(pa.Table.from_pylist(rows), temporary)
    os.replace(temporary, path)
    return path


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def main(arguments: list[str] | None = None) -> int:
    import argparse

    from caco_recipes.recipe import RecipeError

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--config", required=True, help="GRPO recipe")
    parser.add_argument("--format", required=True, choices=FORMATS)
    parser.add_argument("--output", required=True, type=Path, help="folder to write to")
    options, overrides = parser.parse_known_args(arguments)

    from caco_recipes.training import checks, grpo_rows
    from caco_recipes.training.grpo_config import read_grpo_recipe
    from caco_recipes.training.text_format import INSTRUCTION

    try:
        recipe = read_grpo_recipe(options.config, overrides)
        _, tokenizer = checks.load_config_and_tokenizer(recipe)
        tokenizer.chat_template = INSTRUCTION.chat_template
        rows, counts = grpo_rows.make(recipe, tokenizer)
        written = export(rows, options.format, options.output, recipe.data.reward)
    except (RecipeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{counts['rows']:,} rows -> {written}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
