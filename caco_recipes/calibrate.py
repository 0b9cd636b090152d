"""`caco calibrate`: how often a judge is wrong, measured on labelled pairs (paper, sections 3.3 and 5.3 name the judges).

In: a run folder (accepted rows of its verify steps) or a JSON Lines file with `problem`, `solution`, `code` and, for
pairs that are labelled already, `label` and `kind`. Out, in the run folder or under --output: `calibration.json`,
`calibration.md` and `calibration-pairs.jsonl` (every pair, what was changed, what each judge said of it). A publish step
of the run puts the table into the dataset's card.

The judge is an engine: keys of a recipe (`--config`), options (`--engine.model NAME`), or, for a run folder, the engine of
the run's own judge. Answers go to the run's store: each is paid for once, and a killed command goes on.

    caco calibrate runs/quickstart --engine.engine transformers --engine.model models/SmolLM2-135M-Instruct --limit 20
    caco calibrate pairs.jsonl --config recipes/calibrate/judge.yaml --output runs/calibration
    caco calibrate runs/quickstart --dry-run
"""

import dataclasses
import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from caco_recipes import identity
from caco_recipes.calibration import judging, near_misses, pairs, rates, tables
from caco_recipes.calibration.pairs import Pair, Source
from caco_recipes.configs import option
from caco_recipes.funnel import read_run
from caco_recipes.generation.config import EngineConfig
from caco_recipes.generation.requests import SamplingParams
from caco_recipes.prompts import load
from caco_recipes.recipe import RecipeError, nearest
from caco_recipes.run_folder import write_atomic

PAIRS_FILE = "calibration-pairs.jsonl"


@dataclass(kw_only=True)
class Config:
    """A calibration recipe."""

    engine: EngineConfig | None = option("The judge; by default the one that judged the run.")
    judges: list[Literal["consistent", "solvable", "correct"]] = option(
        "Which judges.", default_factory=lambda: ["consistent", "solvable", "correct"]
    )
    kinds: list[str] = option(
        "Kinds of near misses; all by default.", default_factory=lambda: list(near_misses.APPLIES)
    )
    rows: int = option("Rows that pairs are made of, drawn by seed.", 200)
    steps: list[str] = option("Steps of the run to take rows from; by default its verify steps.", default_factory=list)
    max_false_accept: float = option("The share of false accepts that the threshold is chosen for.", 0.05)
    temperature: float = option("0 is greedy.", 0.0)
    max_tokens: int = option("New tokens of a judge's answer at the most.", 8)
    seed: int = option("Seed of every draw.", 42)
    isolation: str = option("The least sandbox level to accept.", "basic")
    workers: int | None = option("Sandbox processes; by default one per core.")

    def __post_init__(self) -> None:
        if self.rows < 1 or self.max_tokens < 1:
            raise ValueError("rows and max_tokens must be at least 1")
        if not 0 < self.max_false_accept < 1:
            raise ValueError("max_false_accept is a share between 0 and 1")
        if not self.judges:
            raise ValueError("judges: name at least one")
        for kind in self.kinds:
            if kind not in near_misses.APPLIES:
                raise ValueError(f"kinds: no kind {kind!r}; {nearest(kind, near_misses.APPLIES)}")


def calibrate(source: Path, config: Config, output: Path) -> dict[str, Any]:
    """Makes the pairs, asks the judges, writes the three files into `output`; returns the content of calibration.json.

    Raises `RecipeError` for a source that can't be used, `EngineError` for an engine that can't go on; what was
    answered by then is in `output/store`.
    """
    from caco_recipes.generation.engine import open_engine
    from caco_recipes.generation.session import Session
    from caco_recipes.generation.store import Store

    engine = engine_of(source, config)
    found, labelled = make_pairs(source, config)
    output.mkdir(parents=True, exist_ok=True)
    session = Session(open_engine(engine, ""), Store(output / "store"))
    try:
        judged = judging.ask(labelled, config.judges, session, sampling(config))
        content = summary(source, config, engine, session.identity, found, labelled, judged)
    finally:
        session.close()
    lines = "".join(json.dumps(_line(item)) + "\n" for item in judged)
    write_atomic(output / PAIRS_FILE, lines)
    write_atomic(output / "calibration.md", tables.document(content))
    write_atomic(output / tables.FILE, json.dumps(content, indent=1, sort_keys=True) + "\n")
    return content


