"""A pilot: a recipe on a few hundred rows, to learn what share each step keeps and what it costs.

`make_pilot` runs the recipe as `runs/NAME-pilot` with every source cut down; `read_pilot` reads any run's folder. Seeds are
drawn at random over the whole of their sources (the first rows of a file are rarely like the rest), and counted on the
way: how many there are, and how many of them the seeds step itself drops, is known exactly. A killed pilot goes on like
any run, and its answers are in its store: the same forecast costs nothing the second time.
"""

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from caco_recipes import pipeline
from caco_recipes.events import read_events
from caco_recipes.funnel import finished_parts, read_run
from caco_recipes.recipe import RecipeError
from caco_recipes.run_folder import PartRecord, write_atomic
from caco_recipes.seed_sets import COLUMNS
from caco_recipes.verdicts import ACCEPTED

PARTS = 10  # a pilot's shards: enough of them to see how much tokens per row scatter
SOURCES_FILE = "pilot.json"


@dataclass
class StepPilot:
    """What a pilot says of one step.

    Attributes:
        rows_in: rows that it was given (of its inputs, or of its source).
        rows, accepted: rows that came out of it, and those of them that it kept.
        parts: (rows, prompt tokens, new tokens) of each part.
        seconds: wall-clock seconds that its parts took, loading of models left out; None when no event tells.
        reasons: why rows were dropped.
    """

    rows_in: int = 0
    rows: int = 0
    accepted: int = 0
    parts: list[tuple[int, int, int]] = field(default_factory=list)
    seconds: float | None = None
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def tokens(self) -> tuple[int, int]:
        """Prompt and new tokens over all parts."""
        return sum(part[1] for part in self.parts), sum(part[2] for part in self.parts)


@dataclass
class Pilot:
    """A pilot: its steps by name, and what was counted of the recipe's whole sources (step -> rows and accepted)."""

    folder: Path
    steps: dict[str, StepPilot]
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)


