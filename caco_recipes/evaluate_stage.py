"""The `evaluate` stage: base and tuned models on a benchmark recipe, as `caco evaluate` would by hand.

In: the models (Hub names, folders, or `${run_dir}/STEP/model`). Out: `runs/NAME/STEP/` with a result file per model
and the table base / tuned / difference with the number of items and an interval (paper §8).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caco_recipes import identity
from caco_recipes.configs import StageConfig, option
from caco_recipes.recipe import load_yaml

VERSION = 1
WHOLE_RUN = True
FEATURES: dict[str, str] = {}


@dataclass(kw_only=True)
class Config(StageConfig):
    """Keys of an evaluate step."""

    recipe: str = option("The evaluation recipe (YAML).", "")
    models: dict[str, str] = option("Label -> Hub name or folder; the first one is the base.", default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.recipe or not self.models:
            raise ValueError("recipe and models: name an evaluation recipe and at least one model")


def _models(config: Config, context: Any) -> dict[str, str]:
    return {label: model.replace("${run_dir}", str(context.run_dir)) for label, model in config.models.items()}


def facts(config: Config, context: Any) -> dict[str, Any]:
    """The evaluation recipe and the models' identities."""
    from caco_recipes.generation.config import EngineConfig
    from caco_recipes.generation.engine import model_identity

    models = _models(config, context).values()
    return {
        "recipe": load_yaml(config.recipe),
        "models": [model_identity(EngineConfig(engine="transformers", model=model)) for model in models],
    }


def run(config: Config, context: Any) -> dict[str, int]:
    """Evaluates every model and writes the comparison."""
    from caco_recipes.evaluate import evaluate_models, load_config

    context.release_engines()
    summary = evaluate_models(load_config(config.recipe), _models(config, context), Path(context.step_dir))
    (Path(context.step_dir) / "work.txt").write_text(identity.fingerprint(facts(config, context)) + "\n")
    return {"rows": summary.items, "accepted": summary.items}


def intact(folder: Path) -> bool:
    """Whether the comparison is there."""
    return (folder / "comparison.md").exists()


def where(step_dir: Path) -> str:
    return (step_dir / "comparison.md").read_text()
