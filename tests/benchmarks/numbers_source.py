"""A source of numbers for benchmarks, whose rows have a lineage as long as at the end of a recipe."""

from dataclasses import dataclass

from one_millisecond import lineage

from caco_recipes import identity
from caco_recipes.configs import StageConfig, option

VERSION = 1
ROW = {"number": "int64"}
FEATURES = {"number": "int64"}


@dataclass(kw_only=True)
class Config(StageConfig):
    count: int = option("How many numbers.", 1000)


def rows(config, context):
    return ({"number": number} for number in range(config.count))


def run(batch, config, resources):
    ids = [identity.short_id(str(number)) for number in batch["number"]]
    count = len(ids)
    return {
        "id": ids,
        "parent_ids": [[] for _ in ids],
        "family_id": ids,
        "lineage": [lineage()] * count,
        "verdict": ["accepted"] * count,
        "reason": [""] * count,
    }
