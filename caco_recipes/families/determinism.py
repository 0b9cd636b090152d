"""The same program again, in fresh processes with another hash seed, another RNG seed and another clock.

Set and hash order, `random`, `id()`, `os.urandom` differ by themselves between interpreters with different seeds. The
clock is moved by a few lines put before programs that ask for the time; everything else runs as it is written.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from caco_recipes.families.source_facts import SourceFacts
from caco_recipes.verdicts import ACCEPTED, REJECTED, UNDECIDED

ASKS_THE_TIME = re.compile(r"\b(?:now|utcnow|today|time|time_ns|localtime|gmtime|ctime|asctime|strftime)\s*\(")
FUTURE = re.compile(r"^from __future__ import [^\n]*\n", re.MULTILINE)
CLOCK = """
def _move_the_clock(days):
    import datetime, time
    seconds = days * 86400
    now, now_ns, local, utc = time.time, time.time_ns, time.localtime, time.gmtime
    text = time.strftime
    time.time = lambda: now() + seconds
    time.time_ns = lambda: now_ns() + seconds * 10**9
    time.localtime = lambda at=None: local(time.time() if at is None else at)
    time.gmtime = lambda at=None: utc(time.time() if at is None else at)
    time.ctime = lambda at=None: time.asctime(time.localtime(at))
    time.strftime = lambda shape, at=None: text(shape, time.localtime() if at is None else at)
    moved = datetime.timedelta(days=days)

    class Moved(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) + moved

        @classmethod
        def utcnow(cls):
            return cls.now()

        @classmethod
        def today(cls):
            return cls.now()

    class MovedDate(datetime.date):
        @classmethod
        def today(cls):
            return super().today() + moved

    Moved.__name__ = Moved.__qualname__ = "datetime"
    MovedDate.__name__ = MovedDate.__qualname__ = "date"
    datetime.datetime, datetime.date = Moved, MovedDate


_move_the_clock(DAYS)
del _move_the_clock
"""
DAYS = 433  # another day, weekday, month and year


def with_moved_clock(code: str, days: int = DAYS) -> str:
    """The program under a clock that is `days` ahead; unchanged when nothing in it asks for the time."""
    if not ASKS_THE_TIME.search(code):
        return code
    prelude = CLOCK.replace("_move_the_clock(DAYS)", f"_move_the_clock({days})")
    futures = list(FUTURE.finditer(code))
    place = futures[-1].end() if futures else 0
    return code[:place] + prelude + code[place:]


@contextmanager
def open_pools(make: Any, runs: int) -> Iterator[list[Any]]:
    """`runs` sandboxes whose interpreters differ in their hash and RNG seed; `make(seed)` gives an unopened one."""
    with ExitStack() as stack:
        yield [stack.enter_context(make(seed)) for seed in range(1, runs + 1)]


class Repeated(NamedTuple):
    """What repeating a program showed; `cpu_seconds` of the last execution, None where there was none."""

    verdict: str = ACCEPTED
    reason: str = ""
    cpu_seconds: float | None = None


def repeats(
    pools: list[Any], codes: list[str], outputs: list[str], joined: list[bool] | None = None
) -> list[Repeated]:
    """Whether every new execution of a program gives its recorded output (tagged JSON).

    Rejected: `nondeterministic`, also when a new execution raises. Undecided: a fault of the machinery, or a run that
    hits a limit of time or memory which the first one did not. The first pool leaves out the programs that are
    `joined`: their neighbours run there, after the original input, which is the same as repeating it.
    """
    found = [Repeated()] * len(codes)
    for number, pool in reversed([*enumerate(pools)]):
        left_out = joined if joined and number == 0 else [False] * len(codes)
        waiting = [place for place, one in enumerate(found) if one.verdict == ACCEPTED and not left_out[place]]
        texts = [with_moved_clock(codes[place], (number + 1) * DAYS) for place in waiting]
        for place, result in zip(waiting, pool.run(texts), strict=True):
            found[place] = Repeated(*_compare(result, outputs[place]), result.cpu_seconds)
    return found


def can_be_joined(code: str, facts: SourceFacts) -> bool:
    """Whether a run with its own input handed in repeats a program: the input is a literal, no clock must be moved."""
    return facts.literal and not ASKS_THE_TIME.search(code)


def _compare(result: Any, output: str) -> tuple[str, str]:
    if result.status in ("infrastructure", "timeout", "memory"):
        return UNDECIDED, result.reason
    if result.status != "ok":
        return REJECTED, f"nondeterministic:{result.reason}"
    return (ACCEPTED, "") if (result.output or "") == output else (REJECTED, "nondeterministic")
