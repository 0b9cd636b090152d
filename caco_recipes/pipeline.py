"""The one runner: a recipe's steps in order, each a `datasets.map` over shards, resumed after a kill at any moment.

For every map step: take the accepted rows of the steps it reads, part by part; map the stage's batch function over the
part; write accepted, rejected and undecided rows atomically. A step's fingerprint says what work its parts stand for:
stage, version, configuration, prompts, model identity and the fingerprints of its inputs. A finished part of the same
fingerprint is never done again; a step whose fingerprint changed is done anew, and so are those that read it.

A stage module has one shape: VERSION, FEATURES (columns added), Config, `run(batch, config, resources)`, and where
needed TIMING, `rows` (sources), `open` (resources), `facts` (what else the fingerprint covers), `replay` (state from
finished parts) and `preview` (the first rendered prompt). A stage with WHOLE_RUN is one call, `run(config, context)`.
Several shards are at work at once, in threads that share the resources, or on Ray; a stage with `replay`, or with
IN_ORDER, gets them one after the other.

How a shard becomes a part: map_step.py. Who runs the shards: local_executor.py, ray_executor.py.
"""

import contextlib
import fcntl
import importlib
import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from caco_recipes import identity
from caco_recipes.budget import Account, BudgetReached
from caco_recipes.configs import RunConfig
from caco_recipes.events import Events
from caco_recipes.map_step import COMMON_COLUMNS, run_map_step
from caco_recipes.partial_pushes import PartialPushes
from caco_recipes.progress import StepProgress
from caco_recipes.recipe import RecipeError, apply_overrides, load_dataclass, load_yaml, nearest
from caco_recipes.run_context import Context, Engines, Run, Step
from caco_recipes.run_folder import RunError, StepFolder, totals

__all__ = ["COMMON_COLUMNS", "STAGES", "Context", "Engines", "Run", "Step", "load_run", "recipe_file", "run_steps"]

# Every stage of the loop, in its order. A recipe names steps; each step is one of these.
STAGES = {
    "seeds": "caco_recipes.seeds",
    "imported": "caco_recipes.imported",
    "unify": "caco_recipes.unify",
    "execute": "caco_recipes.execute",
    "program_keys": "caco_recipes.program_keys",
    "dedup": "caco_recipes.dedup",
    "decontaminate": "caco_recipes.decontaminate",
    "metamorphic": "caco_recipes.metamorphic",
    "sft": "caco_recipes.train",
    "sample": "caco_recipes.sample",
    "back_translate": "caco_recipes.back_translate",
    "faithful": "caco_recipes.faithful",
    "variants": "caco_recipes.variants",
    "solve": "caco_recipes.solve",
    "verify": "caco_recipes.verify",
    "domains": "caco_recipes.domains",
    "compose": "caco_recipes.compose",
    "difficulty": "caco_recipes.difficulty",
    "publish": "caco_recipes.publish",
    "evaluate": "caco_recipes.evaluate_stage",
    "draw": "caco_recipes.draw",
    "control": "caco_recipes.control",
    "report": "caco_recipes.report_stage",
}


def recipe_file(path: str | Path) -> Path:
    """The recipe that a path means: the file itself, or `pipeline.yaml` in a folder."""
    path = Path(path)
    if path.is_dir():
        file = path / "pipeline.yaml"
        if not file.exists():
            found = ", ".join(sorted(item.name for item in path.glob("*.yaml"))) or "no YAML file"
            raise RecipeError(f"{path} has no pipeline.yaml ({found}); name a recipe file")
        return file
    return path


