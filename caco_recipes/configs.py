"""What every stage's configuration has in common, and the recipe of a run."""

from dataclasses import dataclass, field
from typing import Any, Literal

from caco_recipes.budget import BudgetConfig
from caco_recipes.generation.config import EngineConfig
from caco_recipes.prices import Prices


def option(help: str, default: Any = None, **keywords: Any) -> Any:
    """A dataclass field with a help text; mutable defaults are given as `default_factory`."""
    if "default_factory" in keywords:
        return field(default_factory=keywords["default_factory"], metadata={"help": help})
    return field(default=default, metadata={"help": help})


@dataclass(kw_only=True)
class StageConfig:
    """The keys that every step of a recipe may have."""

    stage: str = option("Which stage module the step runs; by default the one of the step's own name.", "")
    input: list[str] = option("Steps whose accepted rows come in; by default the step above.", default_factory=list)
    limit: int | None = option("Take only the first N input rows.")
    enabled: bool = option("false leaves the step out.", True)

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit is {self.limit}: it counts rows, so it is at least 1")


@dataclass(kw_only=True)
class RunConfig:
    """A synthesis recipe: one file, one run."""

    name: str = option("The run's name; its folder is output_dir/name.", "")
    output_dir: str = option("Where run folders are made.", "runs")
    shard_rows: int = option("Rows per shard: the unit that is written at once and resumed.", 2000)
    shards_at_once: int | None = option(
        "Shards that share an engine or a sandbox at once; by default as many as keep it busy."
    )
    executor: Literal["local", "ray"] = option("Who runs shards: this process, or a Ray cluster.", "local")
    ray_address: str | None = option(
        "ray: the cluster's address (auto: the one that this machine belongs to); by default one is started here."
    )
    seed: int = option("Seed of every draw that the pipeline itself makes.", 42)
    isolation: str = option("The least sandbox level to accept: strict, standard, basic or unsafe.", "basic")
    workers: int | None = option("Sandbox and grader processes; by default one per core.")
    engines: dict[str, EngineConfig] = option("Generation engines by name.", default_factory=dict)
    prices: Prices = option("What machines and tokens cost: for forecasts and budgets.", default_factory=Prices)
    budget: BudgetConfig = option("Where the run stops.", default_factory=BudgetConfig)
    stages: dict[str, dict[str, Any]] = option("Steps in order: name -> keys of its stage.", default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            raise ValueError("name: give the run a name without slashes")
        if self.shard_rows < 1:
            raise ValueError("shard_rows must be at least 1")
        if self.shards_at_once is not None and self.shards_at_once < 1:
            raise ValueError("shards_at_once must be at least 1")
        if not self.stages:
            raise ValueError("stages: the recipe has no steps")
