"""`caco plan`'s memory model against measured CPU training of the real small model.

    python tests/benchmarks/bench_plan_memory.py [--model models/SmolLM2-135M-Instruct]

Each case trains two steps in a process of its own; measured is that process's peak resident memory less what it has before
the model is loaded. Printed: planned, measured, planned/measured.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
CASES = [
    {"dtype": "bfloat16", "per_device_train_batch_size": 1, "max_length": 512, "gradient_checkpointing": False},
    {"dtype": "float32", "per_device_train_batch_size": 1, "max_length": 512, "gradient_checkpointing": False},
    {"dtype": "bfloat16", "per_device_train_batch_size": 4, "max_length": 512, "gradient_checkpointing": False},
    {"dtype": "bfloat16", "per_device_train_batch_size": 4, "max_length": 512, "gradient_checkpointing": True},
]
CHILD = """
import json, os, resource, sys, tempfile
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import torch
from datasets import Dataset
from transformers import AutoTokenizer
from trl import SFTConfig
from caco_recipes.training.trainer import CacoSFTTrainer
case, model = json.loads(sys.argv[1]), sys.argv[2]
length, batch, dtype = case["max_length"], case["per_device_train_batch_size"], case.pop("dtype")
ids = torch.randint(100, 40000, (batch * 2, length), generator=torch.Generator().manual_seed(0)).tolist()
data = Dataset.from_dict({"input_ids": ids, "labels": ids})
tokenizer = AutoTokenizer.from_pretrained(model)
args = SFTConfig(tempfile.mkdtemp(), max_steps=2, use_cpu=True, bf16=dtype == "bfloat16", report_to="none", save_strategy="no",
                 disable_tqdm=True, dataset_kwargs={"skip_prepare_dataset": True}, model_init_kwargs={"dtype": dtype}, **case)
before = int(next(l for l in open("/proc/self/status") if l.startswith("VmRSS")).split()[1]) * 1024
CacoSFTTrainer(model=model, args=args, train_dataset=data, processing_class=tokenizer, card_text=lambda state: "").train()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"before": before, "peak": peak}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ROOT / "models" / "SmolLM2-135M-Instruct"))
    options = parser.parse_args()
    from caco_recipes.training import plan
    from caco_recipes.training.config import DataConfig, SFTRecipe

    for case in CASES:
        keys = {key: value for key, value in case.items() if key != "dtype"}
        keys |= {"use_cpu": True, "bf16": case["dtype"] == "bfloat16"}
        model = {"model_name_or_path": options.model, "dtype": case["dtype"]}
        recipe = SFTRecipe(
            path="case", data=DataConfig(text_format="codegen", dataset_path=["x"]), training=keys, model=model
        )
        planned = plan.make_plan(recipe, ROOT / "accelerate_configs" / "cpu.yaml").total
        done = subprocess.run(
            [sys.executable, "-c", CHILD, json.dumps(case), options.model],
            capture_output=True, text=True, check=True, env=os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        figures = json.loads(done.stdout.strip().splitlines()[-1])
        measured = figures["peak"] - figures["before"]
        print(
            f"{case}: planned {planned / 1e9:.2f} GB, measured {measured / 1e9:.2f} GB, "
            f"ratio {planned / measured:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
