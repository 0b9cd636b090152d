"""The `sft` stage: starts a supervised fine-tuning run on the rows of earlier steps, as a user would by hand.

In: accepted rows of the input steps (CodeGen: `code`; reasoner: `instruction`, `output`). Out: a model folder
`runs/NAME/STEP/model`. The command is `accelerate launch … -m caco_recipes.sft --config RECIPE`, in a process of its
own; it resumes from its last checkpoint (paper §4 and §7; recipes name the text format).
"""

import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caco_recipes import identity
from caco_recipes.configs import StageConfig, option
from caco_recipes.recipe import load_yaml
from caco_recipes.run_folder import RunError

VERSION = 1
WHOLE_RUN = True
FEATURES: dict[str, str] = {}
MODEL = "model"


@dataclass(kw_only=True)
class Config(StageConfig):
    """Keys of an sft step."""

    recipe: str = option("The SFT recipe (YAML).", "")
    accelerate_config: str = option("How the training is launched.", "accelerate_configs/cpu.yaml")
    overrides: dict[str, str] = option("Keys of the SFT recipe to replace.", default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.recipe:
            raise ValueError("recipe: name the SFT recipe")


def facts(config: Config, context: Any) -> dict[str, Any]:
    """The training recipe's content: an edited recipe trains anew."""
    return {"recipe": load_yaml(config.recipe), "launch": load_yaml(config.accelerate_config)}


def command(config: Config, run_dir: Path, step_dir: Path, inputs: list[Path]) -> list[str]:
    """The words of the launch command."""
    # `python -m accelerate…` rather than `accelerate`: the same interpreter, also when its folder is not on PATH.
    words = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", config.accelerate_config]
    words += ["-m", "caco_recipes.sft", "--config", config.recipe]
    words += ["--dataset_path", ",".join(str(folder) for folder in inputs)]
    words += ["--output_dir", str(step_dir / MODEL)]
    for key, value in config.overrides.items():
        words += [f"--{key}", value]
    return words


def run(config: Config, context: Any) -> dict[str, int]:
    """Launches the training and waits for it. Raises `RunError` with the command when it fails."""
    context.release_engines()
    step_dir = Path(context.step_dir)
    _drop_other_work(step_dir, context)
    words = command(config, context.run_dir, step_dir, [_rows_of(folder.folder) for folder in context.inputs])
    print(f"{context.step.name}: {shlex.join(words)}", file=sys.stderr, flush=True)
    code = subprocess.run(words).returncode
    if code in (-2, 130):
        raise KeyboardInterrupt
    if code:
        raise RunError(
            f"step {context.step.name}: training ended with exit code {code}; the command was\n{shlex.join(words)}"
        )
    rows = sum((folder.manifest() or {}).get("totals", {}).get("accepted", 0) for folder in context.inputs)
    return {"rows": rows, "accepted": rows}


def _rows_of(step_dir: Path) -> Path:
    """Where a step's training rows lie: a publish step holds a dataset folder, any other its parts."""
    return step_dir / "dataset" if (step_dir / "dataset").is_dir() else step_dir


def _drop_other_work(step_dir: Path, context: Any) -> None:
    """Checkpoints of another data set or recipe must not be resumed: they are moved aside, not deleted."""
    mark = step_dir / "work.txt"
    work = identity.fingerprint(
        facts(context.step.config, context), [f.manifest()["fingerprint"] for f in context.inputs]
    )
    model = step_dir / MODEL
    if model.exists() and (not mark.exists() or mark.read_text().strip() != work):
        number = 1
        while (aside := step_dir / f"{MODEL}.old-{number}").exists():
            number += 1
        model.rename(aside)
    mark.write_text(work + "\n")


def intact(folder: Path) -> bool:
    """Whether the trained model is there."""
    return (folder / MODEL / "config.json").exists()


def where(step_dir: Path) -> str:
    return f"model: {step_dir / MODEL}"
