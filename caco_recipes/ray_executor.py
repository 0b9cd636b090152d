"""Shards on a Ray cluster: tasks for what needs processors, actors that hold an engine each for what asks a model.

    caco run RECIPE --executor ray                            an embedded Ray on this machine, ended with the command
    caco run RECIPE --executor ray --ray_address auto         the cluster that this machine belongs to

Ray decides where things run. Workers read a shard's rows from the run folder and write its part there, so all nodes need
the same file system and environment; rows don't pass through the driver. A step that goes in order is one task.

A worker may die: its node goes, or the OOM killer takes it. Its shard is sent again; one whose workers keep dying waits
until nothing else is under way and is then cut into halves, each alone, until the row that does it stands by itself. That
row is put aside: `memory:STAGE` (rejected) when Ray's memory monitor killed each of its workers,
`infrastructure:worker died in STAGE` (undecided) otherwise. Parts have the same bytes as those of a local run.
"""

import contextlib
import os
import time
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import pyarrow as pa

from caco_recipes.generation.config import EngineConfig
from caco_recipes.map_step import MapWork, shards_at_once
from caco_recipes.ray_worker import EngineActor, Job, Told, do_rows, do_shard, do_step
from caco_recipes.run_context import Context, Run, Step
from caco_recipes.run_folder import PartRecord, RunError
from caco_recipes.shards import Shard

WHOLE_TRIES = 2  # of a shard, before its rows are suspected
ROW_TRIES = 2  # of a single row, alone, before it is put aside
LOST_ROWS, LOST_SHARE = 3, 0.01  # of a shard, whichever is more, before the cluster is held to be at fault
START_TRIES = 3  # of an actor, in a row
WAITING_PER_CPU = 2  # shards handed to Ray for each processor


def connect(run: Run) -> None:
    """Joins the recipe's Ray cluster, or starts one on this machine. Raises `RunError`."""
    try:
        import ray
    except ImportError:
        raise RunError("executor: ray needs Ray: pip install 'caco-recipes[ray]'") from None
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Without a GPU a task may still want to see one that it was not given: no reason to hide it.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    quiet = {"log_to_driver": False, "logging_level": "warning"}
    address = run.recipe.ray_address
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            # Ray makes its workers yield to everything else; here they are the command's own work.
            os.environ.setdefault("RAY_worker_niceness", "0")
            ray.init(address="local", num_cpus=run.recipe.workers, include_dashboard=False, **quiet)
    except Exception as error:  # Ray raises what its parts raise
        where = f"the Ray cluster at {address}" if address else "Ray on this machine"
        raise RunError(f"{where} can't be reached or started: {error}") from None


def run_step_in_order(run: Run, step: Step, context: Context, fingerprint: str) -> list[PartRecord]:
    """A step whose shards go one after the other: one task, which goes on behind the finished parts when it is retried."""
    import ray

    connect(run)
    task = ray.remote(num_cpus=1, max_retries=WHOLE_TRIES)(do_step)
    try:
        records, told = ray.get(task.remote(_job(run, step, fingerprint)))
    except ray.exceptions.RayTaskError as error:
        raise _cause(error) from None
    except _deaths() as error:
        raise RunError(
            f"step {step.name} goes in order, and its worker died {WHOLE_TRIES + 1} times: {_words(error)}. "
            "Give its node more memory, or run it with --executor local"
        ) from None
    _pass_on(told, context)
    for record in records:
        context.progress.part(record)
    return records