def load_run(path: str | Path, overrides: dict[str, Any] | None = None) -> Run:
    """Reads, overrides and checks a recipe, every step's keys included. Raises `RecipeError`."""
    file = recipe_file(path)
    mapping = apply_overrides(load_yaml(file), overrides or {})
    mapping.setdefault("name", file.parent.name if file.name == "pipeline.yaml" else file.stem)
    recipe = load_dataclass(RunConfig, mapping, str(file))
    folder = str(Path(recipe.output_dir) / recipe.name)
    for engine in recipe.engines.values():
        for key, value in vars(engine).items():
            if isinstance(value, str):
                setattr(engine, key, value.replace("${run_dir}", folder))
    steps: list[Step] = []
    for name, keys in recipe.stages.items():
        where = f"{file}: stages.{name}"
        if not isinstance(keys or {}, dict):
            raise RecipeError(f"{where}: expected keys and values")
        keys = dict(keys or {})
        stage = str(keys.get("stage", name))
        if stage not in STAGES:
            raise RecipeError(f"{where}: no stage {stage!r}; {nearest(stage, STAGES)}")
        module = importlib.import_module(STAGES[stage])
        if isinstance(keys.get("input"), str):
            keys["input"] = str(keys["input"]).split(",")
        config = load_dataclass(module.Config, keys, where)
        if not config.enabled:
            continue
        source = hasattr(module, "rows")
        inputs = list(config.input) if config.input or source or not steps else [_previous_rows(steps, where)]
        for other in inputs:
            if other not in [step.name for step in steps]:
                names = [step.name for step in steps]
                raise RecipeError(f"{where}: input {other!r} is not a step above; {nearest(other, names)}")
        engine = getattr(config, "engine", "")
        if engine and engine not in recipe.engines:
            raise RecipeError(f"{where}: engine {engine!r} is not under engines; {nearest(engine, recipe.engines)}")
        if getattr(config, "json_schema", None) and recipe.engines[engine].engine == "transformers":
            raise RecipeError(
                f"{where}: json_schema: the transformers engine can't hold answers to a schema; use vllm or openai"
            )
        if not source and not inputs:
            raise RecipeError(f"{where}: the first step must be a source (seeds or sample)")
        steps.append(Step(name=name, stage=stage, module=module, config=config, inputs=inputs))
    return Run(recipe=recipe, recipe_path=file, steps=steps)


def _previous_rows(steps: list[Step], where: str) -> str:
    for step in reversed(steps):
        if not step.whole_run:
            return step.name
    raise RecipeError(f"{where}: no step above gives rows; name one under input")


def step_fingerprint(run: Run, step: Step, context: Context) -> str:
    """The identity of a step's work. Its inputs must be finished."""
    config = asdict(step.config)
    for key in ("input", "enabled", "stage"):
        config.pop(key)
    facts = step.module.facts(step.config, context) if hasattr(step.module, "facts") else {}
    if engine := getattr(step.config, "engine", ""):
        facts = facts | {"model": context.engine_identity(engine)}
    inputs = [(run.step_folder(name).manifest() or {}).get("fingerprint", "") for name in step.inputs]
    shard_rows = run.recipe.shard_rows if step.source else None
    return identity.fingerprint(step.stage, step.module.VERSION, config, facts, inputs, run.recipe.seed, shard_rows)


def run_steps(run: Run, names: list[str] | None = None) -> None:
    """Runs a recipe's steps (all, or those named) in order. Raises `RunError` or `RecipeError`; finished work stays."""
    run.folder.mkdir(parents=True, exist_ok=True)
    with _only_one(run.folder):
        events = Events(run.folder / "events.jsonl")
        recipe = run.recipe
        account = Account(run.folder / "events.jsonl", recipe.budget, recipe.prices, recipe.engines, recipe.workers)
        engines = Engines(run)
        chosen = [step for step in run.steps if not names or step.name in names]
        try:
            with _told(run, chosen, events), PartialPushes(run, events) as pushes:
                for step in chosen:
                    _check_inputs(run, step)
                    context = Context(run, step, engines, events, account)
                    context.pushes = pushes
                    _run_step(run, step, context)
        finally:
            engines.close()
            events.close()


