"""A source stage of plain numbers: the runner's tests need stages whose every row is known."""

from dataclasses import dataclass

from caco_recipes import identity
from caco_recipes.configs import StageConfig, option

VERSION = 1
ROW = {"number": "int64"}
FEATURES = {"number": "int64"}


@dataclass(kw_only=True)
class Config(StageConfig):
    count: int = option("How many numbers.", 10)


def rows(config, context):
    return ({"number": number} for number in range(config.count))


def run(batch, config, resources):
    ids = [identity.short_id(str(number)) for number in batch["number"]]
    return {
        "id": ids,
        "parent_ids": [[] for _ in ids],
        "family_id": ids,
        "lineage": ["" for _ in ids],
        "verdict": ["accepted"] * len(ids),
        "reason": [""] * len(ids),
    }
