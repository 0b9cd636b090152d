"""Looking after a store: what is in it, whether it is sound, as JSON Lines, and without what is not wanted any more.

These are what `caco store show | verify | export | prune` call. All of them may run beside a run that is writing.
"""

import contextlib
import fcntl
import json
import os
import tempfile
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from caco_recipes.generation import segment
from caco_recipes.generation.segment import Damage
from caco_recipes.generation.store import StoreError, _explain, decode, segments, stored


@dataclass(slots=True)
class Contents:
    """What `show` and `verify` report. Records are counted once per key, the newest one."""

    segments: int = 0
    bytes: int = 0
    records: int = 0
    superseded: int = 0  # further records of the same keys
    prompt_tokens: int = 0
    completion_tokens: int = 0
    by_stage: Counter[str] = field(default_factory=Counter)
    by_model: Counter[str] = field(default_factory=Counter)
    by_finish_reason: Counter[str] = field(default_factory=Counter)
    torn_bytes: int = 0
    damage: list[Damage] = field(default_factory=list)


@dataclass(slots=True)
class Pruned:
    """What `prune` did."""

    removed: int = 0
    kept: int = 0
    damaged: int = 0
    in_use: list[str] = field(default_factory=list)  # segments left alone because a process is writing them
    freed_bytes: int = 0


def show(folder: str | Path) -> Contents:
    """Reads every record: what the store holds. Raises `StoreError` if it can't be read."""
    return verify(folder)


def verify(folder: str | Path) -> Contents:
    """Reads every record and checks every checksum. Damage is named by segment, place and, where readable, key."""
    result = Contents()
    keys: set[bytes] = set()
    for path in reversed(segments(folder)):
        result.segments += 1
        size = path.stat().st_size
        result.bytes += size
        end = min(size, len(segment.MAGIC))
        for offset, key, payload, damage in segment.records(path):
            if damage is not None:
                result.damage.append(damage)
                end = damage.end
            if payload is None:
                continue
            end = offset + segment.HEADER.size + len(payload)
            if key in keys:
                result.superseded += 1
                continue
            keys.add(key)
            completion, facts = decode(payload)
            result.records += 1
            result.prompt_tokens += completion.prompt_tokens
            result.completion_tokens += completion.completion_tokens
            result.by_stage[facts["stage"]] += 1
            result.by_model[facts["model"]] += 1
            result.by_finish_reason[completion.finish_reason] += 1
        result.torn_bytes += size - end
    return result


def export(folder: str | Path, output: str | Path) -> int:
    """Writes the store as JSON Lines, one object per record, atomically. Returns the number of lines.

    Keys: key, stage, model, text, finish_reason, prompt_tokens, completion_tokens, error, first_token_logprobs, at.
    """
    output = Path(output)
    lines = 0
    descriptor, unfinished = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8", errors="surrogatepass") as out:
            for key, completion, facts in stored(folder):
                row = {
                    "key": key,
                    "stage": facts["stage"],
                    "model": facts["model"],
                    "text": completion.text,
                    "finish_reason": completion.finish_reason,
                    "prompt_tokens": completion.prompt_tokens,
                    "completion_tokens": completion.completion_tokens,
                    "error": completion.error,
                    "first_token_logprobs": completion.first_token_logprobs,
                    "at": facts["at"],
                }
                out.write(json.dumps(row, ensure_ascii=True) + "\n")
                lines += 1
            out.flush()
            os.fsync(out.fileno())
        os.replace(unfinished, output)
    except OSError as error:
        raise _explain(error, output) from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(unfinished)
    return lines


def prune(
    folder: str | Path,
    *,
    finish_reasons: Collection[str] = (),
    stages: Collection[str] = (),
    models: Collection[str] = (),
    keys: Collection[str] = (),
) -> Pruned:
    """Removes the records that match every criterion given, so that they are asked again; damaged ones go with them.

    A segment is written anew under another name before the old one is deleted, so a kill in between loses nothing.
    Segments that a process is writing are left alone and listed. Without a criterion only damaged records are removed.
    """
    result = Pruned()
    criteria = [
        (set(finish_reasons), lambda key, completion, facts: completion.finish_reason),
        (set(stages), lambda key, completion, facts: facts["stage"]),
        (set(models), lambda key, completion, facts: facts["model"]),
        (set(keys), lambda key, completion, facts: key),
    ]
    criteria = [(wanted, value) for wanted, value in criteria if wanted]
    for path in segments(folder):
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError as error:
            raise _explain(error, path) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            result.in_use.append(path.name)
            os.close(descriptor)
            continue
        except OSError as error:
            os.close(descriptor)
            raise StoreError(
                f"{path}: this file system has no locks, so it can't be told who is writing: {error}"
            ) from None
        try:
            _rewrite(path, criteria, result)
        except OSError as error:
            raise _explain(error, path) from None
        finally:
            os.close(descriptor)
    return result


def _rewrite(path: Path, criteria: list, result: Pruned) -> None:
    """One segment without what matches; untouched if nothing does."""
    kept: list[tuple[int, int]] = []  # offsets and lengths: a segment may be larger than memory
    removed = damaged = 0
    for offset, key, payload, damage in segment.records(path):
        damaged += damage is not None
        if payload is None:
            continue
        completion, facts = decode(payload)
        if criteria and all(value(key.hex(), completion, facts) in wanted for wanted, value in criteria):
            removed += 1
        else:
            kept.append((offset, segment.HEADER.size + len(payload)))
    result.removed, result.damaged, result.kept = (
        result.removed + removed,
        result.damaged + damaged,
        result.kept + len(kept),
    )
    if not removed and not damaged:
        return
    before, after = path.stat().st_size, 0
    if kept:
        # The age stays at the front of the name; readers that hold the old name find it gone and look again.
        base, _, generation = path.stem.partition("+")
        target = path.with_name(f"{base}+{int(generation or 0) + 1}.seg")
        descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".prune-")
        try:
            with open(path, "rb") as source, open(descriptor, "wb") as out:
                out.write(segment.MAGIC)
                for offset, length in kept:
                    source.seek(offset)
                    out.write(source.read(length))
                out.flush()
                os.fsync(out.fileno())
            os.chmod(unfinished, 0o644)
            os.replace(unfinished, target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(unfinished)
        after = target.stat().st_size
    with contextlib.suppress(FileNotFoundError):
        path.with_suffix(".idx").unlink()
    path.unlink()
    result.freed_bytes += before - after
