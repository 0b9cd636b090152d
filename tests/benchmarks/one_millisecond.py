"""Stages for benchmarks: a source of numbers, and a function that takes one millisecond of processor time per row."""

import time
from dataclasses import dataclass

from caco_recipes import identity
from caco_recipes.configs import StageConfig, option

VERSION = 1
FEATURES = {"square": "int64"}
RECEIPTS = 6  # what a row's lineage holds when it reaches the end of a recipe


@dataclass(kw_only=True)
class Config(StageConfig):
    milliseconds: float = option("Processor time per row.", 1.0)
    receipts: bool = option("Whether the lineage gets a receipt.", True)


def work(number: int, milliseconds: float) -> int:
    # Processor time of this thread: what other threads do meanwhile does not count.
    end = time.thread_time() + milliseconds / 1000
    while time.thread_time() < end:
        pass
    return number**2


def lineage() -> str:
    made = ""
    for number in range(RECEIPTS):
        made = identity.add_receipt(
            made,
            stage=f"stage{number}",
            version=1,
            model="sha256:0123456789abcdef0123456789abcdef",
            request_key="ab" * 32,
        )
    return made


def run(batch, config, resources):
    squares = [work(number, config.milliseconds) for number in batch["number"]]
    lineages = batch["lineage"]
    if config.receipts:
        lineages = [
            identity.add_receipt(old, stage="one_millisecond", version=VERSION, rule="none") for old in lineages
        ]
    count = len(squares)
    return {"square": squares, "lineage": lineages, "verdict": ["accepted"] * count, "reason": [""] * count}
