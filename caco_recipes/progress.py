"""What a running step shows (rows, tokens, ETA) and what it writes down (`events.jsonl`)."""

import json
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm


class Events:
    """Appends one JSON line per event to a run's `events.jsonl`. Times stand here and nowhere that is compared."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "a", encoding="utf-8", buffering=1)

    def write(self, event: str, **facts: Any) -> None:
        self._file.write(json.dumps({"time": round(time.time(), 3), "event": event} | facts, default=str) + "\n")

    def close(self) -> None:
        self._file.close()


class StepProgress:
    """One step's progress bar: rows done of rows known, with tokens and the verdicts so far.

    On a terminal it moves ten times a second; in a log file it prints a line every ten seconds at the most.
    """

    def __init__(self, name: str, total: int | None, done: int = 0) -> None:
        terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=total,
            initial=done,
            desc=f"{name:<16}",
            unit="row",
            mininterval=0.1 if terminal else 10,
            dynamic_ncols=terminal,
            ncols=None if terminal else 110,
            file=sys.stderr,
        )
        self._tokens = 0
        self._counts: dict[str, int] = {}

    def rows(self, count: int, **counts: int) -> None:
        """`count` more rows are written; `counts` are their verdicts."""
        for key, value in counts.items():
            self._counts[key] = self._counts.get(key, 0) + value
        self._show()
        self._bar.update(count)

    def tokens(self, count: int) -> None:
        """`count` more tokens were generated."""
        self._tokens += count
        self._show()

    def _show(self) -> None:
        shown = {key: value for key, value in self._counts.items() if value}
        if self._tokens:
            shown["tokens"] = self._tokens
        self._bar.set_postfix(shown, refresh=False)
        if self._tokens:
            self._bar.update(0)

    def close(self) -> None:
        self._bar.close()
