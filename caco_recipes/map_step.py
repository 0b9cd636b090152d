"""A map step: every shard through the stage's batch function, as a `datasets.map`, and into a part of its own.

Finished parts of the same work are left alone. Which shards are at work at once, and where, is the executor's business;
parts may be written in any order and have the same bytes in each.
"""

import contextlib
import threading
import time
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from caco_recipes.lost_rows import Batch, joined, lost_row, run_without_lost_rows, why_lost
from caco_recipes.run_context import Context, Run, Step
from caco_recipes.run_folder import PartRecord, RunError, columns_of, schema_of
from caco_recipes.shards import Shard, shards

COMMON_COLUMNS = {
    "id": "string",
    "parent_ids": "list[string]",
    "family_id": "string",
    "lineage": "string",
    "verdict": "string",
    "reason": "string",
}


class Executor(Protocol):
    """Who runs a step's shards; a context manager, left when all are done or one has failed."""

    def has_room(self) -> bool:
        """Whether another shard can be handed over."""
        ...

    def start(self, shard: Shard) -> None:
        """Hands a shard over."""
        ...

    def busy(self) -> bool:
        """Whether shards are under way."""
        ...

    def finished(self) -> list[PartRecord]:
        """Waits for at least one part of those under way. Raises what a shard raised."""
        ...

    def replay(self, index: int) -> None:
        """Tells a stage that goes in order of a part that was finished earlier."""
        ...


def run_map_step(run: Run, step: Step, context: Context, fingerprint: str) -> list[PartRecord]:
    """Maps what is not finished yet, where the recipe says. Returns the records of all parts in their order."""
    if run.recipe.executor == "local":
        return run_map_step_here(MapWork(run, step, context, fingerprint), shards_at_once(run, step))
    from caco_recipes.ray_executor import RayExecutor, run_step_in_order

    if step.in_order:
        return run_step_in_order(run, step, context, fingerprint)
    return _run(run, step, context, fingerprint, RayExecutor(run, step, context, fingerprint))


def run_map_step_here(work: "MapWork", at_once: int) -> list[PartRecord]:
    """The same in this process."""
    from caco_recipes.local_executor import LocalExecutor

    return _run(work.run, work.step, work.context, work.fingerprint, LocalExecutor(work, at_once))


def _run(
    run: Run,
    step: Step,
    context: Context,
    fingerprint: str,
    entered: contextlib.AbstractContextManager[Executor],
) -> list[PartRecord]:
    folder = run.step_folder(step.name)
    records: dict[int, PartRecord] = {}

    def take(found: list[PartRecord], reused: bool = False) -> None:
        for record in found:
            records[record.index] = record
            context.progress.part(record, reused)
            if context.pushes is not None:
                context.pushes.part_done(step.name, len(records), reused)

    with entered as executor:
        for shard in shards(run, step, context):
            if record := folder.finished(shard.index, fingerprint):
                executor.replay(shard.index)
                take([record], reused=True)
                continue
            while not executor.has_room():
                take(executor.finished())
            if context.account is not None:
                context.account.check()
            executor.start(shard)
        while executor.busy():
            take(executor.finished())
    folder.drop_parts_from(len(records))
    return [records[index] for index in sorted(records)]