def make_pairs(source: Path, config: Config) -> tuple[Source, list[Pair]]:
    """(what was read, all labelled pairs): right rows, their near misses, and pairs that came labelled."""
    with _sandbox(config) as pool:
        found = pairs.read_source(source, config.steps, config.rows, config.seed, pool)
        made = near_misses.near_misses(found.rows, config.kinds, config.seed, pool)
    return found, [*pairs.right_pairs(found.rows), *made, *found.labelled]


@contextmanager
def _sandbox(config: Config):
    from caco_recipes.sandbox import Limits, Pool

    limits = Limits(cpu_seconds=1.0, slow_cpu_seconds=10.0)
    with Pool(workers=config.workers, limits=limits, minimum_isolation=config.isolation) as pool:
        yield pool


def engine_of(source: Path, config: Config) -> EngineConfig:
    """The judge's engine: the recipe's, or the one that a verify step of the run asked. Raises `RecipeError`."""
    if config.engine is not None:
        return config.engine
    if source.is_dir():
        from caco_recipes.run_folder import StepFolder

        for step in read_run(source):
            asked = (StepFolder(source / step.name).manifest() or {}).get("engine") if step.stage == "verify" else None
            if asked and asked["engine"] == "recorded":
                return EngineConfig(engine="recorded", path=asked["model"])
            if asked:
                return EngineConfig(engine=asked["engine"], model=asked["model"])
    raise RecipeError(
        f"{source}: no judge took part in it; name one: --engine.engine transformers --engine.model NAME"
    )


def sampling(config: Config) -> SamplingParams:
    """A judge's decoding, as in the verify stage."""
    return SamplingParams(temperature=config.temperature, max_tokens=config.max_tokens, seed=42, logprobs=True)


def summary(
    source: Path,
    config: Config,
    engine: EngineConfig,
    model_identity: str,
    found: Source,
    labelled: list[Pair],
    judged: list[judging.Judged],
) -> dict[str, Any]:
    """The content of calibration.json. Nothing measured (seconds, dates) is in it: same rows, same answers, same bytes."""
    by_judge = {judge: [item for item in judged if item.judge == judge] for judge in config.judges}
    return {
        "schema": 1,
        "source": source.resolve().name,
        "model": _name_of(engine),
        "identity": model_identity,
        "engine": engine.engine,
        "decoding": dataclasses.asdict(sampling(config)),
        "prompts": {f"judge_{judge}": load(f"judge_{judge}").sha256 for judge in config.judges},
        "seed": config.seed,
        "rows": len(found.rows),
        "unusable": found.unusable,
        "pairs": len(labelled),
        "pairs_sha256": identity.sha256_text(json.dumps([dataclasses.astuple(pair) for pair in labelled])),
        "questions": len(judged),
        "judges": {
            judge: rates.of_judge(items, config.max_false_accept) for judge, items in by_judge.items() if items
        },
    }


def _line(item: judging.Judged) -> dict[str, Any]:
    pair, opinion = item.pair, item.opinion
    facts = {"id": pair.id, "kind": pair.kind, "right": pair.right, "judge": item.judge, "change": pair.change}
    said = {"word": opinion.word, "probability": opinion.probability, "fault": opinion.fault}
    return (
        facts
        | said
        | {"request_key": opinion.receipt}
        | {k: getattr(pair, k) for k in ("problem", "solution", "code")}
    )


def _name_of(engine: EngineConfig) -> str:
    """The judge's name without a machine's paths: a Hub name, a local folder's name, or a recording's file."""
    if not engine.model:
        return Path(engine.path).name
    return Path(engine.model).name if Path(engine.model).exists() else engine.model