class RayExecutor:
    """Runs a step's shards on Ray; see `map_step.Executor`."""

    def __init__(self, run: Run, step: Step, context: Context, fingerprint: str) -> None:
        self._work = MapWork(run, step, context, fingerprint)
        self._context = context
        self._step = step
        self._at_once = shards_at_once(run, step)
        self._job = _job(run, step, fingerprint)
        self._engine: EngineConfig | None = run.recipe.engines.get(getattr(step.config, "engine", ""))
        self._under_way: dict[Any, tuple[Shard, int, _Actor | None]] = {}  # call -> shard, earlier tries, where
        self._again: list[tuple[Shard, int]] = []
        self._suspects: list[Shard] = []
        self._actors: list[_Actor] = []
        self._starts_failed = 0
        connect(run)
        import ray

        self._told = ray.put(self._job)
        # Made once: Ray exports a function each time it is wrapped.
        self._do_shard = ray.remote(num_cpus=1, max_retries=0)(do_shard)
        self._do_rows = ray.remote(num_cpus=1, max_retries=0)(do_rows)
        self._actor_class = ray.remote(EngineActor)

    def __enter__(self) -> "RayExecutor":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import ray

        with contextlib.suppress(Exception):
            if kind is None:
                for actor in self._actors:
                    if actor.is_ready:
                        ray.get(actor.handle.close.remote(), timeout=30)
            else:
                for call, (_, _, actor) in self._under_way.items():
                    if actor is None:
                        ray.cancel(call, force=True)
        for actor in self._actors:
            with contextlib.suppress(Exception):
                ray.kill(actor.handle)
        self._actors.clear()

    def has_room(self) -> bool:
        if self._engine is not None:
            self._start_actors()
            room = self._at_once * len(self._actors)
        else:
            room = WAITING_PER_CPU * self._processors()
        return len(self._under_way) + len(self._again) < max(1, room)

    def start(self, shard: Shard) -> None:
        self._again.append((shard, 0))
        self._send()

    def busy(self) -> bool:
        return bool(self._under_way or self._again or self._suspects)

    def replay(self, index: int) -> None:
        """Nothing: a step that goes in order is one task."""

    def finished(self) -> list[PartRecord]:
        import ray

        records: list[PartRecord] = []
        while not records:
            self._send()
            if not self._under_way and not self._again:
                return [self._isolate(self._suspects.pop(0))] if self._suspects else []
            starting = {actor.ready: actor for actor in self._actors if not actor.is_ready}
            calls = [*self._under_way, *starting]
            if not calls:
                self._start_actors()
                continue
            done, _ = ray.wait(calls, num_returns=1)
            done, _ = ray.wait(calls, num_returns=len(calls), timeout=0)
            for call in done:
                if call in starting:
                    self._started(starting[call])
                elif (record := self._ended(call)) is not None:
                    records.append(record)
        return sorted(records, key=lambda record: record.index)

    # one shard's way

    def _send(self) -> None:
        """Hands waiting shards to Ray, where there is an actor with room (or at once, where none is needed)."""
        waiting, self._again = self._again, []
        for shard, tries in waiting:
            if self._engine is None:
                self._under_way[self._do_shard.remote(self._told, shard)] = (shard, tries, None)
                continue
            self._start_actors()
            able = [actor for actor in self._actors if actor.is_ready and actor.busy < self._at_once]
            if not able:
                self._again.append((shard, tries))
                continue
            actor = min(able, key=lambda actor: actor.busy)
            actor.busy += 1
            self._under_way[actor.handle.do.remote(shard)] = (shard, tries, actor)

    def _ended(self, call: Any) -> PartRecord | None:
        import ray

        shard, tries, actor = self._under_way.pop(call)
        if actor is not None:
            actor.busy -= 1
        try:
            record, told = ray.get(call)
        except ray.exceptions.RayTaskError as error:
            raise _cause(error) from None
        except _deaths() as error:
            self._context.events.write(
                "worker_died", step=self._step.name, part=shard.index, tries=tries + 1, why=_words(error)
            )
            if actor is not None and actor in self._actors:
                self._actors.remove(actor)
            if tries + 1 < WHOLE_TRIES:
                self._again.append((shard, tries + 1))
            else:
                self._suspects.append(shard)
            return None
        _pass_on(told, self._context)
        return record

    def _isolate(self, shard: Shard) -> PartRecord:
        """A shard whose workers died, in pieces, each alone on the cluster, and without the rows that end their workers."""
        began = time.monotonic()
        facts: dict[str, int] = {}
        room = [max(LOST_ROWS, int(shard.rows * LOST_SHARE))]

        def piece(start: int, stop: int, tries: int) -> list[pa.Table]:
            import ray

            try:
                table, counts, told = ray.get(self._call_alone(shard, start, stop))
            except ray.exceptions.RayTaskError as error:
                raise _cause(error) from None
            except _deaths() as error:
                self._drop_dead_actors()
                if stop - start > 1:
                    middle = (start + stop) // 2
                    return piece(start, middle, 1) + piece(middle, stop, 1)
                if tries < ROW_TRIES:
                    return piece(start, stop, tries + 1)
                room[0] -= 1
                if room[0] < 0:
                    raise RunError(
                        f"step {self._step.name}, part {shard.index}: workers keep dying, whatever row they have "
                        f"({_words(error)}): look at the nodes' memory and logs"
                    ) from None
                why = "memory" if isinstance(error, ray.exceptions.OutOfMemoryError) else "worker died"
                lost = self._work.lost(shard.read().slice(start, 1), why)
                self._context.events.write(
                    "row_lost", step=self._step.name, id=lost["id"][0].as_py(), why=why, where=f"part {shard.index}"
                )
                return [lost]
            for name, value in counts.items():
                facts[name] = facts.get(name, 0) + value
            _pass_on(told, self._context)
            return [table]

        # Whole it has failed often enough.
        middle = shard.rows // 2
        tables = piece(0, middle, 1) + piece(middle, shard.rows, 1) if middle else piece(0, 1, 1)
        table = pa.concat_tables(tables).combine_chunks()
        return self._work.write(shard.index, table, facts, time.monotonic() - began)

    def _call_alone(self, shard: Shard, start: int, stop: int) -> Any:
        import ray

        if self._engine is None:
            return self._do_rows.remote(self._told, shard, start, stop)
        while not any(actor.is_ready for actor in self._actors):
            self._start_actors()
            ray.wait([actor.ready for actor in self._actors], num_returns=1)
            for actor in list(self._actors):
                if ray.wait([actor.ready], timeout=0)[0]:
                    self._started(actor)
        return next(actor for actor in self._actors if actor.is_ready).handle.rows.remote(shard, start, stop)

    # actors

    def _start_actors(self) -> None:
        """As many as the recipe asks for; those that can't be placed yet wait in Ray."""
        wanted, gpus = _actors_wanted(self._engine)
        while len(self._actors) < wanted:
            options = {"num_cpus": 1, "num_gpus": gpus, "max_concurrency": self._at_once + 1, "max_restarts": 0}
            handle = self._actor_class.options(**options).remote(self._told)
            self._actors.append(_Actor(handle, handle.ready.remote()))

    def _started(self, actor: "_Actor") -> None:
        import ray

        try:
            ray.get(actor.ready)
        except ray.exceptions.RayTaskError as error:
            raise _cause(error) from None
        except _deaths() as error:
            self._actors.remove(actor)
            self._starts_failed += 1
            if self._starts_failed >= START_TRIES:
                raise RunError(
                    f"step {self._step.name}: the engine's actor died {START_TRIES} times while it started: "
                    f"{_words(error)}"
                ) from None
            return
        actor.is_ready = True
        self._starts_failed = 0

    def _drop_dead_actors(self) -> None:
        import ray

        for actor in list(self._actors):
            try:
                if actor.is_ready:
                    ray.get(actor.handle.ready.remote())
            except _deaths():
                self._actors.remove(actor)

    def _processors(self) -> int:
        import ray

        return max(1, int(ray.cluster_resources().get("CPU", 1)))


