"""A map stage whose code can't bear some numbers, waits for company, or takes its process with it."""

import os
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

from caco_recipes import identity
from caco_recipes.configs import StageConfig, option

VERSION = 1
FEATURES = {"square": "int64"}


@dataclass(kw_only=True)
class Config(StageConfig):
    raises: list[str] = option("KIND:NUMBER, e.g. KeyError:13.", default_factory=list)
    kills: list[int] = option(
        "Numbers that end the process with SIGKILL, as the OOM killer does.", default_factory=list
    )
    meet: int = option("Batches that must be at work at the same time before any of them goes on.", 1)
    sleep: float = option("Seconds per batch.", 0.0)
    pids: str = option("File that gets a line per batch: the process.", "")


@dataclass
class Resources:
    meeting: threading.Barrier = field(default_factory=lambda: threading.Barrier(1))


@contextmanager
def open(config, context):
    yield Resources(threading.Barrier(config.meet))


def facts(config, context):
    return {}


def run(batch, config, resources):
    if config.pids:
        descriptor = os.open(config.pids, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{os.getpid()} {len(batch['number'])}\n".encode())
        os.close(descriptor)
    resources.meeting.wait(timeout=20)
    time.sleep(config.sleep)
    for number in batch["number"]:
        if number in config.kills:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)
        for entry in config.raises:
            kind, _, value = entry.partition(":")
            if number == int(value):
                raise {"KeyError": KeyError, "MemoryError": MemoryError, "RuntimeError": RuntimeError}[kind](value)
    return {
        "square": [number**2 for number in batch["number"]],
        "lineage": [identity.add_receipt(old, stage="fragile", version=VERSION) for old in batch["lineage"]],
        "verdict": ["accepted"] * len(batch["number"]),
        "reason": [""] * len(batch["number"]),
    }
