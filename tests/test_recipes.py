"""Every YAML under recipes/ and accelerate_configs/ parses, and every SFT recipe's command runs as far as it can here."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from training_models import save_model

from caco_recipes import pipeline
from caco_recipes.pipeline import load_run
from caco_recipes.recipe import RecipeError, load_yaml
from caco_recipes.training.config import read_recipe

ROOT = Path(__file__).resolve().parent.parent
RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))
CONFIGS = sorted((ROOT / "accelerate_configs").glob("*.yaml"))
SFT = [path for path in RECIPES if "sft" in path.stem]
GRPO = [path for path in RECIPES if "grpo" in path.stem]
PROGRAM = 'input = {"a": NUMBER}\ndef double(a):\n    return 2 * a\noutput = double(**input)\nprint(output)\n'


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def command_of(path: Path) -> str:
    return path.read_text().splitlines()[1].removeprefix("# ")


@pytest.mark.parametrize("path", RECIPES, ids=name)
def test_parses_and_says_how_to_run(path):
    assert load_yaml(path)
    first, second = path.read_text().splitlines()[:2]
    assert first.startswith("# "), "line 1 names the hardware"
    assert re.match(r"# (accelerate launch|caco) ", second), "line 2 is the command"
    # A folder's recipe may be started by naming the folder.
    assert name(path) in second or str(path.parent.relative_to(ROOT)) in second


@pytest.mark.parametrize("path", SFT, ids=name)
def test_sft_recipe_is_typed_and_keeps_its_batch(path):
    recipe = read_recipe(path, [])
    first = path.read_text().splitlines()[0]
    assert "global batch" in first or "rows per step" in first
    config = load_yaml(ROOT / re.search(r"--config_file (\S+)", command_of(path))[1])
    keys = recipe.training
    batch = keys["per_device_train_batch_size"] * keys["gradient_accumulation_steps"] * config["num_processes"]
    if "quickstart" not in path.parts and not keys.get("packing"):
        assert batch == 128, "the paper's global batch"
    if match := re.search(r"global batch (\d+)", first):
        assert batch == int(match[1])


@pytest.mark.parametrize("path", [path for path in SFT if "quickstart" not in path.parts], ids=name)
def test_the_papers_hyperparameters(path):
    keys = read_recipe(path, []).training
    assert keys["lr_scheduler_type"] == "cosine" and keys["warmup_steps"] == 0.03 and keys["weight_decay"] == 0.1
    assert keys["seed"] == 42
    if not re.search("lora|8bit", path.stem):
        assert keys["learning_rate"] == 5e-6
    if path.parent.name == "Caco-CodeGen":
        assert (keys["num_train_epochs"], keys["max_length"]) == (
            (3, 4096) if path.stem == "sft_paper_text" else (1, 2048)
        )
    else:
        assert (keys["num_train_epochs"], keys["max_length"]) == (3, 4096)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """What stands in for the 7B model and the Hub's data: everything else of the recipe stays as it is."""
    folder = tmp_path_factory.mktemp("small")
    save_model(folder / "model")
    config = json.loads((folder / "model" / "config.json").read_text())
    # 4096 positions like the smallest of the real bases, so that max_length is checked as with it.
    (folder / "model" / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 4096}))
    rows = [
        {"instruction": f"q{n}", "problem": f"q{n}", "output": "a", "solution": "a", "code": "x = 1"}
        | {"domain": "algebra", "program": PROGRAM.replace("NUMBER", str(n + 12))}
        for n in range(9)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def dry_run_words(path: Path, small: Path) -> list[str]:
    """What the header's command gives our module, with stand-ins for the base model and the data added."""
    launcher, _, ours = command_of(path).partition(" -m caco_recipes.sft ")
    assert re.fullmatch(r"accelerate launch --config_file accelerate_configs/\w+\.yaml", launcher), "other words"
    words = [*shlex.split(ours), "--dry-run", "--token_cache", str(small / "cache")]
    words += ["--model_name_or_path", str(small / "model"), "--dataset_path", str(small / "rows.jsonl")]
    keys = load_yaml(path)
    if "dataset_name" in keys:
        words += ["--dataset_name", "none"]
    if "dataset_rows" in keys:
        words += ["--dataset_rows", "5"]
    return words


@pytest.mark.parametrize("path", SFT, ids=name)
def test_the_header_command_of_every_sft_recipe(path, small, capsys, monkeypatch):
    from caco_recipes import sft

    monkeypatch.chdir(ROOT)
    assert sft.main(dry_run_words(path, small)) == 0, capsys.readouterr().err
    shown = capsys.readouterr().out
    assert f"rows: {5 if 'dataset_rows' in load_yaml(path) else 9}" in shown and "--- row 3" in shown
    if load_yaml(path).get("condition_on") == "domain":
        assert "algebra" in shown and "x = 1<|im_end|>⟧" in shown
    elif load_yaml(path)["text_format"] == "codegen":
        assert "<|im_start|>user\n⟦x = 1<|im_end|>⟧" in shown
    else:
        assert "### Response:\n⟦a<|endoftext|>⟧" in shown


ON_A_CPU = [path for path in SFT + GRPO if "accelerate_configs/cpu.yaml" in command_of(path)]


@pytest.mark.parametrize("path", ON_A_CPU, ids=name)
def test_a_header_command_as_it_is_typed(path, small):
    """All words of the second line, accelerate's too, in a process of their own, with stand-ins and --dry-run added.

    The other recipes name launch configurations of GPUs; of theirs the module and its words are run above.
    """
    words = shlex.split(command_of(path))
    assert words[:2] == ["accelerate", "launch"]
    if path in SFT:
        added = dry_run_words(path, small)[2:]
    else:
        added = [
            "--dry-run",
            "--model_name_or_path",
            str(small / "model"),
            "--dataset_path",
            str(small / "rows.jsonl"),
        ]
        added += ["--columns", "{problem: problem, code: program}", "--max_completion_length", "64"]
    words = [sys.executable, "-m", "accelerate.commands.launch", *words[2:], *added]
    done = subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, timeout=120, env=os.environ | {"FORCE_COLOR": "1"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    green = {"codegen_sft": "x = 1<|im_end|>", "reasoner_sft": "a<|endoftext|>"}
    if path in SFT:
        assert f"\033[1;32m{green[path.stem]}\033[0m" in done.stdout, "the loss is green"
    else:
        assert "--- row 1; gold" in done.stdout


PIPELINES = [path for path in RECIPES if "stages" in load_yaml(path)]


@pytest.mark.parametrize("path", PIPELINES, ids=name)
def test_every_step_of_a_pipeline_is_known_and_typed(path):
    assert load_run(path).steps


@pytest.mark.parametrize("folder", ["Caco-1.3M", "quickstart"])
def test_the_trusted_recipes_have_every_check_and_run_dry(folder, tmp_path):
    path = ROOT / "recipes" / folder / "trusted.yaml"
    run = load_run(path)
    stages = [step.stage for step in run.steps]
    assert stages.count("decontaminate") == 2, "seeds and rows"
    checks = ["program_keys", "dedup", "metamorphic", "faithful", "variants", "verify", "dedup", "decontaminate"]
    places = iter(stages)
    assert all(stage in places for stage in ["decontaminate", *checks, "publish", "report"]), stages
    by_name = {step.name: step.config for step in run.steps}
    assert "renamed" in by_name["code_cots"].levels and "minhash" in by_name["distinct"].levels
    assert by_name["distinct"].keep_variants and 0 < by_name["publish"].test_share < 0.5
    words = [sys.executable, "-m", "caco_recipes", "run", str(path), "--dry-run", "--output_dir", str(tmp_path)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert all(f". {step.name} [{step.stage}]" in done.stdout for step in run.steps)


def test_the_trusted_quickstart_runs_on_recorded_data_and_splits_by_family(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    overrides = {"output_dir": str(tmp_path), "stages.seeds.limit": 110, "stages.publish.test_share": 0.3}
    run = load_run(ROOT / "recipes" / "quickstart" / "trusted.yaml", overrides)
    pipeline.run_steps(run)
    files = (run.folder / "publish" / "dataset" / "data").glob("*.parquet")
    families = {}
    for path in files:
        families.setdefault(path.name.partition("-")[0], set()).update(
            pq.read_table(path, columns=["family_id"])["family_id"].to_pylist()
        )
    assert set(families) == {"train", "test"} and not families["train"] & families["test"]
    assert len(families["train"]) > 10 and len(families["test"]) > 3


@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_launch_configuration(path):
    """Accelerate reads it. The FSDP and DeepSpeed ones can't run here: this checks their keys, nothing more."""
    from accelerate.commands.config.config_args import ClusterConfig

    config = ClusterConfig.from_yaml_file(str(path))
    assert path.read_text().startswith("# ")
    keys = load_yaml(path)
    nodes = 2 if "2nodes" in path.stem else 1
    assert config.num_machines == nodes
    if keys.get("use_cpu"):
        assert str(config.distributed_type).rsplit(".")[-1] in ("NO", "MULTI_GPU"), "MULTI_CPU starts one process"
        return
    assert config.num_processes == (1 if path.stem == "single_gpu" else 8 * nodes)
    assert config.mixed_precision == "bf16"
    if path.stem.startswith("zero"):
        assert keys["deepspeed_config"]["zero_stage"] == int(path.stem[4])
    if path.stem.startswith("fsdp2"):
        assert keys["fsdp_config"]["fsdp_version"] == 2


def test_every_recipe_names_a_launch_configuration_that_exists():
    for path in SFT + GRPO:
        assert (ROOT / re.search(r"--config_file (\S+)", command_of(path))[1]).is_file(), name(path)


# What is refused, before anything is loaded

BASE = {
    "model_name_or_path": "m",
    "text_format": "instruction",
    "dataset_path": "rows.jsonl",
    "output_dir": "out",
}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"learning_rte": 1}, "unknown key 'learning_rte'; did you mean 'learning_rate'"),
        ({"torch_dtype": "bfloat16"}, "unknown key 'torch_dtype'; it is now dtype"),
        ({"warmup_ratio": 0.1}, "it is now warmup_steps"),
        ({"max_seq_length": 10}, "it is now max_length"),
        ({"per_device_train_batch_size": 2.5}, "per_device_train_batch_size: expected a whole number"),
        ({"learning_rate": "fast"}, "learning_rate: expected a number"),
        ({"packing": "yes please"}, "packing: expected true or false"),
        ({"dtype": "bf16"}, "dtype: 'bf16' is not one of auto, bfloat16"),
        ({"packing_strategy": "ffd"}, "packing_strategy: 'ffd' is not one of bfd"),
        ({"lr_scheduler_type": "cosin"}, "did you mean 'cosine'"),
        ({"eval_strategy": False}, "write 'no' in quotes"),
        ({"optim": "adam"}, "optim: 'adam' is not one of"),
        ({"text_format": "alpaca"}, "'alpaca' \\(str\\) is not one of codegen, codegen_domain, instruction"),
        ({"overlong": "split"}, "is not one of truncate, drop"),
        ({"dataset_name": "a/b"}, "exactly one of dataset_name"),
        ({"dataset_text_field": "text"}, "'dataset_text_field' has no effect here"),
        ({"completion_only_loss": True}, "has no effect here: the loss is on the completion alone"),
        ({"dataset_rows": 0}, "dataset_rows is 0: at least 1"),
        ({"dataset_mixture": [{"pth": "x"}], "dataset_path": []}, "unknown key 'pth'; did you mean 'path'"),
    ],
)
def test_wrong_keys_are_named(tmp_path, keys, message):
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(BASE | keys))
    with pytest.raises(RecipeError, match=message):
        read_recipe(path, [])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"packing": True, "max_length": None}, "packing needs max_length"),
        ({"packing": True, "packing_strategy": "wrapped"}, "wrapped cuts rows anywhere"),
        ({"dataset_streaming": True}, "dataset_streaming needs max_steps"),
        (
            {"dataset_streaming": True, "max_steps": 3, "eval_rows": 2, "eval_strategy": "steps"},
            "held out of a stream",
        ),
        ({"eval_strategy": "steps"}, "eval_strategy needs eval_rows"),
        ({"eval_rows": 3}, "eval_rows needs eval_strategy"),
        ({"load_in_4bit": True}, "need use_peft"),
        ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps is 0"),
        ({"push_to_hub": True}, "push_to_hub needs hub_model_id"),
        ({"hub_token": "x"}, "a secret doesn't belong in a recipe"),
        ({"attn_implementation": "flash_attention_2"}, "attn_implementation: flash_attention_2 needs a CUDA device"),
        ({"use_liger_kernel": True}, "use_liger_kernel needs a GPU"),
        ({"optim": "paged_adamw_8bit"}, "need bitsandbytes"),
        ({"report_to": "wandb"}, "report_to: wandb is not installed"),
        ({"max_length": 5000}, "max_length: 5000 is beyond the model's 4096 positions"),
        ({"model_name_or_path": "./nowhere"}, "model_name_or_path: ./nowhere is no model folder"),
        ({"packing": True, "attn_implementation": "paged|sdpa"}, "would let packed rows see each other"),
        ({"dataset_path": "nowhere.jsonl"}, "dataset_path: nowhere.jsonl does not exist"),
        ({"columns": {"output": "answr"}}, "has no column 'answr'"),
        ({"columns": {"outptu": "output"}}, "'outptu' is no field of this text; did you mean 'output'"),
        ({"dataset_rows": 10}, "10 rows were asked for and there are 9"),
        ({"max_length": 4, "overlong": "drop"}, "no row is left to train on: 9 dropped: longer than max_length"),
        ({"eval_rows": 9, "eval_strategy": "steps"}, "would leave nothing to train on"),
    ],
)
def test_what_cannot_work_is_refused_before_a_model_is_loaded(tmp_path, small, keys, message, monkeypatch, capsys):
    import torch
    import transformers

    from caco_recipes import sft

    def never(*_, **__):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", never)
    if torch.cuda.is_available() and ("flash" in message or "liger" in message):
        pytest.skip("this machine has the device that the message says is missing")
    base = BASE | {
        "model_name_or_path": str(small / "model"),
        "dataset_path": str(small / "rows.jsonl"),
        "bf16": False,
    }
    path = tmp_path / "r.yaml"
    path.write_text(
        yaml.safe_dump(base | {"output_dir": str(tmp_path / "out"), "token_cache": str(small / "cache")} | keys)
    )
    assert sft.main(["--config", str(path)]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "error: .*bad.jsonl"),
        ("{", "error: dataset_path: .*bad.jsonl can't be read: .*JSON"),
        ('{"instruction": "a"}\n', "error: .*has no column 'output' .for the field 'output'.; valid: instruction"),
    ],
)
def test_bad_data_files(tmp_path, small, content, message, capsys):
    from caco_recipes import sft

    (tmp_path / "bad.jsonl").write_text(content)
    path = tmp_path / "r.yaml"
    path.write_text(
        yaml.safe_dump(
            BASE | {"model_name_or_path": str(small / "model"), "dataset_path": str(tmp_path / "bad.jsonl")}
        )
    )
    assert sft.main(["--config", str(path), "--dry-run"]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_overrides_reach_nested_keys(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(BASE))
    recipe = read_recipe(path, ["--model_init_kwargs.use_kernels", "true", "--learning_rate", "1e-5", "--packing"])
    assert recipe.training["model_init_kwargs"] == {"use_kernels": True}
    assert recipe.training["learning_rate"] == 1e-5 and recipe.training["packing"] is True


def test_windowed_layers_are_refused_for_packing(tmp_path, small, capsys):
    import shutil

    from caco_recipes import sft

    model = tmp_path / "windowed"
    shutil.copytree(small / "model", model)
    config = json.loads((model / "config.json").read_text())
    config |= {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "use_sliding_window": True}
    config |= {"sliding_window": 64, "layer_types": ["sliding_attention", "full_attention"]}
    (model / "config.json").write_text(json.dumps(config))
    path = tmp_path / "r.yaml"
    path.write_text(
        yaml.safe_dump(
            BASE | {"model_name_or_path": str(model), "dataset_path": str(small / "rows.jsonl"), "packing": True}
        )
    )
    assert sft.main(["--config", str(path), "--dry-run"]) == 2
    assert "layers of sliding_attention" in capsys.readouterr().err
