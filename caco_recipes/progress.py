"""What a running step shows (rows, rates, verdicts by reason, ETA) and tells `events.jsonl` in its heartbeats.

On a terminal one line moves for the step under way, and a line stays for every step that is done: a funnel that grows.
In a log file the step under way prints a line every ten seconds while it moves and every minute while it doesn't.
"""

import os
import shutil
import sys
import threading
import time
from collections import Counter, deque
from typing import Any, TextIO

from caco_recipes.budget import Account, Work, duration
from caco_recipes.events import Events
from caco_recipes.run_folder import PartRecord
from caco_recipes.verdicts import VERDICTS

HEARTBEAT_SECONDS = 5.0
FIRST_HEARTBEATS = 30.0  # for so many seconds a step tells of itself every second
WINDOW_SECONDS = 120.0  # a rate is that of the last two minutes, or of the last five changes where those are older
BAR = 18


class StepProgress:
    """One step's progress: what is done, how fast it goes, when it will end. A thread of its own keeps it alive.

    Args:
        name: the step's.
        total: rows that it will read; None when nobody knows.
        events: where heartbeats go; None for none.
        account: what the run spends; told with every answer and heartbeat.
        engine: the recipe's name of the engine that the step asks, or nothing.
        live: whether the step under way is shown; false for one that shows its own progress (training).
        stream: where it is shown; stderr by default.
    """

    def __init__(
        self,
        name: str,
        total: int | None,
        events: Events | None = None,
        account: Account | None = None,
        engine: str = "",
        live: bool = True,
        stream: TextIO | None = None,
    ) -> None:
        self.name = name
        self.total = total
        self._events = events
        self._account = account
        self._engine = engine
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._visible = live
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._done = self._fresh = self._answers = self._requests = 0
        self._prompt = self._completion = 0
        self._rows_seen: deque[tuple[float, float]] = deque([(self._began, 0.0)])
        self._tokens_seen: deque[tuple[float, float]] = deque([(self._began, 0.0)])
        self._shown = (0.0, -1.0)
        self._ended = threading.Event()
        self._beat()
        self._thread = threading.Thread(target=self._live, name="progress", daemon=True)
        self._thread.start()

    def part(self, record: PartRecord, reused: bool = False) -> None:
        """A part is written, or was finished earlier (`reused`: its rows count as done, not as speed)."""
        with self._lock:
            self._done += record.rows
            for name in VERDICTS:
                self._counts[name] += getattr(record, name)
            self._reasons.update(record.reasons)
            if not reused:
                self._fresh += record.rows
                self._requests += record.facts.get("requests", 0)
                self._note(self._rows_seen, self._moved())

    def answered(self, prompt_tokens: int, completion_tokens: int) -> None:
        """One more request was answered by the engine (not by the store)."""
        with self._lock:
            self._answers += 1
            self._prompt += prompt_tokens
            self._completion += completion_tokens
            self._note(self._tokens_seen, self._prompt + self._completion)
            self._note(self._rows_seen, self._moved())
        if self._account is not None and self._account.budget:
            self._tell_account()

    def facts(self) -> dict[str, Any]:
        """What stands in a heartbeat."""
        with self._lock:
            rate, tokens = _rate(self._rows_seen), _rate(self._tokens_seen)
            done = self._done + self._moved() - self._fresh
            left = None if self.total is None else max(0.0, self.total - done)
            eta = None if left is None or not rate else left / rate
            return {
                "step": self.name,
                "engine": self._engine,
                "seconds": round(time.monotonic() - self._began, 3),
                "rows": self._done,
                "rows_under_way": round(done - self._done, 1),
                "total": self.total,
                "accepted": self._counts["accepted"],
                "rejected": self._counts["rejected"],
                "undecided": self._counts["undecided"],
                "reasons": dict(self._reasons.most_common(12)),
                "requests_answered": self._answers,
                "prompt_tokens": self._prompt,
                "completion_tokens": self._completion,
                "rows_per_second": round(rate, 4),
                "tokens_per_second": round(tokens, 2),
                "eta_seconds": None if eta is None else round(eta, 1),
            }

    def close(self) -> None:
        """Ends the step: a last heartbeat, and a line that stays."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._thread.join()
        self._beat()
        facts = self.facts()
        clear = "\r\x1b[2K" if self._terminal and self._visible else ""
        self._print(clear + done_line(facts) + "\n")

    # -- the thread --------------------------------------------------------------------------------------------------

    def _live(self) -> None:
        beat = time.monotonic()
        while not self._ended.wait(0.2 if self._terminal else 1.0):
            try:
                now = time.monotonic()
                if now - beat >= (1.0 if now - self._began < FIRST_HEARTBEATS else HEARTBEAT_SECONDS):
                    beat = now
                    self._beat()
                if self._visible:
                    self._show(now)
            except (OSError, ValueError):
                return  # nobody can be told any more (a closed terminal, a full disk): the run itself will notice

    def _beat(self) -> None:
        self._tell_account()
        if self._events is not None:
            self._events.write("heartbeat", session=self._events.session, pid=os.getpid(), **self.facts())

    def _tell_account(self) -> None:
        if self._account is None or self._events is None:
            return
        with self._lock:
            work = Work(self._engine, time.monotonic() - self._began, self._prompt, self._completion)
        self._account.update(self._events.session, self.name, work)

    def _show(self, now: float) -> None:
        facts = self.facts()
        if self._terminal:
            width = shutil.get_terminal_size().columns
            self._print("\r\x1b[2K" + live_line(facts)[: max(20, width - 1)])
            return
        last, moved = self._shown
        state = facts["rows"] + facts["rows_under_way"] + facts["prompt_tokens"] + facts["completion_tokens"]
        if now - max(last, self._began) >= (10 if state != moved else 60):
            self._shown = (now, state)
            self._print(time.strftime("%H:%M:%S ") + live_line(facts, bar=False) + "\n")

    def _print(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def _moved(self) -> float:
        """Rows done in this command: those written, and a guess at those under way by the answers that came for them."""
        if not self._answers:
            return self._fresh
        per_row = self._requests / self._fresh if self._requests and self._fresh else 1.0
        left = float("inf") if self.total is None else self.total - self._done
        return self._fresh + min(left, max(0.0, self._answers / per_row - self._fresh))

    def _note(self, seen: deque[tuple[float, float]], value: float) -> None:
        now = time.monotonic()
        if len(seen) > 1 and now - seen[-1][0] < 0.25:
            seen[-1] = (now, value)
        else:
            seen.append((now, value))
        while len(seen) > 5 and now - seen[0][0] > WINDOW_SECONDS:
            seen.popleft()


def _rate(seen: deque[tuple[float, float]]) -> float:
    """Units per second between the oldest and the newest note; a pause since then counts when it is a long one."""
    (first, low), (last, high) = seen[0], seen[-1]
    if high <= low:
        return 0.0
    now = time.monotonic()
    span = last - first
    if now - last > 2 * span:
        span = now - first
    return (high - low) / max(span, 1e-3)


def live_line(facts: dict[str, Any], bar: bool = True) -> str:
    """A step under way on one line, from its heartbeat."""
    rows, total = facts["rows"] + facts["rows_under_way"], facts["total"]
    words = [f"{facts['step']:<18}"]
    if total:
        share = min(1.0, rows / total)
        if bar:
            words.append("━" * round(BAR * share) + "╌" * (BAR - round(BAR * share)))
        words.append(f"{rows:,.0f}/{total:,} rows ({100 * share:.0f} %)")
    elif rows:
        words.append(f"{rows:,.0f} rows")
    if facts["rows_per_second"]:
        words.append(f"{facts['rows_per_second']:,.3g} rows/s")
    if facts["tokens_per_second"]:
        words.append(f"{facts['tokens_per_second']:,.0f} tokens/s")
    words.append(duration(facts["seconds"]))
    if facts["eta_seconds"] is not None and rows < (total or 0):
        words.append(f"ETA {duration(facts['eta_seconds'])}")
    if facts["rows"]:
        words.append(_verdicts(facts))
    if facts["reasons"]:
        words.append(_reasons(facts["reasons"], 4))
    return "  ".join(words)


def done_line(facts: dict[str, Any]) -> str:
    """A step that has ended on one line."""
    words = [f"{facts['step']:<18}"]
    if facts["rows"]:
        words += [f"{facts['rows']:,} rows", _verdicts(facts)]
    if tokens := facts["prompt_tokens"] + facts["completion_tokens"]:
        words.append(f"{tokens:,} tokens")
    words.append(duration(facts["seconds"]))
    if facts["reasons"]:
        words.append(_reasons(facts["reasons"], 5))
    return "  ".join(words)


def _verdicts(facts: dict[str, Any]) -> str:
    kept = f"kept {facts['accepted']:,} ({100 * facts['accepted'] / facts['rows']:.1f} %)"
    others = [f"{name} {facts[name]:,}" for name in ("rejected", "undecided") if facts[name]]
    return "  ".join([kept, *others])


def _reasons(reasons: dict[str, int], most: int) -> str:
    shown = [f"{reason} {rows:,}" for reason, rows in list(reasons.items())[:most]]
    return ", ".join(shown + (["…"] if len(reasons) > most else []))
