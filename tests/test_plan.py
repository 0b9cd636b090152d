"""`caco plan` for SFT recipes: sizes from the configuration, steps, what fits and which switch would make it fit."""

from pathlib import Path

import pytest
from training_models import save_model

from caco_recipes.training import plan
from caco_recipes.training.config import read_recipe

ROOT = Path(__file__).resolve().parent.parent
QWEN = ROOT / "recipes" / "Qwen2.5-Math-7B-Caco"


def planned(name: str, *overrides: str, config: str = "zero2", **figures) -> plan.Plan:
    recipe = read_recipe(QWEN / f"{name}.yaml", list(overrides))
    return plan.make_plan(recipe, ROOT / "accelerate_configs" / f"{config}.yaml", **figures)


def test_parameters_are_those_of_the_model(tmp_path):
    from transformers import AutoModelForCausalLM

    folder = save_model(tmp_path / "model")
    recipe = read_recipe(QWEN / "sft.yaml", ["--model_name_or_path", str(folder)])
    assert plan.shape_of(recipe).parameters == AutoModelForCausalLM.from_pretrained(folder).num_parameters()


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("Qwen/Qwen2.5-Math-7B", 7.62),
        ("meta-llama/Meta-Llama-3-8B", 8.03),
        ("deepseek-ai/deepseek-math-7b-base", 6.91),
    ],
)
def test_known_sizes(name, billions):
    # Published parameter counts; Qwen's biases (under 0.01 %) aren't counted.
    assert plan.KNOWN_SHAPES[name].parameters / 1e9 == pytest.approx(billions, abs=0.01)


def test_the_papers_steps():
    made = planned("sft")
    assert made.global_batch == 128 and made.rows == 1_348_799
    assert made.steps == pytest.approx(31_600, rel=0.01)
    assert made.hours is None
    assert planned("sft", tokens_per_second=10_000).hours == pytest.approx(made.tokens / 10_000 / 3600)
    assert planned("sft_300k").steps == pytest.approx(7_031, rel=0.01)
    assert planned("sft", "--max_steps", "10").steps == 10


def test_sharding_and_switches_move_memory_the_right_way():
    full = planned("sft")
    assert full.fits(80)
    assert planned("sft", config="zero3").total < full.total < planned("sft", config="ddp").total
    assert not planned("sft", config="ddp").fits(80)
    assert planned("sft", "--gradient_checkpointing", "false").total > full.total
    lora = planned("sft_lora_1gpu", config="single_gpu")
    assert lora.trainable < 0.03 * lora.parameters and lora.fits(80)
    assert planned("sft_8bit_1gpu", config="single_gpu").fits(80)
    assert planned("sft_lora_1gpu", "--load_in_4bit", "true", config="single_gpu").total < lora.total


def test_what_does_not_fit_says_what_would():
    text = plan.main(str(QWEN / "sft.yaml"), [], str(ROOT / "accelerate_configs" / "ddp.yaml"), 80)
    assert "DOES NOT FIT in 80 GB" in text and "accelerate_configs/zero2.yaml:" in text
    text = plan.main(str(QWEN / "sft.yaml"), [], str(ROOT / "accelerate_configs" / "single_gpu.yaml"), 24)
    assert "QLoRA" in text and "zero2" not in text.partition("DOES NOT FIT")[2]
    assert "No single switch" in plan.main(
        str(QWEN / "sft.yaml"), [], str(ROOT / "accelerate_configs" / "single_gpu.yaml"), 4
    )


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "recipes").glob("*-Caco/sft*.yaml")) + sorted((ROOT / "recipes").glob("Caco-CodeGen/sft*.yaml")),
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_every_full_size_recipe_fits_the_hardware_of_its_first_line(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = plan.main(str(path.relative_to(ROOT)), [], None, 80)
    assert "DOES NOT FIT" not in text, text
