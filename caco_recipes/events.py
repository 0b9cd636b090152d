"""`runs/NAME/events.jsonl`: what happened when, one JSON object per line, for people's tools and for `caco status`.

    run_start   session, pid, host, recipe, steps                    a command began to work on the run
    step_start  step, fingerprint                                    a step that isn't finished began
    heartbeat   session, step, engine, seconds, prompt_tokens, …     every few seconds, and at a step's end
    part        step, part, seconds, rows, accepted, …               a shard is written
    generation  requests, reused, asked, new_tokens                  a batch of model requests was answered
    row_lost    step, id, why, where                                 a row that the stage's code could not bear was put aside
    worker_died step, part, tries, why                               Ray: a worker or its node was lost
    push        parts, commit, url  |  error                         a partial push to the Hub
    step_end    step, seconds
    run_end     session, outcome, why                                finished | budget | failed | interrupted

All times stand here and nowhere that is compared. A heartbeat's seconds and tokens are sums over its (session, step), so
the last one of each says what was spent; a killed run loses the count of a few seconds at the most.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TAIL = 256 * 1024  # bytes at the end of the file that are enough to find the last heartbeat


class Events:
    """Appends one JSON line per event; threads may share it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "ab", buffering=0)
        self._lock = threading.Lock()
        self.session = f"{os.uname().nodename}:{os.getpid()}:{int(time.time() * 1000)}"

    def write(self, event: str, **facts: Any) -> None:
        """One line, written in one piece."""
        line = json.dumps({"time": round(time.time(), 3), "event": event} | facts, default=str) + "\n"
        with self._lock:
            if not self._file.closed:
                self._file.write(line.encode())

    def close(self) -> None:
        with self._lock:
            self._file.close()


def read_events(path: str | Path, tail: int | None = None) -> Iterator[dict[str, Any]]:
    """The events of a file, oldest first; only those in its last `tail` bytes when given.

    Lines that are no event (the last one of a killed run may be cut) are passed over; an absent file has none.
    """
    try:
        with open(path, "rb") as file:
            if tail is not None:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - tail))
                if size > tail:
                    file.readline()
            for line in file:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if isinstance(event, dict) and isinstance(event.get("event"), str):
                    yield event
    except FileNotFoundError:
        return
