"""The pay-once store: every answered model request, the moment it arrived, by the request's content.

A folder of append-only segments (segment.py). Each writing process has a segment of its own, so that any number of them,
on any number of nodes that share the file system, write without waiting for each other; each reads all. A record that
was returned from `put` survives the process being killed; it is on the disk at the latest a second later.

    store = Store("runs/NAME/store")
    store.get(key)                     # Completion or None
    store.put(key, completion, stage="unify", model=identity)

The index in memory holds 16 bytes per record. `show`, `verify`, `export` and `prune` are what `caco store` offers.
"""

import contextlib
import errno
import fcntl
import json
import os
import secrets
import shutil
import socket
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from caco_recipes.generation import segment
from caco_recipes.generation.requests import Completion
from caco_recipes.generation.segment import Damage

SYNC_SECONDS = 1.0
SEGMENT_BYTES = 1 << 30  # a writer starts another segment after this much
RESERVE_BYTES = 64 << 20  # free space below which nothing new is paid for, so that what is under way still fits
_COMPRESS_FROM = 256  # bytes
_RECENT_KEYS = 1 << 20  # new records are held in a dict, and merged into the sorted table from here on
_INDEX_BYTES = 32 << 20  # a segment read without a table for this long gets one
_OPEN_FILES = 128
_OFFSET_BITS = 40
_GONE = -1
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # `dumps` makes an encoder each time


class StoreError(RuntimeError):
    """The store can't be written or read: the message says why and what to do. What was stored stays stored."""


def encode(completion: Completion, stage: str, model: str, at: int) -> bytes:
    """A record's payload: one byte for the coding, then JSON, compressed when that pays."""
    values = [
        completion.text,
        completion.finish_reason,
        completion.prompt_tokens,
        completion.completion_tokens,
        completion.error,
        completion.first_token_logprobs,
        stage,
        model,
        at,
    ]
    data = _to_json(values).encode("utf-8", "surrogatepass")
    return b"z" + zlib.compress(data, 1) if len(data) >= _COMPRESS_FROM else b"j" + data


def decode(payload: bytes) -> tuple[Completion, dict[str, Any]]:
    """The completion, and `stage`, `model` and `at` (seconds since 1970) beside it. Raises `ValueError`."""
    if payload[:1] == b"z":
        data = zlib.decompress(payload[1:])
    elif payload[:1] == b"j":
        data = payload[1:]
    else:
        raise ValueError(f"unknown coding {payload[:1]!r}")
    text, finish, prompt, new, error, logprobs, stage, model, at = json.loads(data.decode("utf-8", "surrogatepass"))
    completion = Completion(text, finish, prompt, new, error, first_token_logprobs=logprobs)
    return completion, {"stage": stage, "model": model, "at": at}


