"""Training speed on the real small model: real (non-padding) tokens per second, and whether the losses agree.

    python tests/benchmarks/bench_sft.py [--steps 4] [--model models/SmolLM2-135M-Instruct]

Arms, on the same rows (programs of the shared seed data, in CodeGen's text), in one run:
    reference      the paper's way: 8 rows per step, padded to the longest, max_length 2048, no length grouping, sdpa
    packing, sdpa  packs of up to 2048 tokens, one per step, with the mask and head of the libraries
    same rows      the reference's 8 rows per step without padding, with our attention and head: same loss curve
    packing        packs of up to 2048 tokens, as `packing: true` trains them on a CPU (our attention and head)
    packing + …    and no gradient checkpointing (in every other arm it is on), because a model this small fits
Baseline of every ratio: reference. Figures on a CPU say nothing about a GPU but the direction.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def rows_of(shared: Path, count: int, seed: int) -> list[str]:
    with open(shared / "data" / "seeds" / "programs_math.jsonl", encoding="utf-8") as file:
        programs = [json.loads(line)["program"] for line in file]
    return random.Random(seed).sample([code for code in programs if code.strip()], count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ROOT / "models" / "SmolLM2-135M-Instruct"))
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("CACO_SHARED", ROOT.parent / "shared")))
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from caco_recipes.training import text_format, tokens
    from caco_recipes.training.trainer import CacoSFTTrainer

    tokenizer = AutoTokenizer.from_pretrained(options.model)
    codes = rows_of(options.shared, options.steps * 8, options.seed)
    encoded = text_format.encode(text_format.CODEGEN, {"code": codes}, tokenizer, 2048)
    plain = Dataset.from_dict({key: encoded[key] for key in ("input_ids", "labels")})
    lengths = [len(ids) for ids in encoded["input_ids"]]
    padded = sum(8 * max(lengths[i : i + 8]) for i in range(0, len(lengths), 8))
    print(f"{len(codes)} rows, {sum(lengths)} real tokens, longest {max(lengths)}; padded to {padded} positions")

    class Clock(TrainerCallback):
        def on_step_end(self, *_, **__):
            self.times.append((time.monotonic(), time.process_time()))

        def on_train_begin(self, *_, **__):
            self.times = [(time.monotonic(), time.process_time())]

    def arm(name: str, dataset: Dataset, batch: int, ours: bool, checkpointing: bool = True, **keys: bool):
        clock = Clock()
        with tempfile.TemporaryDirectory() as folder:
            arguments = SFTConfig(
                output_dir=folder, per_device_train_batch_size=batch, max_steps=-1, num_train_epochs=1,
                learning_rate=1e-5, lr_scheduler_type="constant", logging_steps=1, save_strategy="no", report_to="none",
                use_cpu=True, bf16=True, gradient_checkpointing=checkpointing, seed=0,
                train_sampling_strategy="sequential", max_length=None if keys.get("padding_free") else 2048,
                dataset_kwargs={"skip_prepare_dataset": True}, disable_tqdm=True,
                model_init_kwargs={"dtype": "bfloat16", "attn_implementation": "packed_sdpa" if ours else "sdpa"},
                **keys,
            )  # fmt: skip
            common = {"args": arguments, "train_dataset": dataset, "processing_class": tokenizer, "callbacks": [clock]}
            if ours:
                trainer = CacoSFTTrainer(model=options.model, card_text=lambda state: "", **common)
            else:
                trainer = SFTTrainer(model=options.model, **common)
            trainer.train()
        seconds, cpu = (clock.times[-1][i] - clock.times[0][i] for i in (0, 1))
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        real = sum(len(row["input_ids"]) for row in dataset)
        print(
            f"{name}: {len(losses)} steps, {real} real tokens, {seconds:.1f} s ({real / seconds:.0f} tokens/s), "
            f"{cpu:.1f} CPU s ({real / cpu:.0f} tokens per CPU s), losses {[round(loss, 4) for loss in losses]}",
            flush=True,
        )
        # CPU time is what a busy machine doesn't distort.
        return real / cpu, losses

    arm("(warm-up)", plain.select(range(2)), 2, ours=True, padding_free=True)
    reference, reference_losses = arm("reference", plain, 8, ours=False)
    same, same_losses = arm("same rows", plain, 8, ours=True, padding_free=True)
    packed = tokens.pack(plain, 2048, "bfd", options.seed)
    library, library_losses = arm("packing, sdpa", packed, 1, ours=False, packing=True)
    packing, packing_losses = arm("packing", packed, 1, ours=True, packing=True)
    without, _ = arm("packing + no checkpointing", packed, 1, ours=True, checkpointing=False, packing=True)
    print(
        f"tokens per CPU second to reference: same rows {same / reference:.2f}x, packing with sdpa "
        f"{library / reference:.2f}x, packing {packing / reference:.2f}x, + no checkpointing {without / reference:.2f}x"
    )
    print(f"padding alone would give at most {padded / sum(lengths):.2f}x")
    for name, a, b in (
        ("reference, same rows", reference_losses, same_losses),
        ("packing with sdpa, packing", library_losses, packing_losses),
    ):
        gap = max(abs(x - y) for x, y in zip(a, b, strict=True))
        print(f"largest difference of the loss ({name}; bfloat16): {gap:.4f}")


if __name__ == "__main__":
    main()
