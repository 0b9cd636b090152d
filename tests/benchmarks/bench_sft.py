"""Training speed on the real small model: real (non-padding) tokens per second, and whether the losses agree.

    OMP_NUM_THREADS=2 python tests/benchmarks/bench_sft.py [--steps 8] [--model models/SmolLM2-135M-Instruct]

Arms, on the same rows (programs of the shared seed data, in CodeGen's text):
    reference      the paper's way: 8 rows per step, padded to the longest, max_length 2048, no length grouping, sdpa
    …, memory kept       the same, but freed memory stays with the process (cpu_memory.py)
    packing, sdpa  packs of up to 2048 tokens, one per step, with the mask and head of the libraries
    same rows      the reference's 8 rows per step without padding, as the recipes run here: same loss curve
    packing        packs of up to 2048 tokens, as `packing: true` trains them on a CPU (our attention, head and memory)
    … no checkpointing   without gradient checkpointing, which all others have: a model this small fits
Each arm is a process of its own that trains one step when it is told to; the arms take turns, so a busy machine slows all of
them. The first step of every arm, on the same 8 more rows, is not timed. Baseline of every ratio: the reference. Figures on
a CPU say nothing about a GPU but the direction.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
ARMS = {
    "reference": {"batch": 8},
    "reference, memory kept": {"batch": 8, "keep": True},
    "packing, sdpa": {"packing": True},
    "same rows": {"batch": 8, "ours": True, "padding_free": True},
    "packing": {"packing": True, "ours": True},
    "packing, no checkpointing": {"packing": True, "ours": True, "checkpointing": False},
}
SAME_CURVE = (("reference", "same rows"), ("packing, sdpa", "packing"))
PER_STEP = 8


def rows_of(shared: Path, count: int, seed: int) -> list[str]:
    with open(shared / "data" / "seeds" / "programs_math.jsonl", encoding="utf-8") as file:
        programs = [json.loads(line)["program"] for line in file]
    return random.Random(seed).sample([code for code in programs if code.strip()], count)


def encoded_rows(options: argparse.Namespace) -> tuple:
    """(tokenizer, the 8 rows of the untimed step, the rows of the timed ones)."""
    from datasets import Dataset
    from transformers import AutoTokenizer

    from caco_recipes.training import text_format

    tokenizer = AutoTokenizer.from_pretrained(options.model)
    codes = rows_of(options.shared, (options.steps + 1) * PER_STEP, options.seed)
    encoded = text_format.encode(text_format.CODEGEN, {"code": codes}, tokenizer, 2048)
    rows = Dataset.from_dict({key: encoded[key] for key in ("input_ids", "labels")})
    return tokenizer, rows.select(range(PER_STEP)), rows.select(range(PER_STEP, len(rows)))


def train(name: str, options: argparse.Namespace) -> None:
    """One arm: a line per step on stdout, a step per line on stdin."""
    from datasets import concatenate_datasets
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from caco_recipes.training import cpu_memory, packed_attention, tokens
    from caco_recipes.training.trainer import CacoSFTTrainer

    arm = ARMS[name]
    if arm.get("keep"):
        cpu_memory.keep()
    ours, packing = arm.get("ours", False), arm.get("packing", False)
    tokenizer, warm_up, rows = encoded_rows(options)
    if packing:
        # The 8 rows of the first step fit into one pack; they stay apart from the timed ones.
        warm_up, rows = (tokens.pack(part, 2048, "bfd", options.seed) for part in (warm_up, rows))
    data, untimed = concatenate_datasets([warm_up, rows]), len(warm_up)
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the libraries print is no figure

    class Turns(TrainerCallback):
        started = None

        def stop(self) -> None:
            if self.started is not None:
                print(json.dumps([b - a for a, b in zip(self.started, clocks())]), file=out)

        def on_step_begin(self, *_, **__) -> None:
            self.stop()
            sys.stdin.readline()
            self.started = clocks()

        def on_train_end(self, *_, **__) -> None:
            self.stop()

    def clocks() -> tuple[float, float]:
        return time.monotonic(), time.process_time()

    with tempfile.TemporaryDirectory() as folder:
        arguments = SFTConfig(
            output_dir=folder, per_device_train_batch_size=arm.get("batch", 1), num_train_epochs=1, use_cpu=True, bf16=True,
            learning_rate=1e-5, lr_scheduler_type="constant", logging_steps=1, save_strategy="no", report_to="none", seed=0,
            gradient_checkpointing=arm.get("checkpointing", True), train_sampling_strategy="sequential", packing=packing,
            padding_free=arm.get("padding_free", False), max_length=2048 if packing or not ours else None,
            dataset_kwargs={"skip_prepare_dataset": True}, disable_tqdm=True,
            model_init_kwargs={"dtype": "bfloat16", "attn_implementation": packed_attention.NAME if ours else "sdpa"},
        )  # fmt: skip
        common = {"args": arguments, "train_dataset": data, "processing_class": tokenizer, "callbacks": [Turns()]}
        if ours:
            trainer = CacoSFTTrainer(model=options.model, card_text=lambda state: "", **common)
        else:
            trainer = SFTTrainer(model=options.model, **common)
        print(
            json.dumps({"steps": -(-len(data) // arm.get("batch", 1)), "untimed": untimed if packing else 1}), file=out
        )
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    learnt = [sum(label != -100 for label in row["labels"]) for row in data]
    size = arm.get("batch", 1)
    weights = [sum(learnt[start : start + size]) for start in range(0, len(learnt), size)]
    print(json.dumps({"losses": losses, "weights": weights}), file=out)


class Arm:
    """A process that trains one arm, step by step."""

    def __init__(self, name: str, words: list[str]) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--arm", name, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE"},
        )  # fmt: skip
        told = self._read()
        self.steps, self.untimed, self.done = told["steps"], told["untimed"], 0
        self.wall = self.cpu = 0.0

    def _read(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the arm {self.name!r} ended with {self.process.wait()}")
        return json.loads(line)

    def step(self) -> None:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        wall, cpu = self._read()
        self.done += 1
        if self.done > self.untimed:
            self.wall, self.cpu = self.wall + wall, self.cpu + cpu

    @property
    def share(self) -> float:
        return self.done / self.steps

    def finish(self) -> None:
        told = self._read()
        self.process.wait()
        self.losses, weights = told["losses"], told["weights"]
        timed = list(zip(self.losses, weights))[self.untimed :]
        self.mean_loss = sum(loss * weight for loss, weight in timed) / sum(weight for _, weight in timed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ROOT / "models" / "SmolLM2-135M-Instruct"))
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("CACO_SHARED", ROOT.parent / "shared")))
    parser.add_argument("--steps", type=int, default=8, help="timed steps of the reference, 8 rows each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="the reference is always there")
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.arm:
        train(options.arm, options)
        return

    _, _, rows = encoded_rows(options)
    lengths = [len(ids) for ids in rows["input_ids"]]
    real = sum(lengths)
    padded = sum(PER_STEP * max(lengths[i : i + PER_STEP]) for i in range(0, len(lengths), PER_STEP))
    print(f"{len(lengths)} rows, {real} real tokens, longest {max(lengths)}; padded to {padded} positions", flush=True)
    load = os.getloadavg()[0]
    words = ["--model", options.model, "--shared", str(options.shared), "--steps", str(options.steps)]
    words += ["--seed", str(options.seed)]
    arms = {name: Arm(name, words) for name in ARMS if name == "reference" or name in options.arms}
    while waiting := [arm for arm in arms.values() if arm.done < arm.steps]:
        min(waiting, key=lambda arm: arm.share).step()
    for arm in arms.values():
        arm.finish()
        print(
            f"{arm.name}: {arm.steps - arm.untimed} steps, {arm.wall:.1f} s ({real / arm.wall:.0f} tokens/s), {arm.cpu:.1f} "
            f"CPU s ({real / arm.cpu:.0f} per CPU s), mean loss {arm.mean_loss:.4f}, losses "
            f"{[round(loss, 4) for loss in arm.losses]}",
            flush=True,
        )
    base = arms["reference"]
    print("tokens per second to the reference, by the wall (and per CPU second):")
    for arm in arms.values():
        print(f"  {arm.name}: {base.wall / arm.wall:.2f}x ({base.cpu / arm.cpu:.2f}x)")
    print(
        f"padding alone would give at most {padded / real:.2f}x; load {load:.1f} before, {os.getloadavg()[0]:.1f} after"
    )
    for one, other in SAME_CURVE:
        if one in arms and other in arms:
            gap = max(abs(x - y) for x, y in zip(arms[one].losses, arms[other].losses, strict=True))
            print(f"largest difference of the loss, step by step ({one} and {other}; bfloat16): {gap:.4f}")


if __name__ == "__main__":
    main()