class Store:
    """See the module. Thread-safe; may be used after a fork. Raises `StoreError`."""

    def __init__(self, folder: str | Path, reserve_bytes: int = RESERVE_BYTES) -> None:
        self.folder = Path(folder)
        self.damage: list[Damage] = []
        self.torn_bytes = 0
        self._reserve = reserve_bytes
        self._lock = threading.RLock()
        self._segments: list[str] = []
        self._numbers: dict[str, int] = {}
        self._ends: dict[str, int] = {}  # how far each segment is in the index
        self._torn: dict[str, int] = {}
        self._prefixes = np.empty(0, np.uint64)  # sorted
        self._places = np.empty(0, np.uint64)
        self._recent: dict[int, int] = {}
        self._files: OrderedDict[str, int] = OrderedDict()
        self._writer: _Writer | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _explain(error, self.folder) from None
        self._load()

    def __len__(self) -> int:
        """Records in the index: what is in memory of every writer's, as of the last `refresh`."""
        with self._lock:
            self._merge()
            return len(self._prefixes)

    def __contains__(self, key: str) -> bool:
        with self._lock:
            return self._place(int(key[:16], 16)) is not None

    def get(self, key: str) -> Completion | None:
        """The answer stored under a request's key (64 hex digits), or None. A damaged record counts as none."""
        prefix = int(key[:16], 16)
        with self._lock:
            place = self._place(prefix)
            if place is None:
                return None
            try:
                payload = self._read(place, bytes.fromhex(key))
            except FileNotFoundError:
                self._load()  # pruned by another process: what it kept lies in another segment now
                place = self._place(prefix)
                payload = self._read(place, bytes.fromhex(key)) if place is not None else None
            if payload is None:
                self._recent[prefix] = _GONE
                return None
        return decode(payload)[0]

    def put(self, key: str, completion: Completion, stage: str = "", model: str = "") -> None:
        """Stores an answer; one that is there already is left alone."""
        payload = encode(completion, stage, model, int(time.time()))
        prefix = int(key[:16], 16)
        record = segment.pack(bytes.fromhex(key), payload)
        with self._lock:
            if self._place(prefix) is not None:
                return
            offset = self._writable(len(record)).append(record)
            self._recent[prefix] = self._numbers[self._writer.name] << _OFFSET_BITS | offset
            self._ends[self._writer.name] = offset + len(record)
            if len(self._recent) >= _RECENT_KEYS:
                self._merge()

    def check_writable(self) -> None:
        """Raises `StoreError` if answers could not be stored: to be asked before anything is paid for."""
        with self._lock:
            self._writable(0)
            free = shutil.disk_usage(self.folder).free
            if free < self._reserve:
                raise StoreError(
                    f"the disk of {self.folder} is almost full ({free >> 20} MB free, {self._reserve >> 20} MB needed): "
                    "make room and run the same command again; everything answered so far is kept"
                )

    def refresh(self) -> int:
        """Takes in what other writers have stored since. Returns the number of new records."""
        with self._lock:
            return self._load()

    def flush(self) -> None:
        """Everything stored is on the disk after this."""
        with self._lock:
            if self._writer is not None:
                self._writer.sync()

    def close(self) -> None:
        """Flushes, and lets go of the files."""
        with self._lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            for descriptor in self._files.values():
                os.close(descriptor)
            self._files.clear()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # index

    def _place(self, prefix: int) -> int | None:
        place = self._recent.get(prefix)
        if place is not None:
            return None if place == _GONE else place
        row = int(self._prefixes.searchsorted(np.uint64(prefix)))
        if row < len(self._prefixes) and int(self._prefixes[row]) == prefix:
            return int(self._places[row])
        return None

    def _merge(self, more: tuple[np.ndarray, np.ndarray] | None = None) -> None:
        """Brings recent records, and `more` (prefixes and places), into the sorted table. The last of equal keys stays."""
        if not self._recent and more is None:
            return
        recent = np.fromiter(self._recent.keys(), np.uint64, len(self._recent))
        places = np.fromiter(self._recent.values(), np.int64, len(self._recent)).view(np.uint64)
        prefixes, places = [self._prefixes, recent], [self._places, places]
        if more is not None:
            # What this process knows goes before what it reads from others.
            prefixes.insert(0, more[0])
            places.insert(0, more[1])
        prefixes, places = np.concatenate(prefixes), np.concatenate(places)
        order = prefixes.argsort(kind="stable")
        prefixes, places = prefixes[order], places[order]
        last = np.ones(len(prefixes), bool)
        last[:-1] = prefixes[1:] != prefixes[:-1]
        last &= places != np.int64(_GONE).view(np.uint64)
        self._prefixes, self._places = prefixes[last], places[last]
        self._recent = {}

    def _load(self) -> int:
        """Reads what is new in all segments but this process's own."""
        before = len(self._prefixes) + len(self._recent)
        prefixes, places = [], []
        paths = segments(self.folder)
        self._forget(self._ends.keys() - {path.name for path in paths})
        for path in paths:
            if self._writer is not None and path.name == self._writer.name:
                continue
            try:
                if path.stat().st_size <= self._ends.get(path.name, 0) + self._torn.get(path.name, 0):
                    continue
                found = self._scan(path)
            except FileNotFoundError:
                continue  # pruned by another process meanwhile
            except OSError as error:
                raise _explain(error, path) from None
            number = self._number(path.name)
            prefixes.append(found.prefixes)
            places.append(found.offsets | np.uint64(number << _OFFSET_BITS))
        self.torn_bytes = sum(self._torn.values())
        if sum(map(len, prefixes)):
            self._merge((np.concatenate(prefixes), np.concatenate(places)))
        return len(self._prefixes) + len(self._recent) - before

    def _forget(self, names: set[str]) -> None:
        """Drops the records of segments that are gone."""
        if not names:
            return
        self._merge()
        gone = np.array([self._numbers[name] for name in names if name in self._numbers], np.uint64)
        stay = ~np.isin(self._places >> np.uint64(_OFFSET_BITS), gone)
        self._prefixes, self._places = self._prefixes[stay], self._places[stay]
        for name in names:
            del self._ends[name]
            self._torn.pop(name, None)

    def _scan(self, path: Path) -> segment.Scan:
        known = self._ends.get(path.name, 0)
        table = segment.load_index(path) if not known else None
        found = segment.scan(path, table.end if table else known)
        self.damage.extend(found.damage)
        self._ends[path.name], self._torn[path.name] = found.end, found.torn
        read = found.end - (table.end if table else known)
        if table is not None:
            found.prefixes = np.concatenate([table.prefixes, found.prefixes])
            found.offsets = np.concatenate([table.offsets, found.offsets])
        if not known and not found.damage and read >= _INDEX_BYTES:
            with contextlib.suppress(OSError):  # a table only saves time
                segment.save_index(path, found)
        return found

    def _number(self, name: str) -> int:
        if name not in self._numbers:
            self._numbers[name] = len(self._segments)
            self._segments.append(name)
        return self._numbers[name]

    # files

    def _read(self, place: int, key: bytes) -> bytes | None:
        """The payload at a place, if its key and checksum are right; otherwise names the damage."""
        name, offset = self._segments[place >> _OFFSET_BITS], place & ((1 << _OFFSET_BITS) - 1)
        try:
            descriptor = self._open(name)
            data = os.pread(descriptor, 4096, offset)
            header = segment.read_header(data)
            if header is not None and len(data) < segment.HEADER.size + header[1]:
                data += os.pread(descriptor, segment.HEADER.size + header[1] - len(data), offset + len(data))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _explain(error, self.folder / name) from None
        if header is None:
            self.damage.append(Damage(name, offset, offset + segment.HEADER.size, key.hex()))
            return None
        found, length, crc = header
        if found != key:
            return None  # another key with the same 64 bits: one in 10¹² for a store of ten million
        payload = data[segment.HEADER.size : segment.HEADER.size + length]
        if zlib.crc32(payload) != crc:
            self.damage.append(Damage(name, offset, offset + segment.HEADER.size + length, key.hex()))
            return None
        return payload

    def _open(self, name: str) -> int:
        if name in self._files:
            self._files.move_to_end(name)
            return self._files[name]
        self._files[name] = os.open(self.folder / name, os.O_RDONLY)
        if len(self._files) > _OPEN_FILES:
            os.close(self._files.popitem(last=False)[1])
        return self._files[name]

    def _writable(self, size: int) -> "_Writer":
        """This process's writer, with room for `size` more bytes."""
        writer = self._writer
        if writer is not None and writer.pid != os.getpid():
            writer = self._writer = None  # after a fork: the segment belongs to the parent
        if writer is not None and writer.end + size > SEGMENT_BYTES:
            writer.close()
            writer = None
        if writer is None:
            writer = self._writer = _Writer(self.folder)
            self._number(writer.name)
        return writer


