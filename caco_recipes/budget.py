"""What a run has spent, and the budget at which it stops: tokens, hours or money, with everything kept.

`caco run RECIPE --budget tokens=2e6,hours=1.5,money=20` (or `budget:` in the recipe). Tokens are prompt and new tokens of
requests that were paid for, not those that the store answered; hours are wall-clock hours of work on this run's folder;
money is both at the recipe's `prices`. What earlier commands on the same folder spent counts, from `events.jsonl`.

It is looked at whenever an answer arrives, before every shard and before every step. Once it is reached no further request
is begun; those that the engine has begun are finished, and stored. A training run is not interrupted: it has its own
limits, and its checkpoints.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from caco_recipes.events import read_events
from caco_recipes.generation.config import EngineConfig
from caco_recipes.prices import Prices, cores

UNITS = ("tokens", "hours", "money")


class BudgetReached(RuntimeError):
    """The run's budget is used up; the message says what was spent. What was finished and answered is kept."""


@dataclass(kw_only=True)
class BudgetConfig:
    """Where a run stops; None is no limit."""

    tokens: float | None = field(default=None, metadata={"help": "Prompt and new tokens that were paid for."})
    hours: float | None = field(default=None, metadata={"help": "Wall-clock hours of work on the run's folder."})
    money: float | None = field(default=None, metadata={"help": "Machines and tokens at the recipe's prices."})

    def __post_init__(self) -> None:
        for name in UNITS:
            if (value := getattr(self, name)) is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} is {value:g}: a budget is a positive number")

    def __bool__(self) -> bool:
        return any(getattr(self, name) is not None for name in UNITS)


def parse_budget(text: str) -> dict[str, float]:
    """`tokens=2e6,hours=1.5` as numbers by name. Raises `ValueError` that says how a budget is written."""
    made: dict[str, float] = {}
    for piece in text.split(","):
        name, _, value = piece.strip().partition("=")
        try:
            made[name] = float(value.replace("_", ""))
        except ValueError:
            made = {}
        if name not in UNITS or name not in made:
            raise ValueError(f"--budget {text}: write tokens=2e6, hours=1.5 or money=20, several with commas between")
    return made


@dataclass
class Work:
    """What one step used in one command's time."""

    engine: str = ""
    seconds: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True)
class Spent:
    """Sums over a run: tokens paid for, hours of work, and both at the recipe's prices."""

    prompt_tokens: int
    completion_tokens: int
    hours: float
    money: float

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def text(self, currency: str) -> str:
        """One line for people."""
        return (
            f"{self.tokens:,} tokens ({self.prompt_tokens:,} prompt, {self.completion_tokens:,} new), "
            f"{duration(3600 * self.hours)} of work, {self.money:,.2f} {currency}"
        )


def work_of(events: Path) -> dict[tuple[str, str], Work]:
    """(session, step) -> what it used, from a run's events; the last heartbeat of each holds its sums."""
    found: dict[tuple[str, str], Work] = {}
    for event in read_events(events):
        if event["event"] == "heartbeat" and "session" in event and "step" in event:
            try:
                work = Work(
                    str(event.get("engine") or ""),
                    float(event.get("seconds") or 0),
                    int(event.get("prompt_tokens") or 0),
                    int(event.get("completion_tokens") or 0),
                )
            except (TypeError, ValueError):
                continue
            found[str(event["session"]), str(event["step"])] = work
    return found


class Account:
    """A run's spending so far and its budget. Threads may share it.

    Args:
        events: the run's `events.jsonl`, which tells what earlier commands spent.
        budget, prices: as the recipe states them.
        engines, workers: the recipe's; they say which GPUs and cores an hour of a step holds.
    """

    def __init__(
        self,
        events: Path,
        budget: BudgetConfig,
        prices: Prices,
        engines: Mapping[str, EngineConfig],
        workers: int | None = None,
    ) -> None:
        self.budget = budget
        self.prices = prices
        self._gpus = {name: prices.gpus(name, engines) for name in engines}
        self._cores = cores(workers)
        self._work = work_of(events)
        self._lock = threading.Lock()

    def update(self, session: str, step: str, work: Work) -> None:
        """`work` is what the step used in this session until now."""
        with self._lock:
            self._work[session, step] = work

    def spent(self) -> Spent:
        """What all commands on this run have used."""
        with self._lock:
            works = list(self._work.values())
        money = sum(
            self.prices.of_tokens(work.engine, work.prompt_tokens, work.completion_tokens)
            + self.prices.of_hours(
                self._gpus.get(work.engine, 0) * work.seconds / 3600, self._cores * work.seconds / 3600
            )
            for work in works
        )
        return Spent(
            sum(work.prompt_tokens for work in works),
            sum(work.completion_tokens for work in works),
            sum(work.seconds for work in works) / 3600,
            money,
        )

    def reached(self) -> str:
        """Which limit is used up, as a sentence; nothing while there is room."""
        if not self.budget:
            return ""
        spent = self.spent()
        for name, unit in (("tokens", "tokens"), ("hours", "hours"), ("money", self.prices.currency)):
            limit, used = getattr(self.budget, name), getattr(spent, name)
            if limit is not None and used >= limit:
                return f"the budget of {limit:,.6g} {unit} is used up: {used:,.6g} spent"
        return ""

    def check(self) -> None:
        """Raises `BudgetReached` when there is no room for more."""
        if why := self.reached():
            raise BudgetReached(why)


def duration(seconds: float) -> str:
    """`3.2 s`, `4 min 10 s`, `5 h 12 min`, `2 d 3 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h"
