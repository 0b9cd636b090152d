"""A map stage: doubles numbers, rejects multiples of 3, leaves multiples of 7 undecided; writes down every call."""

import os
import time
from dataclasses import dataclass

from caco_recipes import identity
from caco_recipes.configs import StageConfig, option

VERSION = 1
FEATURES = {"doubled": "int64", "seconds": "float64"}
TIMING = ("seconds",)


@dataclass(kw_only=True)
class Config(StageConfig):
    factor: int = option("What to multiply with.", 2)
    sleep: float = option("Seconds per batch.", 0.0)
    calls: str = option("File that gets a line per batch.", "")


def run(batch, config, resources):
    started = time.perf_counter()
    if config.calls:
        with open(config.calls, "a") as file:
            file.write(f"{os.getpid()} {batch['number'][0]}\n")
    time.sleep(config.sleep)
    verdicts, reasons = [], []
    for number in batch["number"]:
        verdict, reason = ("accepted", "")
        if number % 7 == 6:
            verdict, reason = ("undecided", "infrastructure:seven")
        elif number % 3 == 0:
            verdict, reason = ("rejected", "too_short")
        verdicts.append(verdict)
        reasons.append(reason)
    return {
        "doubled": [number * config.factor for number in batch["number"]],
        "lineage": [identity.add_receipt(old, stage="double", version=VERSION) for old in batch["lineage"]],
        "verdict": verdicts,
        "reason": reasons,
        "seconds": [time.perf_counter() - started] * len(verdicts),
    }
