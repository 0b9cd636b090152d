"""The one runner: a recipe's steps in order, each a `datasets.map` over shards, resumed after a kill at any moment.

For every map step: take the accepted rows of the steps it reads, part by part; map the stage's batch function over the
part; write accepted, rejected and undecided rows atomically. A step's fingerprint says what work its parts stand for:
stage, version, configuration, prompts, model identity and the fingerprints of its inputs. A finished part of the same
fingerprint is never done again; a step whose fingerprint changed is done anew, and so are those that read it.

A stage module has one shape: VERSION, FEATURES (columns added), Config, `run(batch, config, resources)`, and where
needed TIMING, `rows` (sources), `open` (resources), `facts` (what else the fingerprint covers), `replay` (state from
finished parts) and `preview` (the first rendered prompt). A stage with WHOLE_RUN is one call, `run(config, context)`.
"""

import contextlib
import fcntl
import importlib
import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from caco_recipes import identity
from caco_recipes.budget import Account, BudgetReached
from caco_recipes.configs import RunConfig, StageConfig
from caco_recipes.events import Events
from caco_recipes.progress import StepProgress
from caco_recipes.recipe import RecipeError, apply_overrides, load_dataclass, load_yaml, nearest
from caco_recipes.run_folder import PartRecord, RunError, StepFolder, columns_of, schema_of, totals

# Every stage of the loop, in its order. A recipe names steps; each step is one of these.
STAGES = {
    "seeds": "caco_recipes.seeds",
    "unify": "caco_recipes.unify",
    "execute": "caco_recipes.execute",
    "dedup": "caco_recipes.dedup",
    "sft": "caco_recipes.train",
    "sample": "caco_recipes.sample",
    "back_translate": "caco_recipes.back_translate",
    "solve": "caco_recipes.solve",
    "verify": "caco_recipes.verify",
    "publish": "caco_recipes.publish",
    "evaluate": "caco_recipes.evaluate_stage",
    "report": "caco_recipes.report_stage",
}
COMMON_COLUMNS = {
    "id": "string",
    "parent_ids": "list[string]",
    "family_id": "string",
    "lineage": "string",
    "verdict": "string",
    "reason": "string",
}


@dataclass
class Step:
    """One step of a run: its stage's module, its typed configuration and the steps it reads."""

    name: str
    stage: str
    module: ModuleType
    config: StageConfig
    inputs: list[str]

    @property
    def whole_run(self) -> bool:
        return getattr(self.module, "WHOLE_RUN", False)

    @property
    def source(self) -> bool:
        return hasattr(self.module, "rows")


@dataclass
class Run:
    """A loaded recipe."""

    recipe: RunConfig
    recipe_path: Path
    steps: list[Step]
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder = Path(self.recipe.output_dir) / self.recipe.name

    def step(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)

    def step_folder(self, name: str) -> StepFolder:
        return StepFolder(self.folder / name)


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
        if not source and not inputs:
            raise RecipeError(f"{where}: the first step must be a source (seeds or sample)")
        steps.append(Step(name=name, stage=stage, module=module, config=config, inputs=inputs))
    return Run(recipe=recipe, recipe_path=file, steps=steps)


def _previous_rows(steps: list[Step], where: str) -> str:
    for step in reversed(steps):
        if not step.whole_run:
            return step.name
    raise RecipeError(f"{where}: no step above gives rows; name one under input")


class Context:
    """What a stage may ask of the run that it is a step of."""

    def __init__(
        self, run: Run, step: Step, engines: "Engines", events: Events | None, account: Account | None = None
    ) -> None:
        self.run = run
        self.recipe = run.recipe
        self.step = step
        self.run_dir = run.folder
        self.step_dir = run.folder / step.name
        self.inputs = [run.step_folder(name) for name in step.inputs]
        self.events = events
        self.account = account
        self.progress: StepProgress | None = None
        self._engines = engines

    def session(self, engine: str):
        """The generation session (engine and store) of a name under `engines:`."""
        return self._engines.session(engine, self)

    def engine_identity(self, engine: str) -> str:
        """The identity of an engine's model, without loading its weights."""
        return self._engines.identity(engine)

    def sandbox(self, rules: str | None = None, **limits: Any):
        """A sandbox pool with the run's workers and least isolation; `limits` are `sandbox.Limits`'s."""
        from caco_recipes.sandbox import Limits, Pool

        return Pool(
            workers=self.recipe.workers,
            limits=Limits(**limits),
            minimum_isolation=self.recipe.isolation,
            rules=rules,
        )

    def release_engines(self) -> None:
        """Closes every engine, so that its memory is free (before a training run)."""
        self._engines.close()

    def answered(self, prompt_tokens: int, completion_tokens: int) -> None:
        """The engine answered one more request."""
        if self.progress is not None:
            self.progress.answered(prompt_tokens, completion_tokens)

    def budget_reached(self) -> str:
        """Which limit of the run's budget is used up; nothing while there is room."""
        return self.account.reached() if self.account is not None else ""


