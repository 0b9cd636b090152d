"""JSON Lines in and out for the row-by-row commands: order kept, bad lines counted, a killed command goes on.

Output goes to `OUT.partial`, one line per input row, and is renamed to `OUT` when complete. A later command with the
same input finds the rows that are done there, checks them against the input, and goes on behind them.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from caco_recipes.recipe import RecipeError

BAD_LINE = "__bad_line__"


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSON Lines file, in order. A line that is no JSON object comes as `{BAD_LINE: text}`.

    Raises `RecipeError` when the file is missing, empty, or starts with something else than JSON Lines.
    """
    if not path.exists():
        raise RecipeError(f"{path}: no such file")
    number = 0
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if isinstance(row, dict):
                yield row
            elif number == 1:
                raise RecipeError(
                    f"{path}: line 1 is not a JSON object; the file must be JSON Lines, one object a line"
                )
            else:
                yield {BAD_LINE: line.rstrip("\n")}
    if number == 0:
        raise RecipeError(f"{path}: the file is empty")


class ResumableWriter:
    """Writes one JSON line per input row, in order; `done` rows are already there from an interrupted command."""

    def __init__(self, path: Path, added: set[str], settings: dict[str, Any], source: Path) -> None:
        """`added` names the fields that the command adds; `settings` must equal those of the interrupted command."""
        self.path = path
        self.partial = path.with_name(path.name + ".partial")
        header = {"settings": settings}
        head = self.partial.with_name(self.partial.name + ".settings")
        self._head = head
        self.done = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.partial.exists() and head.exists() and _read_json(head) == header:
            self.done = self._check(added, source)
        else:
            self.partial.unlink(missing_ok=True)
        head.write_text(json.dumps(header, sort_keys=True))
        self._file = open(self.partial, "a", encoding="utf-8")

    def _check(self, added: set[str], source: Path) -> int:
        """Counts rows that are whole and belong to the input; cuts the rest off."""
        good_bytes = rows = 0
        inputs = read_rows(source)
        with open(self.partial, "rb") as file:
            for line in file:
                given = next(inputs, None)
                try:
                    row = json.loads(line)
                except ValueError:
                    break
                if given is None or not line.endswith(b"\n"):
                    break
                if {k: v for k, v in row.items() if k not in added} != {
                    k: v for k, v in given.items() if k not in added
                }:
                    break
                good_bytes += len(line)
                rows += 1
        with open(self.partial, "r+b") as file:
            file.truncate(good_bytes)
        return rows

    def write(self, row: dict[str, Any]) -> None:
        self._file.write(json.dumps(row) + "\n")

    def flush(self) -> None:
        self._file.flush()

    def finish(self) -> None:
        """The output is complete: it gets its name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self.partial, self.path)
        self._head.unlink(missing_ok=True)

    def stop(self) -> None:
        """Keeps what is written for the next command."""
        if not self._file.closed:
            self._file.close()


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