def make_pilot(run: pipeline.Run, rows: int, overrides: dict[str, Any], train: bool = False, seed: int = 7) -> Pilot:
    """Runs `run`'s recipe on `rows` rows of each source, and reads it.

    Training runs are left out unless `train`; evaluation, publishing and reports always. Raises `RecipeError` when an
    engine's model is made by a training that is left out and is not there yet.
    """
    name = f"{run.recipe.name}-pilot"
    folder = Path(run.recipe.output_dir) / name
    changes: dict[str, Any] = {"name": name, "shard_rows": max(1, -(-rows // PARTS)), "budget": {}}
    for step in run.steps:
        if step.whole_run and not (train and step.stage == "sft"):
            changes[f"stages.{step.name}.enabled"] = False
    changes |= _models(run, folder, overrides, train)
    folder.mkdir(parents=True, exist_ok=True)
    sources: dict[str, dict[str, Any]] = {}
    for step in run.steps:
        if not step.source:
            continue
        sources[step.name], change = _cut_source(run, step, rows, folder, seed)
        changes |= change
    write_atomic(folder / SOURCES_FILE, json.dumps(sources, indent=1, sort_keys=True) + "\n")
    made = pipeline.load_run(run.recipe_path, overrides | changes)
    pipeline.run_steps(made)
    return read_pilot(folder)


def _models(run: pipeline.Run, folder: Path, overrides: dict[str, Any], train: bool) -> dict[str, Any]:
    """Engines whose model a training step makes: the run's own model if it is there, or the pilot's."""
    changes: dict[str, Any] = {}
    trained = {str(run.folder / step.name / "model"): step.name for step in run.steps if step.stage == "sft"}
    used = {getattr(step.config, "engine", "") for step in run.steps if not step.whole_run}
    for name, engine in run.recipe.engines.items():
        step = trained.get(engine.model)
        if step is None or name not in used:
            continue
        if (Path(engine.model) / "config.json").exists():
            changes[f"engines.{name}.model"] = engine.model
        elif train:
            changes[f"engines.{name}.model"] = str(folder / step / "model")
        else:
            raise RecipeError(
                f"engine {name} uses the model that step {step} makes, which is not there yet: name another for the pilot "
                f"(--engines.{name}.model LHL3341/Caco-CodeGen), or train one on the pilot's rows (--pilot-train)"
            )
    return changes


def _cut_source(
    run: pipeline.Run, step: pipeline.Step, rows: int, folder: Path, seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the whole source holds, and the overrides that cut it down."""
    limit = step.config.limit
    if step.stage == "sample":
        total = step.config.num_programs if limit is None else min(limit, step.config.num_programs)
        return {"rows": total}, {f"stages.{step.name}.num_programs": min(rows, total)}
    if step.stage != "seeds":
        context = pipeline.Context(run, step, pipeline.Engines(run), None)
        total = sum(1 for _ in islice(step.module.rows(step.config, context), limit))
        return {"rows": total}, {f"stages.{step.name}.limit": min(rows, total) or 1}
    counts, chosen = _draw_seeds(run, step, rows, seed)
    path = folder / f"pilot-{step.name}.jsonl"
    write_atomic(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in chosen))
    return counts, {f"stages.{step.name}.sources": [{"path": str(path)}], f"stages.{step.name}.limit": None}


def _draw_seeds(
    run: pipeline.Run, step: pipeline.Step, rows: int, seed: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Counts of all seeds by the step's own rules, and `rows` of those it keeps, each equally likely (a reservoir)."""
    draw = random.Random(seed)
    context = pipeline.Context(run, step, pipeline.Engines(run), None)
    chosen: list[tuple[int, dict[str, Any]]] = []
    total = accepted = 0
    reasons: Counter[str] = Counter()
    with step.module.open(step.config, context) as resources:
        for batch in _batches(islice(step.module.rows(step.config, context), step.config.limit)):
            columns = {name: [row.get(name) for row in batch] for name in step.module.ROW}
            made = step.module.run(columns, step.config, resources)
            for row, verdict, reason in zip(batch, made["verdict"], made["reason"], strict=True):
                total += 1
                if verdict != ACCEPTED:
                    reasons[reason] += 1
                    continue
                item = (accepted, {name: row.get(name) for name in COLUMNS})
                accepted += 1
                if len(chosen) < rows:
                    chosen.append(item)
                elif (place := draw.randrange(accepted)) < rows:
                    chosen[place] = item
    counts = {"rows": total, "accepted": accepted, "reasons": dict(sorted(reasons.items()))}
    return counts, [row for _, row in sorted(chosen, key=lambda item: item[0])]


def _batches(rows: Iterator[dict[str, Any]], size: int = 1000) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(rows, size)):
        yield batch


def read_pilot(folder: str | Path) -> Pilot:
    """A run's folder as a pilot; unfinished steps count with the parts they have. Raises `RunError` for no run."""
    folder = Path(folder)
    steps = {step.name: step for step in read_run(folder)}
    seconds = _wall_seconds(folder / "events.jsonl")
    made: dict[str, StepPilot] = {}
    for name, step in steps.items():
        if step.folder is None or not step.folder.accepted_files():
            continue
        records = finished_parts(step.folder, step.fingerprint)
        rows_in = _rows_in(records, step, made, steps)
        made[name] = StepPilot(
            rows_in=rows_in,
            rows=sum(record.rows for record in records),
            accepted=sum(record.accepted for record in records),
            parts=[
                (record.rows, record.facts.get("prompt_tokens", 0), record.facts.get("completion_tokens", 0))
                for record in records
            ],
            seconds=seconds.get(step.fingerprint),
            reasons=step.reasons,
        )
    try:
        sources = json.loads((folder / SOURCES_FILE).read_text())
    except (OSError, ValueError):
        sources = {}
    return Pilot(folder, made, sources)


def _rows_in(records: list[PartRecord], step: Any, made: dict[str, StepPilot], steps: dict[str, Any]) -> int:
    """Rows that a step's finished parts were given: parts stand for those of its inputs, in their order."""
    if not step.inputs:
        return sum(record.rows for record in records)
    if step.complete:
        total = sum(made[name].accepted for name in step.inputs if name in made)
        limit = step.config.get("limit")
        return min(total, limit) if isinstance(limit, int) else total
    files = [path for name in step.inputs if name in steps for path in steps[name].folder.accepted_files()]
    done = {record.index for record in records}
    return sum(pq.read_metadata(path).num_rows for index, path in enumerate(files) if index in done)


def _wall_seconds(events: Path) -> dict[str, float]:
    """Fingerprint -> seconds from its first shard's start to its last one's end, summed over commands."""
    current: dict[str, str] = {}
    spans: dict[tuple[str, int], list[float]] = {}
    command = 0
    for event in read_events(events):
        if event["event"] == "run_start":
            command += 1
        elif event["event"] == "step_start":
            current[event.get("step", "")] = str(event.get("fingerprint", ""))
        elif event["event"] == "part" and event.get("step") in current:
            ended, took = float(event.get("time") or 0), float(event.get("seconds") or 0)
            span = spans.setdefault((current[event["step"]], command), [ended - took, ended])
            span[0], span[1] = min(span[0], ended - took), max(span[1], ended)
    seconds: dict[str, float] = {}
    for (fingerprint, _), (start, end) in spans.items():
        seconds[fingerprint] = seconds.get(fingerprint, 0.0) + end - start
    return seconds