class _Writer:
    """A process's own segment."""

    def __init__(self, folder: Path) -> None:
        self.pid = os.getpid()
        host = "".join(c if c.isalnum() else "-" for c in socket.gethostname())[:32]
        # Sorted by name, segments are sorted by age, as far as the nodes' clocks agree.
        self.name = f"{time.time_ns() // 1_000_000:014d}-{host}-{self.pid}-{secrets.token_hex(4)}.seg"
        self._path = folder / self.name
        self._failed: OSError | None = None
        self._synced = 0
        self._closing = threading.Event()
        try:
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            with contextlib.suppress(OSError):  # a file system without locks: `prune` then can't tell, and says so
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.end = 0
            self.append(segment.MAGIC)
        except OSError as error:
            raise _explain(error, self._path) from None
        # On a thread of its own: a disk that takes its time must not hold up the answers that arrive meanwhile.
        self._syncer = threading.Thread(target=self._keep_synced, name="store-sync", daemon=True)
        self._syncer.start()

    def append(self, record: bytes) -> int:
        """Writes a record whole or not at all. Returns its offset."""
        offset = self.end
        if self._failed is not None:
            raise _explain(self._failed, self._path)
        try:
            written = os.write(self._descriptor, record)
            if written < len(record):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.end += written
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, offset)  # half a record must not lie before the next one
            raise _explain(error, self._path) from None
        return offset

    def sync(self) -> None:
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise _explain(error, self._path) from None

    def _keep_synced(self) -> None:
        while not self._closing.wait(SYNC_SECONDS):
            end = self.end
            if end != self._synced:
                try:
                    os.fsync(self._descriptor)
                except OSError as error:
                    self._failed = error  # the next `append` says so
                    return
                self._synced = end

    def close(self) -> None:
        if self.pid != os.getpid():
            return
        self._closing.set()
        self._syncer.join()
        self.sync()
        os.close(self._descriptor)
        with contextlib.suppress(OSError):
            if self.end == len(segment.MAGIC):
                self._path.unlink()


def segments(folder: str | Path) -> list[Path]:
    """The segments of a store, oldest first."""
    try:
        return sorted(path for path in Path(folder).iterdir() if path.suffix == ".seg")
    except OSError as error:
        raise _explain(error, Path(folder)) from None


def stored(folder: str | Path) -> Iterator[tuple[str, Completion, dict[str, Any]]]:
    """Key, completion and facts (`stage`, `model`, `at`) of every readable record, oldest segment first."""
    for path in segments(folder):
        for _, key, payload, _ in segment.records(path):
            if payload is not None:
                yield key.hex(), *decode(payload)


def _explain(error: OSError, path: Path) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        what = "the disk (or quota) is full: make room and run the same command again"
    elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        what = "the store is read-only or not yours: make it writable, or give the run another output_dir"
    else:
        what = os.strerror(error.errno) if error.errno else str(error)
    return StoreError(f"{path}: {what}; everything answered before is kept")