def shards_at_once(run: Run, step: Step) -> int:
    """How many shards share the resources of one process.

    With an engine, as many as fill it and one more, so that the end of one never leaves it without requests; elsewhere
    two, so that a shard's last slow rows don't keep the others waiting.
    """
    if step.in_order:
        return 1
    if run.recipe.shards_at_once is not None:
        return run.recipe.shards_at_once
    engine = run.recipe.engines.get(getattr(step.config, "engine", ""))
    if engine is None:
        return 2
    return min(32, 2 + -(-engine.max_in_flight // run.recipe.shard_rows))


class MapWork:
    """What turns a shard of a step into a part. Threads may share one; the resources are opened once."""

    def __init__(self, run: Run, step: Step, context: Context, fingerprint: str) -> None:
        self.run = run
        self.step = step
        self.context = context
        self.fingerprint = fingerprint
        self.folder = run.step_folder(step.name)
        self._added = COMMON_COLUMNS | step.module.FEATURES
        self._resources: Any = None
        self._open = contextlib.ExitStack()
        self._is_open = False
        self._stopped = threading.Event()

    def open(self) -> None:
        """Opens the stage's resources, when the first shard needs them: a finished step loads no model."""
        if not self._is_open:
            opener = getattr(self.step.module, "open", None)
            opened = opener(self.step.config, self.context) if opener else contextlib.nullcontext(self.context)
            self._resources = self._open.enter_context(opened)
            self._is_open = True

    def close(self) -> None:
        """Closes the resources."""
        self._open.close()

    def stop(self) -> None:
        """No part is written from here on: what a closing engine or sandbox still gives is no result."""
        self._stopped.set()

    def replay(self, index: int) -> None:
        """Tells the stage of a part that was finished earlier, where it wants to know."""
        if replay := getattr(self.step.module, "replay", None):
            self.open()
            replay(pq.read_table(self.folder.part(index)).to_pydict(), self.step.config, self._resources)

    def do(self, shard: Shard) -> PartRecord:
        """Maps one shard, to be called after `open`, and writes its part."""
        started = time.monotonic()
        self.counts()  # what this thread counted for a shard that failed
        table = self.map(shard.read())
        return self.write(shard.index, table, self.counts(), time.monotonic() - started)

    def write(self, index: int, table: pa.Table, facts: dict[str, int], seconds: float) -> PartRecord:
        """Writes a mapped shard as a part, and tells the run's events."""
        if self._stopped.is_set():
            raise RunError(f"step {self.step.name}: part {index} was stopped")
        timing = tuple(getattr(self.step.module, "TIMING", ()))
        record = self.folder.write_part(index, self.fingerprint, table, timing, facts)
        self.context.events.write(
            "part", step=self.step.name, part=index, seconds=round(seconds, 3), **record.counts(), **facts
        )
        return record

    def counts(self) -> dict[str, int]:
        """Tokens and requests of this thread's answers since it was asked last, whoever paid for them."""
        session = None if isinstance(self._resources, Context) else getattr(self._resources, "session", None)
        return session.take_counts() if session is not None else {}

    def map(self, table: pa.Table) -> pa.Table:
        """A shard's rows through the stage's batch function, as a `datasets.map` with declared features."""
        from datasets import Dataset, Features, disable_progress_bars

        disable_progress_bars()  # the step has its own bar
        schema = schema_of(self._columns(table))
        if not len(table):
            return schema.empty_table()
        # The fingerprint is ours: `datasets` hashes functions of installed modules by name only, and so would serve the
        # results of an older version. Nothing is read from or written to its cache.
        mapped = Dataset(table).map(
            lambda batch: self._apply(batch, schema.names),
            batched=True,
            batch_size=len(table),
            remove_columns=table.column_names,
            features=Features.from_arrow_schema(schema),
            load_from_cache_file=False,
            keep_in_memory=True,
            new_fingerprint=self.fingerprint[:32],
        )
        return mapped.data.table.combine_chunks().cast(schema)

    def lost(self, table: pa.Table, why: str) -> pa.Table:
        """The rows of `table` as rows that could not be worked on."""
        columns = self._columns(table)
        module = self.step.module
        rows = [lost_row(row, columns, self.step.stage, module.VERSION, why) for row in table.to_pylist()]
        return pa.table(joined(rows), schema=schema_of(columns))

    def _columns(self, table: pa.Table) -> dict[str, str]:
        inputs = columns_of(table.schema)
        # Common columns first, so that every part of every step reads the same way.
        return COMMON_COLUMNS | {k: v for k, v in inputs.items() if k not in COMMON_COLUMNS} | self._added

    def _apply(self, batch: Batch, names: list[str]) -> Batch:
        module, config = self.step.module, self.step.config

        def run(part: Batch) -> Batch:
            given = len(next(iter(part.values())))
            result = dict(module.run(part, config, self._resources))
            if len(result["verdict"]) == given:
                result = part | result
            if missing := set(names) - set(result):
                raise RunError(f"step {self.step.name}: the stage returned no column {', '.join(sorted(missing))}")
            return {name: result[name] for name in names}

        def lost(row: dict[str, Any], error: BaseException) -> Batch:
            why = why_lost(error)
            made = lost_row(row, dict.fromkeys(names, ""), self.step.stage, module.VERSION, why)
            self.context.events.write(
                "row_lost", step=self.step.name, id=made["id"][0], why=why, where=_innermost(error)
            )
            return made

        if self.step.in_order:
            return run(batch)  # its state has seen part of the batch: it can't be tried in pieces
        return run_without_lost_rows(run, dict(batch), lost)


def _innermost(error: BaseException) -> str:
    """File and line where an error was raised; its message may quote the row and stays out of the events."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return f"{at.tb_frame.f_code.co_filename.rpartition('/')[2]}:{at.tb_lineno}" if at else ""