@contextlib.contextmanager
def _told(run: Run, steps: list[Step], events: Events) -> Iterator[None]:
    """Tells the run's events when a command begins to work on it and how it ends."""
    names, session = [step.name for step in steps], events.session
    plan = [step.name for step in run.steps if not step.whole_run]
    # A push while the run goes on has to know what the publish steps will leave out.
    publish = {
        step.name: asdict(step.config) | {"input": step.inputs} for step in run.steps if step.stage == "publish"
    }
    about = {"recipe": str(run.recipe_path), "steps": names, "plan": plan, "publish": publish}
    events.write("run_start", session=session, pid=os.getpid(), **about)
    outcome, why = "finished", ""
    try:
        yield
    except BaseException as error:
        kinds = {BudgetReached: "budget", KeyboardInterrupt: "interrupted"}
        outcome = kinds.get(type(error), "failed")
        # The message of a failure stands on the terminal; it may quote a server's answer, so it is not kept here.
        why = str(error) if outcome == "budget" else type(error).__name__
        raise
    finally:
        events.write("run_end", session=session, outcome=outcome, why=why)


def _check_inputs(run: Run, step: Step) -> None:
    for name in step.inputs:
        if not run.step_folder(name).complete():
            raise RunError(f"step {step.name} reads {name}, which is not finished: run it first (--stages {name})")


def _run_step(run: Run, step: Step, context: Context) -> None:
    folder = run.step_folder(step.name)
    fingerprint = step_fingerprint(run, step, context)
    manifest = folder.manifest()
    if manifest and manifest.get("complete") and manifest.get("fingerprint") == fingerprint and _intact(folder, step):
        return
    folder.folder.mkdir(parents=True, exist_ok=True)
    context.events.write("step_start", step=step.name, fingerprint=fingerprint)
    started = time.monotonic()
    manifest = {
        "step": step.name,
        "stage": step.stage,
        "version": step.module.VERSION,
        "fingerprint": fingerprint,
        "inputs": step.inputs,
        "config": asdict(step.config),
        "engine": _engine_facts(run, step, context),
        "complete": False,
    }
    folder.write_manifest(manifest)
    rows = None if step.whole_run else _known_rows(run, step)
    engine = getattr(step.config, "engine", "")
    shown = StepProgress(step.name, rows, context.events, context.account, engine, live=not step.whole_run)
    with contextlib.closing(shown) as context.progress:
        if step.whole_run:
            if context.account is not None:
                context.account.check()
            manifest |= {"totals": step.module.run(step.config, context) or {}, "parts": []}
        else:
            records = run_map_step(run, step, context, fingerprint)
            parts = [{"name": folder.part(record.index).name} | asdict(record) for record in records]
            manifest |= {"totals": totals(records), "parts": parts}
    folder.write_manifest(manifest | {"complete": True})
    context.events.write("step_end", step=step.name, seconds=round(time.monotonic() - started, 3))


def _engine_facts(run: Run, step: Step, context: Context) -> dict[str, str] | None:
    """Which engine a step asks, for cards and funnels: its kind, the model's name and its identity."""
    name = getattr(step.config, "engine", "")
    if not name:
        return None
    engine = run.recipe.engines[name]
    model = engine.model or engine.path
    return {"name": name, "engine": engine.engine, "model": model, "identity": context.engine_identity(name)}


def _intact(folder: StepFolder, step: Step) -> bool:
    """Whether a finished step's parts are still there as its manifest says."""
    if step.whole_run:
        intact = getattr(step.module, "intact", None)
        return intact(folder.folder) if intact else True
    manifest = folder.manifest() or {}
    return all(folder.finished(part["index"], manifest["fingerprint"]) for part in manifest.get("parts", []))


def _known_rows(run: Run, step: Step) -> int | None:
    if step.source:
        return None
    rows = sum((run.step_folder(name).manifest() or {}).get("totals", {}).get("accepted", 0) for name in step.inputs)
    return rows if step.config.limit is None else min(rows, step.config.limit)


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Holds the run's lock: two commands on one run folder would write the same parts."""
    with open(folder / ".lock", "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError(
                f"{folder} is in use by another command; wait for it, or give this run another --name"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
