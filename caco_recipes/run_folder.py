"""A step's folder in a run: parts, their records, the manifest, and the rule by which a killed run goes on.

    runs/NAME/STEP/part-00000.parquet            accepted rows; its footer carries the part's record
    runs/NAME/STEP/part-00000.rejected.parquet   rejected and undecided rows, with their reasons
    runs/NAME/STEP/part-00000.timing.parquet     measured values (seconds, memory), never compared
    runs/NAME/STEP/manifest.json                 what the step is, and the sums over its parts

The accepted file is written last: a part is finished when that file is there, its record was made by the same work
(the step's fingerprint) and its neighbours have the sizes that the record states. Everything else is done again.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from caco_recipes.verdicts import ACCEPTED, REJECTED, UNDECIDED, check_reason

RECORD_KEY = b"caco.part"
ARROW_TYPES = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "list[string]": pa.list_(pa.string()),
}


class RunError(RuntimeError):
    """A run that can't go on; the message says what to do. What was finished stays."""


@dataclass(kw_only=True)
class PartRecord:
    """What a finished part is: its work's fingerprint, its counts, and the sizes of the files beside it."""

    fingerprint: str
    index: int
    rows: int
    accepted: int
    rejected: int
    undecided: int
    reasons: dict[str, int] = field(default_factory=dict)
    facts: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in ("rows", "accepted", "rejected", "undecided")}


def write_atomic(path: Path, data: bytes | str) -> None:
    """Writes a file so that a reader sees the old content or the new, never a half. A full disk leaves the old one."""
    data = data.encode() if isinstance(data, str) else data
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_table(path: Path, table: pa.Table, record: PartRecord | None = None) -> int:
    """Writes Parquet atomically, with the record in its footer; returns the file's size in bytes."""
    if record is not None:
        metadata = dict(table.schema.metadata or {}) | {RECORD_KEY: json.dumps(asdict(record), sort_keys=True)}
        table = table.replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    data = sink.getvalue()
    write_atomic(path, memoryview(data))
    return len(data)


def schema_of(columns: dict[str, str]) -> pa.Schema:
    """The Arrow schema of a stage's columns (`FEATURES`)."""
    return pa.schema([(name, ARROW_TYPES[kind]) for name, kind in columns.items()])


def columns_of(schema: pa.Schema) -> dict[str, str]:
    """The inverse of `schema_of`, for the columns of a Parquet file. Raises `RunError` for a type of no stage's."""
    names = {kind: name for name, kind in ARROW_TYPES.items()}
    columns = {}
    for item in schema:
        kind = pa.list_(pa.string()) if pa.types.is_list(item.type) else item.type
        if pa.types.is_large_string(kind):
            kind = pa.string()
        if kind not in names:
            raise RunError(f"column {item.name!r} has the type {item.type}, which no stage reads")
        columns[item.name] = names[kind]
    return columns


class StepFolder:
    """The folder of one step of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name

    def part(self, index: int, kind: str = "") -> Path:
        """The path of a part; `kind` is empty, `rejected` or `timing`."""
        return self.folder / f"part-{index:05d}{'.' + kind if kind else ''}.parquet"

    def manifest(self) -> dict[str, Any] | None:
        """The manifest, or None when there is none that can be read (it can be made again from the parts)."""
        try:
            return json.loads((self.folder / "manifest.json").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        write_atomic(self.folder / "manifest.json", json.dumps(manifest, indent=1, sort_keys=True) + "\n")

    def complete(self) -> bool:
        manifest = self.manifest()
        return bool(manifest and manifest.get("complete"))

    def accepted_files(self) -> list[Path]:
        """The accepted files of all parts, in order."""
        return sorted(path for path in self.folder.glob("part-*.parquet") if path.name.count(".") == 1)

    def rejected_files(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.rejected.parquet"))

    def timing_files(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.timing.parquet"))

    def read(self, kind: str = "", columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
        """All rows of a kind of part, in order, one part in memory at a time."""
        files = {"": self.accepted_files, "rejected": self.rejected_files, "timing": self.timing_files}[kind]()
        for path in files:
            for batch in pq.ParquetFile(path).iter_batches(columns=columns):
                yield from batch.to_pylist()

    def finished(self, index: int, fingerprint: str) -> PartRecord | None:
        """The record of a part that needn't be done again, or None (absent, other work, or damaged)."""
        path = self.part(index)
        try:
            metadata = pq.read_metadata(path).metadata or {}
            record = PartRecord(**json.loads(metadata[RECORD_KEY]))
            if record.fingerprint != fingerprint:
                return None
            if any((self.folder / name).stat().st_size != size for name, size in record.sizes.items()):
                return None
        except (OSError, KeyError, TypeError, ValueError, pa.ArrowException):
            return None
        return record

    def write_part(
        self, index: int, fingerprint: str, table: pa.Table, timing: tuple[str, ...], facts: dict[str, int]
    ) -> PartRecord:
        """Splits a shard's rows by verdict and writes its files, the accepted one last.

        `table` has the columns `verdict` and `reason`. Columns named in `timing` go to the sidecar with the row's id.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        measured = [name for name in timing if name in table.column_names]
        sidecar = table.select(["id", *measured]) if measured else None
        table = table.drop_columns(measured)
        verdicts = table["verdict"].to_pylist()
        reasons = table["reason"].to_pylist()
        counts = Counter(verdicts)
        if unknown := set(counts) - {ACCEPTED, REJECTED, UNDECIDED}:
            raise RunError(f"step {self.name}: unknown verdict {unknown.pop()!r}")
        kept = pa.array([verdict == ACCEPTED for verdict in verdicts], pa.bool_())
        record = PartRecord(
            fingerprint=fingerprint,
            index=index,
            rows=len(verdicts),
            accepted=counts[ACCEPTED],
            rejected=counts[REJECTED],
            undecided=counts[UNDECIDED],
            reasons=dict(sorted(Counter(check_reason(reason) for reason in reasons if reason).items())),
            facts=facts,
        )
        rejected_path = self.part(index, "rejected")
        record.sizes[rejected_path.name] = write_table(rejected_path, table.filter(pa.compute.invert(kept)))
        if sidecar is not None:
            write_table(self.part(index, "timing"), sidecar)
        write_table(self.part(index), table.filter(kept), record)
        return record

    def drop_parts_from(self, index: int) -> None:
        """Removes parts that an earlier, longer version of the step left behind, and unfinished temporary files."""
        for path in self.folder.glob("part-*.parquet"):
            if int(path.name[5:].split(".")[0]) >= index:
                path.unlink()
        for path in self.folder.glob(".*.tmp"):
            path.unlink(missing_ok=True)


def totals(records: list[PartRecord]) -> dict[str, Any]:
    """Sums over parts: rows, accepted, rejected, undecided, reasons, facts."""
    reasons: Counter[str] = Counter()
    facts: Counter[str] = Counter()
    sums: Counter[str] = Counter({"rows": 0, "accepted": 0, "rejected": 0, "undecided": 0})
    for record in records:
        sums.update(record.counts())
        reasons.update(record.reasons)
        facts.update(record.facts)
    return dict(sums) | {"reasons": dict(sorted(reasons.items())), "facts": dict(sorted(facts.items()))}
