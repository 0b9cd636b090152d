"""The shards of a step: its input rows in order, cut into the units that are mapped, written and resumed at once.

A step that reads others takes their accepted files, one shard each; a source's rows are cut every `shard_rows`.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from caco_recipes.run_context import Context, Run, Step
from caco_recipes.run_folder import columns_of, schema_of


@dataclass(frozen=True)
class Shard:
    """One shard: the first `rows` rows of `path`, or a source's rows themselves. A finished part's is never read."""

    index: int
    rows: int
    path: Path | None = None
    columns: dict[str, str] = field(default_factory=dict)
    source_rows: list[dict[str, Any]] = field(default_factory=list)

    def read(self) -> pa.Table:
        """The rows as a table with all of `columns`."""
        if self.path is None:
            return pa.Table.from_pylist(self.source_rows, schema_of(self.columns))
        return _with_columns(pq.read_table(self.path).slice(0, self.rows), self.columns)


def shards(run: Run, step: Step, context: Context) -> Iterator[Shard]:
    """The shards of a step in order. A source is read only as far as its shards are taken."""
    limit = step.config.limit
    if step.source:
        rows = itertools.islice(iter(step.module.rows(step.config, context)), limit)
        for index in itertools.count():
            chunk = list(itertools.islice(rows, run.recipe.shard_rows))
            if not chunk:
                return
            yield Shard(index, len(chunk), columns=step.module.ROW, source_rows=chunk)
    files = [path for name in step.inputs for path in run.step_folder(name).accepted_files()]
    columns: dict[str, str] = {}
    counts = []
    for path in files:
        footer = pq.read_metadata(path)
        columns |= columns_of(footer.schema.to_arrow_schema())
        counts.append(footer.num_rows)
    taken = 0
    for index, (path, count) in enumerate(zip(files, counts, strict=True)):
        if limit is not None:
            count = min(count, limit - taken)
            if count <= 0 and taken:
                return
        taken += count
        yield Shard(index, count, path, columns)


def _with_columns(table: pa.Table, columns: dict[str, str]) -> pa.Table:
    """`table` with every column of `columns`, in their order: steps that are read together may differ in columns."""
    schema = schema_of(columns)
    arrays = [
        table[item.name].cast(item.type) if item.name in table.column_names else pa.nulls(len(table), item.type)
        for item in schema
    ]
    return pa.table(arrays, schema=schema)
