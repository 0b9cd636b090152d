"""A GRPO recipe as typed values: our own keys, TRL's `GRPOConfig` and `ModelConfig` (config.py does the checking)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from caco_recipes.recipe import RecipeError
from caco_recipes.training.config import RowKeys, TrainingRecipe, option, read_parts

OPTIONAL_FIELDS = ("input", "answer", "pass_rate", "family_id")


@dataclass(kw_only=True)
class GRPOData(RowKeys):
    """The recipe's own keys: which problems, made into which rows, rewarded how.

    `columns` names `problem` and `code`, and where they exist `input` (tagged JSON), `answer`, `pass_rate`, `family_id`.
    """

    reward: Literal["answer", "program"] = option(
        "answer: boxed answers; program: programs run in the sandbox.", "answer"
    )
    variants: int = option("New problems per family from its program; 0 trains on the dataset's own problems.", 0)
    paired: bool = option("A row is two variants of a family, and both must be right.", False)
    pass_rate_low: float = option("Leave out problems that are solved less often; needs the column pass_rate.", 0.0)
    pass_rate_high: float = option("Leave out problems that are solved more often; needs the column pass_rate.", 1.0)
    curriculum: int = option("Order by program complexity in this many parts; 0 shuffles.", 0)
    max_prompt_tokens: int = option("Leave out (and count) longer prompts.", 1024)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.paired and self.variants < 1:
            raise ValueError("paired needs variants: at least 1, to have a second problem")
        if self.paired and self.reward != "answer":
            raise ValueError("paired works with reward: answer")
        if not 0 <= self.pass_rate_low <= self.pass_rate_high <= 1:
            raise ValueError("pass_rate_low and pass_rate_high must be rates, the low one first")
        if min(self.variants, self.curriculum) < 0:
            raise ValueError("variants and curriculum can't be negative")

    @property
    def banded(self) -> bool:
        """Whether rows are chosen by their measured difficulty."""
        return self.pass_rate_low > 0 or self.pass_rate_high < 1

    @property
    def fields(self) -> tuple[str, ...]:
        return (
            "problem",
            "code",
            *(field for field in OPTIONAL_FIELDS if field in self.columns or (field == "pass_rate" and self.banded)),
        )


@dataclass(kw_only=True)
class GRPORecipe(TrainingRecipe):
    """A GRPO recipe: `training` are keys of `GRPOConfig`."""

    data: GRPOData


def read_grpo_recipe(path: str | Path, overrides: list[str]) -> GRPORecipe:
    """The recipe in `path` with overrides on top. Raises `RecipeError` for anything that is not valid."""
    from trl import GRPOConfig

    recipe = GRPORecipe(**read_parts(path, overrides, GRPOData, GRPOConfig, {}))
    generations = recipe.training.get("num_generations", 8)
    if generations < 2:
        raise RecipeError(f"{path}: num_generations is {generations}: a group needs at least 2 to be compared")
    if not recipe.data.variants and recipe.data.reward == "answer" and "answer" not in recipe.data.columns:
        raise RecipeError(f"{path}: without variants the gold comes from the data: columns: {{answer: NAME}}")
    return recipe