@dataclass(eq=False)
class _Actor:
    handle: Any
    ready: Any
    is_ready: bool = False
    busy: int = 0


def _actors_wanted(engine: EngineConfig) -> tuple[int, float]:
    """How many actors an engine gets, and how many GPUs each."""
    import ray

    here = ray.cluster_resources().get("GPU", 0)
    if engine.num_gpus is not None:
        gpus = engine.num_gpus
    elif not here or engine.engine == "recorded" or (engine.engine == "openai" and not engine.servers):
        gpus = 0
    else:
        gpus = engine.tensor_parallel_size * max(1, engine.servers)
    if engine.actors is not None:
        return engine.actors, gpus
    return max(1, int(here // gpus)) if gpus else 1, gpus


def _job(run: Run, step: Step, fingerprint: str) -> Job:
    # A task has one processor: so has its sandbox.
    there = replace(run.recipe, workers=1, executor="local", ray_address=None)
    steps = [replace(other) for other in run.steps]
    return Job(Run(there, run.recipe_path, steps), step.name, fingerprint, os.getcwd(), shards_at_once(run, step))


def _pass_on(told: Told, context: Context) -> None:
    for event, facts in told.events:
        context.events.write(event, **facts)
    for prompt_tokens, completion_tokens in told.answers:
        context.answered(prompt_tokens, completion_tokens)


def _deaths() -> tuple[type[BaseException], ...]:
    """What Ray raises when a worker, an actor or a node is gone."""
    from ray import exceptions

    return (
        exceptions.WorkerCrashedError,
        exceptions.OutOfMemoryError,
        exceptions.NodeDiedError,
        exceptions.ActorDiedError,
        exceptions.ActorUnavailableError,
        exceptions.ObjectLostError,
    )


def _cause(error: Any) -> BaseException:
    """What the stage, engine or store raised in the worker, without Ray's wrapping."""
    return error.cause if isinstance(error.cause, BaseException) else error


def _words(error: BaseException) -> str:
    """The first line of what Ray says."""
    return (
        f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}" if str(error) else type(error).__name__
    )
