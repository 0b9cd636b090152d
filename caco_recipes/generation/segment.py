"""One segment of the store: a file that one process appends records to and everybody may read.

    file   = magic (16 bytes), record, record, …
    record = marker (4) | payload length (u32) | key (32) | crc32 of payload (u32) | crc32 of these 44 bytes (u32) | payload

A record is written by one `write`, so a kill leaves at most one torn record, at the end. The header has a checksum of
its own: after a flipped bit in it, the next good header is looked for, and what lies between is named as damaged.
Beside a segment may lie `NAME.idx`, a table of its keys and offsets that can always be made anew.
"""

import os
import struct
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

MAGIC = b"CACO-STORE-1\n\0\0\0"
MARKER = b"\xca\xc0\xd1\x0e"
HEADER = struct.Struct("<4sI32sII")
_UNCHECKED = HEADER.size - 4  # header bytes under its checksum
MAX_PAYLOAD = 1 << 30
_BLOCK = 8 << 20
_INDEX_MAGIC = b"CACO-INDEX-1\n\0\0\0"


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a segment that can't be trusted; `key` (hex) where the header still tells it."""

    segment: str
    start: int
    end: int
    key: str = ""

    def __str__(self) -> str:
        return f"{self.segment}: bytes {self.start} to {self.end} are damaged" + (
            f" (key {self.key})" if self.key else ""
        )


@dataclass(slots=True)
class Scan:
    """What a pass over a segment found, from where it started: prefixes of keys and offsets of records, in file order."""

    prefixes: np.ndarray
    offsets: np.ndarray
    end: int  # where the last whole record ends: the next pass starts here
    torn: int = 0  # bytes after it
    damage: list[Damage] = field(default_factory=list)


def pack(key: bytes, payload: bytes) -> bytes:
    """A record."""
    head = HEADER.pack(MARKER, len(payload), key, zlib.crc32(payload), 0)[:_UNCHECKED]
    return head + zlib.crc32(head).to_bytes(4, "little") + payload


def read_header(data: bytes | memoryview, position: int = 0) -> tuple[bytes, int, int] | None:
    """Key, payload length and payload checksum of a good header at `position`, otherwise None."""
    if len(data) - position < HEADER.size:
        return None
    marker, length, key, payload_crc, header_crc = HEADER.unpack_from(data, position)
    if marker != MARKER or zlib.crc32(data[position : position + _UNCHECKED]) != header_crc or length > MAX_PAYLOAD:
        return None
    return key, length, payload_crc


def prefix_of(key: bytes) -> int:
    """The part of a key that the index holds: 64 bits."""
    return int.from_bytes(key[:8], "big")


def scan(path: Path, start: int = 0) -> Scan:
    """Finds the records of a segment from offset `start` on, by their headers; payloads are checked when read."""
    prefixes: list[int] = []
    offsets: list[int] = []
    result = Scan(np.empty(0, np.uint64), np.empty(0, np.uint64), max(start, len(MAGIC)))
    for offset, key, length, gap in _headers(path, result.end):
        if gap is not None:
            result.damage.append(gap)
        if key:
            prefixes.append(prefix_of(key))
            offsets.append(offset)
            result.end = offset + HEADER.size + length
        else:
            result.end = offset
    result.torn = max(0, path.stat().st_size - result.end)
    result.prefixes, result.offsets = np.array(prefixes, np.uint64), np.array(offsets, np.uint64)
    return result


def _headers(path: Path, start: int) -> Iterator[tuple[int, bytes, int, Damage | None]]:
    """Offset, key and payload length of whole records; damage in front of one comes with it."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if start == len(MAGIC) and size >= start and file.read(len(MAGIC)) != MAGIC:
            yield start, b"", 0, Damage(path.name, 0, start)
        position, bad_from = start, None
        block, block_start = b"", start
        while position + HEADER.size <= size:
            if not (block_start <= position and position + HEADER.size <= block_start + len(block)):
                file.seek(position)
                block, block_start = file.read(_BLOCK), position
                if len(block) < HEADER.size:
                    return
            header = read_header(block, position - block_start)
            if header is None:
                bad_from = position if bad_from is None else bad_from
                found = block.find(MARKER, position - block_start + 1)
                # A marker may lie across two blocks.
                position = block_start + found if found >= 0 else max(position + 1, block_start + len(block) - 3)
                continue
            key, length, _ = header
            if position + HEADER.size + length > size:
                if bad_from is None:
                    return  # torn: the payload has not arrived
                position += 1  # behind damage, this may be payload that looks like a header
                continue
            yield position, key, length, Damage(path.name, bad_from, position) if bad_from is not None else None
            bad_from = None
            position += HEADER.size + length


def records(path: Path) -> Iterator[tuple[int, bytes, bytes | None, Damage | None]]:
    """Offset, key and payload of each record in file order; the payload is None where its checksum is wrong.

    Damage before a record, or of its payload, comes with it.
    """
    with open(path, "rb") as file:
        for offset, key, length, gap in _headers(path, len(MAGIC)):
            if not key:
                yield offset, key, None, gap
                continue
            file.seek(offset)
            data = file.read(HEADER.size + length)
            payload = data[HEADER.size :]
            if zlib.crc32(payload) == HEADER.unpack_from(data)[3]:
                yield offset, key, payload, gap
            else:
                if gap is not None:
                    yield offset, b"", None, gap
                yield offset, key, None, Damage(path.name, offset, offset + len(data), key.hex())


def save_index(path: Path, found: Scan) -> None:
    """Writes `NAME.idx` beside a segment, atomically. Raises `OSError`."""
    body = found.prefixes.tobytes() + found.offsets.tobytes()
    head = _INDEX_MAGIC + struct.pack("<QQI", found.end, len(found.prefixes), zlib.crc32(body))
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".index-")
    try:
        with open(descriptor, "wb") as out:
            out.write(head + body)
            out.flush()
            os.fsync(out.fileno())
        os.replace(unfinished, path.with_suffix(".idx"))
    except OSError:
        os.unlink(unfinished)
        raise


def load_index(path: Path) -> Scan | None:
    """The table beside a segment, or None if there is none to be trusted."""
    head = struct.Struct("<16sQQI")
    try:
        data = path.with_suffix(".idx").read_bytes()
        size = path.stat().st_size
    except OSError:
        return None
    if len(data) < head.size:
        return None
    magic, end, count, crc = head.unpack_from(data)
    body = data[head.size :]
    if magic != _INDEX_MAGIC or len(body) != 16 * count or zlib.crc32(body) != crc or end > size:
        return None
    table = np.frombuffer(body, np.uint64)
    return Scan(table[:count], table[count:], end)
