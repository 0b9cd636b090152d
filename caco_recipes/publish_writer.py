"""Writes the Parquet files of a dataset folder, row by row, in bounded memory and with deterministic bytes."""

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from caco_recipes.run_folder import schema_of

ROW_GROUP = 1000  # small enough that a viewer reads a page of rows, large enough to compress


class DatasetWriter:
    """`data/train-00000.parquet` (default config), `CONFIG/train-00000.parquet` (the others); a context manager.

    Args:
        folder: made here; the caller moves it to its place when everything is written.
        configs: config -> columns (name -> type, as in a stage's `FEATURES`).
        rows_per_file: a config's next file begins after so many rows.

    A config without rows gets no file (`datasets` can't load a split without rows), but for the default one: a dataset
    that holds nothing yet says so with its columns.
    """

    def __init__(self, folder: Path, configs: dict[str, dict[str, str]], rows_per_file: int) -> None:
        self.folder = folder
        self.rows = dict.fromkeys(configs, 0)
        self._schemas = {name: schema_of(columns) for name, columns in configs.items()}
        self._rows_per_file = rows_per_file
        self._pending: dict[str, list[dict[str, Any]]] = {name: [] for name in configs}
        self._open: dict[str, pq.ParquetWriter] = {}
        self._in_file = dict.fromkeys(configs, 0)
        self._files: dict[str, list[str]] = {name: [] for name in configs}

    def __enter__(self) -> "DatasetWriter":
        return self

    def __exit__(self, kind: Any, *rest: Any) -> None:
        for config in self._schemas:
            if kind is None:
                self._flush(config)
                if not self._files[config] and config == "default":
                    self._next_file(config)
            self._close_file(config)

    def add(self, config: str, row: dict[str, Any]) -> None:
        """One row, with exactly the config's columns."""
        self._pending[config].append(row)
        self.rows[config] += 1
        room = self._rows_per_file - self._in_file[config]
        if len(self._pending[config]) >= min(ROW_GROUP, room):
            self._flush(config)

    def files(self, config: str) -> list[str]:
        """The config's files, relative to the folder."""
        return list(self._files[config])

    def bytes(self, config: str) -> int:
        """The size of the config's files."""
        return sum((self.folder / name).stat().st_size for name in self._files[config])

    def _flush(self, config: str) -> None:
        rows = self._pending[config]
        if not rows:
            return
        if config not in self._open:
            self._next_file(config)
        self._open[config].write_table(pa.Table.from_pylist(rows, schema=self._schemas[config]))
        self._in_file[config] += len(rows)
        rows.clear()
        if self._in_file[config] >= self._rows_per_file:
            self._close_file(config)

    def _next_file(self, config: str) -> None:
        name = f"{'data' if config == 'default' else config}/train-{len(self._files[config]):05d}.parquet"
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._files[config].append(name)
        self._open[config] = pq.ParquetWriter(path, self._schemas[config], compression="zstd")
        self._in_file[config] = 0

    def _close_file(self, config: str) -> None:
        writer = self._open.pop(config, None)
        if writer is None:
            return
        writer.close()
        self._in_file[config] = 0
        with open(self.folder / self._files[config][-1], "rb") as file:
            os.fsync(file.fileno())