class Engines:
    """The engines of a run, opened when first asked for and closed together."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._sessions: dict[str, Any] = {}

    def session(self, name: str, context: Context):
        from caco_recipes.generation.engine import open_engine
        from caco_recipes.generation.session import Session
        from caco_recipes.generation.store import Store

        if name not in self._sessions:
            # One engine's model is in memory at a time: steps that use the same one follow each other in most recipes.
            self.close()
            engine = open_engine(self._run.recipe.engines[name], name)
            self._sessions[name] = Session(engine, Store(self._run.folder / "store"), events=context.events)
        session = self._sessions[name]
        session.on_answer = context.answered
        session.halt = context.budget_reached
        return session

    def identity(self, name: str) -> str:
        from caco_recipes.generation.engine import model_identity

        return model_identity(self._run.recipe.engines[name], name)

    def close(self) -> None:
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()


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
            with _told(run, chosen, events):
                for step in chosen:
                    _check_inputs(run, step)
                    context = Context(run, step, engines, events, account)
                    _run_step(run, step, context)
        finally:
            engines.close()
            events.close()


@contextlib.contextmanager
def _told(run: Run, steps: list[Step], events: Events) -> Iterator[None]:
    """Tells the run's events when a command begins to work on it and how it ends."""
    names, session = [step.name for step in steps], events.session
    events.write("run_start", session=session, pid=os.getpid(), recipe=str(run.recipe_path), steps=names)
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
            records = _run_map_step(run, step, context, folder, fingerprint)
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


def _run_map_step(run: Run, step: Step, context: Context, folder: StepFolder, fingerprint: str) -> list[PartRecord]:
    added = COMMON_COLUMNS | step.module.FEATURES
    timing = tuple(getattr(step.module, "TIMING", ()))
    open_resources = getattr(step.module, "open", None)
    records: list[PartRecord] = []
    with contextlib.ExitStack() as stack:
        resources = None
        for index, shard in enumerate(_shards(run, step, context)):
            record = folder.finished(index, fingerprint)
            reused = record is not None
            replay = getattr(step.module, "replay", None)
            if resources is None and (record is None or replay):
                # Opened at the first part that needs work: a finished step loads no model.
                opened = open_resources(step.config, context) if open_resources else contextlib.nullcontext(context)
                resources = stack.enter_context(opened)
            if record is None:
                if context.account is not None:
                    context.account.check()
                started = time.monotonic()
                table = _map_shard(step, shard(), added, resources, fingerprint)
                facts = _facts(resources)
                record = folder.write_part(index, fingerprint, table, timing, facts)
                seconds = round(time.monotonic() - started, 3)
                context.events.write("part", step=step.name, part=index, seconds=seconds, **record.counts(), **facts)
            elif replay:
                replay(pq.read_table(folder.part(index)).to_pydict(), step.config, resources)
            records.append(record)
            context.progress.part(record, reused)
    folder.drop_parts_from(len(records))
    return records


def _facts(resources: Any) -> dict[str, int]:
    """Counts that the part's record keeps (tokens of the answers it stands on, whoever paid for them)."""
    session = None if isinstance(resources, Context) else getattr(resources, "session", None)
    return session.take_counts() if session is not None else {}


def _known_rows(run: Run, step: Step) -> int | None:
    if step.source:
        return None
    rows = sum((run.step_folder(name).manifest() or {}).get("totals", {}).get("accepted", 0) for name in step.inputs)
    return rows if step.config.limit is None else min(rows, step.config.limit)


def _shards(run: Run, step: Step, context: Context) -> Iterator[Any]:
    """The input shards in order, each a function that reads it: a finished part's input is never read."""
    limit = step.config.limit
    if step.source:
        rows = itertools.islice(iter(step.module.rows(step.config, context)), limit)
        while chunk := list(itertools.islice(rows, run.recipe.shard_rows)):
            yield lambda chunk=chunk: pa.Table.from_pylist(chunk, schema_of(step.module.ROW))
        return
    files = [path for name in step.inputs for path in run.step_folder(name).accepted_files()]
    columns: dict[str, str] = {}
    for path in files:
        columns |= columns_of(pq.read_schema(path))
    taken = 0
    for path in files:
        count = pq.read_metadata(path).num_rows
        if limit is not None:
            count = min(count, limit - taken)
            if count <= 0 and taken:
                return
        taken += count
        yield lambda path=path, count=count: _with_columns(pq.read_table(path).slice(0, count), columns)


def _with_columns(table: pa.Table, columns: dict[str, str]) -> pa.Table:
    """`table` with every column of `columns`, in their order: steps that are read together may differ in columns."""
    schema = schema_of(columns)
    arrays = [
        table[item.name].cast(item.type) if item.name in table.column_names else pa.nulls(len(table), item.type)
        for item in schema
    ]
    return pa.table(arrays, schema=schema)


def _map_shard(step: Step, table: pa.Table, added: dict[str, str], resources: Any, fingerprint: str) -> pa.Table:
    """One shard through the stage's batch function, as a `datasets.map` with declared features."""
    from datasets import Dataset, Features, disable_progress_bars

    disable_progress_bars()  # the step has its own bar
    inputs = columns_of(table.schema)
    # Common columns first, so that every part of every step reads the same way.
    columns = COMMON_COLUMNS | {k: v for k, v in inputs.items() if k not in COMMON_COLUMNS} | added
    schema = schema_of(columns)
    if not len(table):
        return schema.empty_table()

    def apply(batch: dict[str, list]) -> dict[str, list]:
        given = len(next(iter(batch.values())))
        result = dict(step.module.run(batch, step.config, resources))
        made = len(result["verdict"])
        if made == given:
            result = batch | result
        if missing := set(columns) - set(result):
            raise RunError(f"step {step.name}: the stage returned no column {', '.join(sorted(missing))}")
        return {name: result[name] for name in columns}

    # The fingerprint is ours: `datasets` hashes functions of installed modules by name only, and so would serve the
    # results of an older version. Nothing is read from or written to its cache.
    mapped = Dataset(table).map(
        apply,
        batched=True,
        batch_size=len(table),
        remove_columns=table.column_names,
        features=Features.from_arrow_schema(schema),
        load_from_cache_file=False,
        keep_in_memory=True,
        new_fingerprint=fingerprint[:32],
    )
    return mapped.data.table.combine_chunks().cast(schema)


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
