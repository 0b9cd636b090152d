"""Which checkpoint a killed run goes on from: the newest one that is whole.

A SIGKILL or a full disk can leave a folder half written. Nothing in it says so, so every file is looked at: safetensors
by their header's sizes, torch files by the index at their end, the trainer's state by its step number.
"""

import json
import os
import re
import shutil
import struct
import zipfile
from pathlib import Path
from typing import Any

STEP = re.compile(r"checkpoint-(\d+)$")
WEIGHTS = ("model.safetensors", "adapter_model.safetensors", "pytorch_model.bin")


def last_good(output_dir: str | Path) -> tuple[Path | None, list[str]]:
    """The newest whole checkpoint in `output_dir` (or None), and a message per newer one that was skipped."""
    folder = Path(output_dir)
    found = [(int(match[1]), path) for path in folder.glob("checkpoint-*") if (match := STEP.search(path.name))]
    skipped = []
    for step, path in sorted(found, reverse=True):
        fault = fault_of(path, step)
        if fault is None:
            return path, skipped
        skipped.append(f"{path.name} is skipped: {fault}")
    return None, skipped


# What a checkpoint holds for resuming, beside the model that it also is: beginnings of file names.
RESUME_ONLY = (
    "optimizer",
    "scheduler",
    "rng_state",
    "trainer_state",
    "global_step",
    "latest",
    "zero_to_fp32",
    "pytorch_model_fsdp",
)


def state_of(checkpoint: Path) -> dict[str, Any]:
    """The trainer's state as the checkpoint has it: `global_step`, `max_steps`, `epoch`, `log_history`."""
    return json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))


def is_finished(checkpoint: Path) -> bool:
    """Whether the run had no step left at this checkpoint and its weights can be copied from it.

    Resuming such a checkpoint would train one step too many.
    """
    state = state_of(checkpoint)
    return 0 < state.get("max_steps", 0) <= state["global_step"] and _weights_fault(checkpoint) is None


def copy_model(checkpoint: Path, output_dir: Path) -> None:
    """Copies the model, tokenizer and template of a finished run's last checkpoint to `output_dir`."""
    for path in sorted(checkpoint.iterdir()):
        if path.is_file() and not path.name.startswith(RESUME_ONLY):
            temporary = output_dir / f".{path.name}.tmp"
            shutil.copyfile(path, temporary)
            os.replace(temporary, output_dir / path.name)


def set_aside(output_dir: str | Path) -> None:
    """Renames the checkpoints of an earlier run, so that a run that starts anew never goes on from one of them."""
    for path in Path(output_dir).glob("checkpoint-*"):
        if STEP.search(path.name):
            path.rename(path.with_name(f"superseded-{path.name}-{int(path.stat().st_mtime)}"))


def fault_of(checkpoint: Path, step: int) -> str | None:
    """Why `checkpoint` can't be resumed from, or None if it is whole."""
    try:
        state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "it has no trainer_state.json, which is written last"
    except (OSError, ValueError):
        return "trainer_state.json is cut short"
    if state.get("global_step") != step:
        return f"trainer_state.json says step {state.get('global_step')}"
    sharded = (checkpoint / "latest").exists() or any(checkpoint.glob("pytorch_model_fsdp_*"))
    if not sharded:
        fault = _weights_fault(checkpoint)
        if fault:
            return fault
        for name in ("optimizer.pt", "scheduler.pt"):
            if not (checkpoint / name).exists():
                return f"{name} is missing (save_only_model can't be resumed)"
    for path in sorted(checkpoint.rglob("*")):
        if path.suffix in (".pt", ".pth", ".bin") and path.is_file() and not zipfile.is_zipfile(path):
            # training_args.bin and the others are zip archives whose index stands at the end.
            return f"{path.relative_to(checkpoint)} is cut short"
        if path.suffix == ".safetensors" and not safetensors_whole(path):
            return f"{path.relative_to(checkpoint)} is cut short"
    return _deepspeed_fault(checkpoint)


def safetensors_whole(path: Path) -> bool:
    """Whether the file is as long as its header says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            return False
        (length,) = struct.unpack("<Q", start)
        if length > size - 8:
            return False
        try:
            header = json.loads(file.read(length))
        except ValueError:
            return False
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return size == 8 + length + max(ends, default=0)


def _weights_fault(checkpoint: Path) -> str | None:
    if any((checkpoint / name).exists() for name in WEIGHTS):
        return None
    index = checkpoint / "model.safetensors.index.json"
    try:
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError):
        return "it has no weights"
    missing = sorted(name for name in shards if not (checkpoint / name).exists())
    return f"{missing[0]} is missing" if missing else None


def _deepspeed_fault(checkpoint: Path) -> str | None:
    latest = checkpoint / "latest"
    if latest.exists():
        states = checkpoint / latest.read_text(encoding="utf-8").strip()
        if not states.is_dir() or not any(states.glob("*optim_states.pt")):
            return "DeepSpeed's optimizer states are missing"
    return None
