"""A GRPO recipe as typed values: our own keys, TRL's `GRPOConfig` and `ModelConfig` (config.py does the checking)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from caco_recipes.recipe import RecipeError, apply_overrides, load_dataclass, load_yaml, parse_overrides
from caco_recipes.training.config import Source, convert_fields, option, split_keys

OPTIONAL_FIELDS = ("input", "answer", "pass_rate", "family_id")


@dataclass(kw_only=True)
class GRPOData:
    """The recipe's own keys: which problems, made into which rows, rewarded how."""

    dataset_name: str | None = option("Dataset on the Hub, such as LHL3341/Caco-1.3M.")
    dataset_revision: str | None = option("Commit, tag or branch of it.")
    dataset_config: str | None = option("Configuration of the Hub dataset.")
    dataset_split: str = option("Split.", "train")
    dataset_path: list[str] = option("Local files, a folder, or a step folder of a run.", [])
    columns: dict[str, str] = option(
        "Field -> column: problem and code, and where they exist input (tagged JSON), answer, pass_rate, family_id.",
        {},
    )
    dataset_rows: int | None = option("Families to take, drawn by content and seed; all by default.")
    dataset_seed: int = option("Seed of draws, variants and the order of rows.", 42)
    reward: Literal["answer", "program"] = option(
        "answer: boxed answers; program: programs run in the sandbox.", "answer"
    )
    variants: int = option("New problems per family from its program; 0 trains on the dataset's own problems.", 0)
    paired: bool = option("A row is two variants of a family, and both must be right.", False)
    pass_rate_low: float = option("Leave out problems that are solved less often (where pass_rate is known).", 0.0)
    pass_rate_high: float = option("Leave out problems that are solved more often.", 1.0)
    curriculum: int = option("Order by program complexity in this many parts; 0 shuffles.", 0)
    max_prompt_tokens: int = option("Leave out (and count) longer prompts.", 1024)
    resume: bool = option("Go on from the last good checkpoint in output_dir.", True)

    dataset_streaming = False  # rows are made in memory
    dataset_mixture = ()

    def __post_init__(self) -> None:
        if bool(self.dataset_name) == bool(self.dataset_path):
            raise ValueError("give exactly one of dataset_name (Hub) and dataset_path (local)")
        if self.paired and self.variants < 1:
            raise ValueError("paired needs variants: at least 1, to have a second problem")
        if self.paired and self.reward != "answer":
            raise ValueError("paired works with reward: answer")
        if not 0 <= self.pass_rate_low <= self.pass_rate_high <= 1:
            raise ValueError("pass_rate_low and pass_rate_high must be rates, the low one first")
        if min(self.variants, self.curriculum) < 0:
            raise ValueError("variants and curriculum can't be negative")

    @property
    def sources(self) -> list[Source]:
        return [
            Source(
                name=self.dataset_name,
                revision=self.dataset_revision,
                config=self.dataset_config,
                split=self.dataset_split,
                path=self.dataset_path,
            )
        ]

    @property
    def fields(self) -> tuple[str, ...]:
        return ("problem", "code", *(field for field in OPTIONAL_FIELDS if field in self.columns))


@dataclass(kw_only=True)
class GRPORecipe:
    """A checked recipe; see `config.SFTRecipe`."""

    path: str
    data: GRPOData
    training: dict[str, Any]
    model: dict[str, Any]


def read_grpo_recipe(path: str | Path, overrides: list[str]) -> GRPORecipe:
    """The recipe in `path` with overrides on top. Raises `RecipeError` for anything that is not valid."""
    from trl import GRPOConfig, ModelConfig

    ours, training, model = split_keys(
        apply_overrides(load_yaml(path), parse_overrides(overrides)), (GRPOData, GRPOConfig, ModelConfig), str(path)
    )
    if type(ours.get("dataset_path")) is str:
        ours["dataset_path"] = [ours["dataset_path"]]
    training = convert_fields(GRPOConfig, training, str(path))
    model = convert_fields(ModelConfig, model, str(path))
    data = load_dataclass(GRPOData, ours, str(path))
    for key, holder in (("model_name_or_path", model), ("output_dir", training)):
        if not holder.get(key):
            raise RecipeError(f"{path}: the key {key!r} is missing")
    generations = training.get("num_generations", 8)
    if generations < 2:
        raise RecipeError(f"{path}: num_generations is {generations}: a group needs at least 2 to be compared")
    if not data.variants and data.reward == "answer" and "answer" not in data.columns:
        raise RecipeError(f"{path}: without variants the gold comes from the data: columns: {{answer: NAME}}")
    return GRPORecipe(path=str(path), data=data, training=training, model=model)
