"""Writes the Parquet files of a dataset folder, row by row, in bounded memory and with deterministic bytes."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from caco_recipes.run_folder import schema_of

ROW_GROUP = 1000  # small enough that a viewer reads a page of rows, large enough to compress


@dataclass
class Split:
    """What was written of one split: its files (relative to the dataset's folder), rows and bytes."""

    files: list[str] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0


class DatasetWriter:
    """`data/train-00000.parquet` (default config), `CONFIG/train-00000.parquet` (the others); a context manager.

    Args:
        folder: made here; the caller moves it to its place when everything is written.
        configs: config -> columns (name -> type, as in a stage's `FEATURES`).
        rows_per_file: a split's next file begins after so many rows.

    A split without rows gets no file (`datasets` can't load a split without rows), but for the default config's `train`:
    a dataset that holds nothing yet says so with its columns.

    `splits` holds what was written: config -> split -> `Split`, `train` first.
    """

    def __init__(self, folder: Path, configs: dict[str, dict[str, str]], rows_per_file: int) -> None:
        self.folder = folder
        self.splits: dict[str, dict[str, Split]] = {name: {"train": Split()} for name in configs}
        self._schemas = {name: schema_of(columns) for name, columns in configs.items()}
        self._rows_per_file = rows_per_file
        self._pending: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self._open: dict[tuple[str, str], pq.ParquetWriter] = {}
        self._in_file: Counter[tuple[str, str]] = Counter()

    def __enter__(self) -> "DatasetWriter":
        return self

    def __exit__(self, kind: Any, *rest: Any) -> None:
        if kind is None:
            for config, split in self._pending:
                self._flush(config, split)
            if "default" in self.splits and not self.splits["default"]["train"].files:
                self._next_file("default", "train")
        for config, split in list(self._open):
            self._close_file(config, split)

    def add(self, config: str, row: dict[str, Any], split: str = "train") -> None:
        """One row, with exactly the config's columns."""
        pending = self._pending.setdefault((config, split), [])
        pending.append(row)
        self.splits[config].setdefault(split, Split()).rows += 1
        room = self._rows_per_file - self._in_file[config, split]
        if len(pending) >= min(ROW_GROUP, room):
            self._flush(config, split)

    def _flush(self, config: str, split: str) -> None:
        rows = self._pending[config, split]
        if not rows:
            return
        if (config, split) not in self._open:
            self._next_file(config, split)
        self._open[config, split].write_table(pa.Table.from_pylist(rows, schema=self._schemas[config]))
        self._in_file[config, split] += len(rows)
        rows.clear()
        if self._in_file[config, split] >= self._rows_per_file:
            self._close_file(config, split)

    def _next_file(self, config: str, split: str) -> None:
        files = self.splits[config][split].files
        name = f"{'data' if config == 'default' else config}/{split}-{len(files):05d}.parquet"
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        files.append(name)
        self._open[config, split] = pq.ParquetWriter(path, self._schemas[config], compression="zstd")
        self._in_file[config, split] = 0

    def _close_file(self, config: str, split: str) -> None:
        self._open.pop((config, split)).close()
        self._in_file[config, split] = 0
        written = self.splits[config][split]
        path = self.folder / written.files[-1]
        written.bytes += path.stat().st_size
        with open(path, "rb") as file:
            os.fsync(file.fileno())
