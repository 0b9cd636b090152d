"""LoRA for real on a model of 0.1M parameters: what is trained, what is saved, resume, and a card that says "adapter"."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from training_models import save_model

from caco_recipes import sft


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lora")
    save_model(folder / "model")
    rows = [{"instruction": f"Add {n} and {n * 7}.", "output": f"It is \\boxed{{{n * 8}}}."} for n in range(48)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "model_name_or_path": str(folder / "model"),
        "use_peft": True,
        "lora_r": 4,
        "lora_alpha": 8,
        "lora_target_modules": ["q_proj", "v_proj", "down_proj"],
        "text_format": "instruction",
        "dataset_path": str(folder / "rows.jsonl"),
        "token_cache": str(folder / "cache"),
        "max_length": 128,
        "packing": True,
        "max_steps": 6,
        "per_device_train_batch_size": 2,
        "learning_rate": 2e-2,
        "gradient_checkpointing": True,
        "bf16": False,
        "use_cpu": True,
        "logging_steps": 1,
        "save_steps": 3,
        "report_to": "none",
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert sft.main(["--config", str(folder / "recipe.yaml"), "--output_dir", str(folder / "whole")]) == 0
    return folder


def losses(folder: Path) -> list[float]:
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return [entry["loss"] for entry in history if "loss" in entry]


def test_an_adapter_is_trained_and_saved_not_the_model(work):
    import torch
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoModelForCausalLM

    out = work / "whole"
    assert not (out / "model.safetensors").exists() and (out / "adapter_model.safetensors").is_file()
    assert (out / "adapter_model.safetensors").stat().st_size < (
        work / "model" / "model.safetensors"
    ).stat().st_size / 5
    course = losses(out)
    assert len(course) == 6 and course[-1] < course[0] - 0.1, course
    adapter = AutoPeftModelForCausalLM.from_pretrained(out)
    base = AutoModelForCausalLM.from_pretrained(work / "model")
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        tuned = adapter(ids).logits
        assert (tuned - base(ids).logits).abs().max() > 0.01
        with adapter.disable_adapter():
            torch.testing.assert_close(adapter(ids).logits, base(ids).logits)


def test_the_card_says_that_it_is_an_adapter(work):
    card = (work / "whole" / "README.md").read_text()
    header = yaml.safe_load(card.split("---")[1])
    assert header["library_name"] == "peft" and "lora" in header["tags"]
    assert "A LoRA adapter (rank 4, alpha 8), not a whole model" in card
    assert str(work) not in card and str(work) not in (work / "whole" / "recipe.yaml").read_text()


def test_it_goes_on_from_its_checkpoint_with_the_same_losses(work, capsys):
    cut = work / "cut"
    cut.mkdir()
    shutil.copytree(work / "whole" / "checkpoint-3", cut / "checkpoint-3")
    shutil.copy(work / "whole" / "recipe.yaml", cut)
    words = ["--config", str(work / "recipe.yaml"), "--output_dir", str(cut)]
    assert sft.main([*words, "--lora_r", "8"]) == 2
    assert "different: lora_r" in capsys.readouterr().err
    assert sft.main(words) == 0
    assert "resuming from" in capsys.readouterr().out
    assert losses(cut) == pytest.approx(losses(work / "whole"), abs=1e-5)
