"""A row that the stage's code can't bear is put aside alone: it must not take its shard, nor the run, with it.

When a batch raises, its halves are tried, and theirs, until single rows remain that raise. Such a row is undecided
(`infrastructure:KeyError in solve`): that our code broke says nothing about the row. One that needs more memory than
there is, alone, is rejected (`memory:solve`). What the machinery raises (a dead engine, a full disk, a store that can't
be written, a budget) is no row's fault and ends the run; so does a stage that raises for many rows.
"""

from collections.abc import Callable
from typing import Any

from caco_recipes import identity
from caco_recipes.recipe import RecipeError
from caco_recipes.verdicts import REJECTED, UNDECIDED

Batch = dict[str, list]
LOST_ROWS, LOST_SHARE = (
    3,
    0.01,
)  # what may be lost of a shard, whichever is more, before the stage is held to be at fault


def run_without_lost_rows(
    run: Callable[[Batch], Batch], batch: Batch, lost: Callable[[dict[str, Any], BaseException], Batch]
) -> Batch:
    """`run(batch)`; if that raises, what it gives for the rows it can bear and `lost(row, error)` for the others.

    Raises what `run` raised where no row is to blame for it, or more rows than a stage may lose.
    """
    count = len(next(iter(batch.values())))
    room = [max(LOST_ROWS, int(count * LOST_SHARE))]

    def piece(start: int, stop: int) -> list[Batch]:
        part = batch if stop - start == count else {name: values[start:stop] for name, values in batch.items()}
        try:
            return [run(part)]
        except Exception as error:
            if not _may_be_a_rows(error):
                raise
            if stop - start > 1:
                middle = (start + stop) // 2
                return piece(start, middle) + piece(middle, stop)
            room[0] -= 1
            if room[0] < 0:
                raise
            return [lost({name: values[start] for name, values in batch.items()}, error)]

    return joined(piece(0, count))


def joined(pieces: list[Batch]) -> Batch:
    """Results of consecutive pieces as one; a column that a piece lacks is empty there."""
    if len(pieces) == 1:
        return pieces[0]
    names = dict.fromkeys(name for piece in pieces for name in piece)
    counts = [len(piece["verdict"]) for piece in pieces]
    return {
        name: [value for piece, count in zip(pieces, counts) for value in piece.get(name, [None] * count)]
        for name in names
    }


def lost_row(row: dict[str, Any], columns: dict[str, str], stage: str, version: int, why: str) -> Batch:
    """The verdict of a row that could not be worked on, as a batch of one. `why` is `memory` or a few words."""
    rejected = why == "memory"
    reason = f"memory:{stage}" if rejected else f"infrastructure:{why} in {stage}"
    row_id = row.get("id") or identity.short_id(identity.fingerprint(row))
    values = {name: row.get(name) for name in columns} | {
        "id": row_id,
        "parent_ids": row.get("parent_ids") or [],
        "family_id": row.get("family_id") or "",
        "lineage": identity.add_receipt(row.get("lineage") or "", stage=stage, version=version, lost=why),
        "verdict": REJECTED if rejected else UNDECIDED,
        "reason": reason,
    }
    return {name: [value] for name, value in values.items()}


def why_lost(error: BaseException) -> str:
    """What a row's error is called in its reason."""
    return "memory" if isinstance(error, MemoryError) else type(error).__name__


def _may_be_a_rows(error: Exception) -> bool:
    """RuntimeErrors and OSErrors are how engines, store, sandbox, disk and runner fail; a deep recursion is a row's."""
    if isinstance(error, RecursionError | NotImplementedError):
        return True
    return not isinstance(error, RuntimeError | OSError | RecipeError | ImportError)
