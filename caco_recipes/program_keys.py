"""The `program_keys` stage: by what programs that look different can be told to be the same.

In: `code`, `input` (tagged JSON of `execute`). Out, each 16 hex digits or empty:

    program_renamed      hash of the syntax tree with variables, functions and parameters numbered
    program_constants    the same with numbers and strings masked: the same method on other data
    behaviour            hash of the outputs for probe inputs that programs with the same input names and types share;
                         exceptions count by type (`duplicates/probes.py`)

Sources are parsed and programs are run in the sandbox only. The stage accepts every row; `dedup` uses the columns.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from caco_recipes import identity
from caco_recipes.configs import StageConfig, option
from caco_recipes.verdicts import ACCEPTED

VERSION = 1
FEATURES = {"program_renamed": "string", "program_constants": "string", "behaviour": "string"}


@dataclass(kw_only=True)
class Config(StageConfig):
    """Keys of a program_keys step."""

    behaviour: bool = option("Run every program on its probe inputs (8 runs in one process).", True)
    cpu_seconds: float = option("CPU seconds of one program on its probes, on average.", 1.0)
    memory_mb: int = option("Memory of one program, in MB.", 512)


@contextmanager
def open(config: Config, context: Any) -> Iterator[Any]:
    """Starts the sandbox."""
    with context.sandbox(cpu_seconds=config.cpu_seconds, memory_mb=config.memory_mb) as pool:
        yield pool


def facts(config: Config, context: Any) -> dict[str, Any]:
    """The sandbox's version."""
    from caco_recipes.sandbox import ENGINE_VERSION

    return {"sandbox": ENGINE_VERSION}


def run(batch: dict[str, list], config: Config, pool: Any) -> dict[str, list]:
    """Makes the keys of the batch's programs."""
    from caco_recipes.canonical import program_forms
    from caco_recipes.sandbox import ENGINE_VERSION

    codes = [code or "" for code in batch["code"]]
    forms = program_forms(pool, codes)
    inputs = batch.get("input") or [""] * len(codes)
    behaviours = _behaviours(pool, codes, inputs) if config.behaviour else [""] * len(codes)
    receipt = {"stage": "program_keys", "version": VERSION, "sandbox": ENGINE_VERSION}
    return {
        "program_renamed": [renamed for renamed, _ in forms],
        "program_constants": [constants for _, constants in forms],
        "behaviour": behaviours,
        "verdict": [ACCEPTED] * len(codes),
        "reason": [""] * len(codes),
        "lineage": [identity.add_receipt(lineage, **receipt) for lineage in batch["lineage"]],
    }


def _behaviours(pool: Any, codes: list[str], inputs: list[str | None]) -> list[str]:
    from caco_recipes.duplicates.probes import behaviour_key, probes, signature

    def key(code: str, tagged: str | None) -> str:
        of = signature(tagged or "")
        if not code or of is None:
            return ""
        return behaviour_key(of, pool.run_variants(code, probes(of)))

    # A thread waits for each program that is under way; the sandbox's workers do the work.
    with ThreadPoolExecutor(2 * pool.workers) as threads:
        return list(threads.map(key, codes, inputs))
