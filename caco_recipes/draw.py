"""The `draw` stage: a set of a given size from another run, for a control arm: with and without verification, easy, hard.

In: the verify steps of a finished run (`run`). Out, as a source of rows: `instruction`, `output` (the solution), `answer`,
`code`, and what the run had decided: `was`, `was_reason`, `hardness`, with ids, families and lineage of the rows.

    arm: verified     rows that passed verification, drawn at random
    arm: unverified   whatever came to verification, passed or not, in the shares in which it came
    arm: rejected     only what did not pass
    arm: easy, hard   of the verified rows the easiest and the hardest, by `hardness`

Draws go by `draw_seed` and id: a smaller draw lies inside a larger one, and two seeds give two independent draws of the
same kind, whose difference after training shows the noise. Every arm has exactly `rows` rows, or the step says how many
there are. OpenThoughts found that no answer filter beat keeping everything; this is how to find out for one's own data.

    caco run recipes/control/small.yaml
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from caco_recipes import identity
from caco_recipes.configs import StageConfig, option
from caco_recipes.funnel import Step, read_run
from caco_recipes.recipe import RecipeError, nearest
from caco_recipes.run_folder import RunError
from caco_recipes.verdicts import ACCEPTED, REJECTED

VERSION = 1
ROW = {
    "id": "string",
    "parent_ids": "list[string]",
    "family_id": "string",
    "lineage": "string",
    "instruction": "string",
    "output": "string",
    "answer": "string",
    "code": "string",
    "source": "string",
    "licence": "string",
    "domain": "string",
    "was": "string",
    "was_reason": "string",
    "hardness": "float64",
}
FEATURES = {name: kind for name, kind in ROW.items() if name not in ("id", "parent_ids", "family_id", "lineage")}
ARMS = ("verified", "unverified", "rejected", "easy", "hard")


@dataclass(kw_only=True)
class Config(StageConfig):
    """Keys of a draw step."""

    run: str = option("The folder of the run to draw from.", "")
    steps: list[str] = option("Its steps to draw from; by default the verify steps.", default_factory=list)
    arm: Literal["verified", "unverified", "rejected", "easy", "hard"] = option("Which rows.", "verified")
    rows: int = option("How many.", 1000)
    draw_seed: int = option("Seed of the draw.", 42)
    hardness: Literal["pass_rate", "solve_rate", "code_lines"] = option(
        "easy, hard: by the model's pass rate (a difficulty step), the seeds' solve rate, or the program's length.",
        "code_lines",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.run:
            raise ValueError("run: name the folder of the run to draw from")
        if self.rows < 1:
            raise ValueError("rows must be at least 1")


def facts(config: Config, context: Any) -> dict[str, Any]:
    """The work of the steps that rows are drawn from."""
    return {"steps": [step.fingerprint for step in _steps(config)]}


def planned(config: Config, run_dir: Path) -> str:
    """What a dry run says of the step."""
    return f"draws {config.rows} {config.arm} rows of {config.run} with seed {config.draw_seed}"


def rows(config: Config, context: Any) -> Iterator[dict[str, Any]]:
    """The drawn rows, in the order of the draw. Raises `RecipeError` when there are not enough."""
    keys: list[tuple[float, bytes, int]] = []  # what a row is chosen by, and its number: the rows stay on the disk
    for number, row in enumerate(_pool(config)):
        if (key := _key(row, config)) is not None:
            keys.append((*key, number))
    if len(keys) < config.rows:
        measured = f" with a {config.hardness}" if config.arm in ("easy", "hard") else ""
        raise RecipeError(
            f"step {context.step.name}: {config.rows} {config.arm} rows were asked for and {config.run} has {len(keys)}"
            f"{measured}; every arm has the same size, so lower rows in all of them"
        )
    order = {number: place for place, (*_, number) in enumerate(sorted(keys)[: config.rows])}
    drawn = [(order[number], _made(row, config)) for number, row in enumerate(_pool(config)) if number in order]
    yield from (row for _, row in sorted(drawn, key=lambda item: item[0]))


def run(batch: dict[str, list], config: Config, resources: Any) -> dict[str, list]:
    """The rows are what they are."""
    count = len(batch["id"])
    lineages = [
        identity.add_receipt(
            lineage, stage="draw", version=VERSION, arm=config.arm, was=was, draw_seed=config.draw_seed
        )
        for lineage, was in zip(batch["lineage"], batch["was"], strict=True)
    ]
    return batch | {"lineage": lineages, "verdict": [ACCEPTED] * count, "reason": [""] * count}


def _steps(config: Config) -> list[Step]:
    try:
        found = {step.name: step for step in read_run(config.run)}
    except RunError as error:
        raise RecipeError(f"run: {error}") from None
    names = config.steps or [name for name, step in found.items() if step.stage == "verify"]
    if not names:
        raise RecipeError(f"run: {config.run} has no verify step; name steps with problems and solutions under steps")
    for name in names:
        if name not in found:
            raise RecipeError(f"steps: {config.run} has no step {name!r}; {nearest(name, found)}")
        if not found[name].complete:
            raise RecipeError(f"steps: {name} of {config.run} is not finished: a draw from it would change with it")
    return [found[name] for name in names]


def _pool(config: Config) -> Iterator[dict[str, Any]]:
    """The rows that an arm may draw, each with what the run had decided."""
    kinds = {"unverified": ("", "rejected"), "rejected": ("rejected",)}.get(config.arm, ("",))
    for step in _steps(config):
        for kind in kinds:
            for row in step.folder.read(kind):
                usable = (row.get("problem") or "").strip() and (row.get("solution") or "").strip()
                if usable and (config.arm != "rejected" or row["verdict"] == REJECTED):
                    yield row


def _key(row: dict[str, Any], config: Config) -> tuple[float, bytes] | None:
    """What a row is chosen by, smallest first; None for one whose hardness was not measured."""
    content = f"{config.draw_seed}\0{row['id']}\0{row['solution']}"
    order = hashlib.sha256(content.encode("utf-8", "surrogatepass")).digest()
    if config.arm not in ("easy", "hard"):
        return 0.0, order
    value = _hardness(row, config.hardness)
    if value is None:
        return None
    return (value if config.arm == "easy" else -value), order


def _hardness(row: dict[str, Any], measure: str) -> float | None:
    """The larger, the harder: the share of attempts that failed, or the program's lines."""
    if measure == "code_lines":
        if row.get("code_lines") is not None:
            return float(row["code_lines"])
        lines = (line.strip() for line in (row.get("code") or "").splitlines())
        return float(sum(bool(line) and not line.startswith("#") for line in lines))
    rate = row.get(measure)
    return None if rate is None else 1.0 - rate


def _made(row: dict[str, Any], config: Config) -> dict[str, Any]:
    texts = {
        name: row.get(name) or "" for name in ("id", "family_id", "lineage", "code", "source", "licence", "domain")
    }
    return texts | {
        "parent_ids": row.get("parent_ids") or [],
        "instruction": row["problem"].strip(),
        "output": row["solution"].strip(),
        "answer": row.get("output_text") or "",
        "was": row["verdict"],
        "was_reason": row.get("reason") or "",
        "hardness": _hardness(row, config.hardness),
    }
