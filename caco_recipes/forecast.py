"""From a pilot to the whole run: rows kept per step, tokens, hours and cost, each with a 95 % interval.

The share that a step keeps is drawn from what the pilot saw (Clopper and Pearson's beta distributions: the lower ends are
drawn from Beta(k, n-k+1), the upper ones from Beta(k+1, n-k)), rows follow binomially, and draws go through the steps in
the recipe's order: so intervals compound. One step alone gives exactly Clopper and Pearson's interval. A step that kept
nothing in the pilot gives 0 with an honest upper end (about 3.7 / n of the rows); one that the pilot never reached
gives anything from none to all. Tokens per row scatter as they did between the pilot's parts (with fewer than five parts:
as widely as their mean). Hours come from stated speeds (`prices.engines.NAME.tokens_per_second`) or else from the pilot's
machine.

What no pilot can tell: duplicates and contamination grow with the number of rows, so that behind a dedup step the forecast
is an upper bound; and it takes the pilot's rows to be like the others.
"""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from caco_recipes.pilot import Pilot, StepPilot
from caco_recipes.pipeline import Run, Step
from caco_recipes.prices import cores
from caco_recipes.recipe import load_yaml

DRAWS = 8_000
INTERVAL = (2.5, 97.5)
SETS = ("dedup", "decontaminate")  # stages whose share falls as the set grows
# Tokens of a training row where nobody has counted (those that `caco plan` takes for SFT recipes).
TRAINING_TOKENS = {"instruction": 500, "codegen": 250, "codegen_domain": 256}


@dataclass(frozen=True)
class Range:
    """A forecast figure: the middle one and its 95 % interval."""

    middle: float
    low: float
    high: float

    def __add__(self, other: "Range") -> "Range":
        return Range(self.middle + other.middle, self.low + other.low, self.high + other.high)


ZERO = Range(0, 0, 0)


@dataclass
class StepForecast:
    """One step of the whole run; None where nothing can be said.

    Attributes:
        rows: rows that go in; kept: rows that come out accepted.
        pilot_rows, pilot_kept: what the share was learned from.
        prompt_tokens, completion_tokens: of its model requests.
        hours: wall-clock; gpu_hours, cpu_hours: of all GPUs and cores that it holds; cost: at the recipe's prices.
        speed: where the hours come from: `pilot`, `stated` or nothing.
        notes: what to know of the figures.
    """

    name: str
    stage: str
    rows: Range = ZERO
    kept: Range = ZERO
    pilot_rows: int = 0
    pilot_kept: int = 0
    prompt_tokens: Range = ZERO
    completion_tokens: Range = ZERO
    hours: Range | None = None
    gpu_hours: Range = ZERO
    cpu_hours: Range = ZERO
    cost: Range = ZERO
    speed: str = ""
    notes: list[str] = field(default_factory=list)


@dataclass
class Forecast:
    """The whole run. Totals leave out steps of which no hours are known; `unknown` names them."""

    name: str
    currency: str
    steps: list[StepForecast]
    total: StepForecast
    unknown: list[str]
    prices: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def forecast(run: Run, pilot: Pilot, seed: int = 11) -> Forecast:
    """The forecast of `run`'s recipe from `pilot`."""
    import numpy as np

    draw = np.random.default_rng(seed)
    made: list[StepForecast] = []
    # Per step: accepted rows in the middle, and the draws of the lower and of the upper ends.
    accepted: dict[str, tuple[float, Any, Any]] = {}
    for step in run.steps:
        if step.whole_run:
            if step.stage == "sft":
                made.append(_training(run, step, accepted))
            continue
        rows = _rows_in(step, pilot, accepted, np)
        seen = pilot.steps.get(step.name, StepPilot())
        one = StepForecast(step.name, step.stage, pilot_rows=seen.rows, pilot_kept=seen.accepted)
        counted = pilot.sources.get(step.name, {}).get("accepted")
        if counted is not None:  # the whole source was read: nothing to forecast
            kept = (float(counted), np.full(DRAWS, float(counted)), np.full(DRAWS, float(counted)))
            passed = rows
            one.notes.append("counted, not forecast")
        else:
            passed = _through(rows, seen, draw, np)
            kept = _kept(passed, seen, draw, np)
            _say(one, seen, step)
        accepted[step.name] = kept
        one.rows, one.kept = _range(passed, np), _range(kept, np)
        _tokens(one, passed, seen, draw, np)
        _machines(one, run, step, passed, seen, np)
        made.append(one)
    total = StepForecast("in all", "")
    for one in made:
        for name in ("prompt_tokens", "completion_tokens", "gpu_hours", "cpu_hours", "cost"):
            setattr(total, name, getattr(total, name) + getattr(one, name))
        total.hours = (total.hours or ZERO) + (one.hours or ZERO)
    ends = [one for one in made if one.stage != "sft" and not _is_read(run, one.name)]
    verified = [one for one in ends if one.stage == "verify"] or ends[-1:]
    total.rows = _sum(one.rows for one in made if run.step(one.name).source)
    total.kept = _sum(one.kept for one in verified)
    unknown = [one.name for one in made if one.hours is None]
    return Forecast(run.recipe.name, run.recipe.prices.currency, made, total, unknown, asdict(run.recipe.prices))


def _rows_in(step: Step, pilot: Pilot, accepted: dict[str, tuple], np: Any) -> tuple[float, Any, Any]:
    if step.source:
        total = pilot.sources.get(step.name, {}).get("rows")
        if total is None:  # a pilot that is another run: what it read is all that is known
            total = pilot.steps.get(step.name, StepPilot()).rows
            if step.stage == "sample":
                total = step.config.num_programs
        total = float(total if step.config.limit is None else min(total, step.config.limit))
        return total, np.full(DRAWS, total), np.full(DRAWS, total)
    middle = sum(accepted[name][0] for name in step.inputs)
    low = sum(accepted[name][1] for name in step.inputs)
    high = sum(accepted[name][2] for name in step.inputs)
    limit = math.inf if step.config.limit is None else step.config.limit
    return min(middle, limit), np.minimum(low, limit), np.minimum(high, limit)


def _through(rows: tuple[float, Any, Any], seen: StepPilot, draw: Any, np: Any) -> tuple[float, Any, Any]:
    """Rows that the step works on: some stages pass over rows (`only: recorded`) or make several of one."""
    if not seen.rows_in or seen.rows == seen.rows_in:
        return rows
    if seen.rows > seen.rows_in:
        ratio = seen.rows / seen.rows_in
        return rows[0] * ratio, rows[1] * ratio, rows[2] * ratio
    return _binomial(rows, seen.rows, seen.rows_in, draw, np)


def _kept(rows: tuple[float, Any, Any], seen: StepPilot, draw: Any, np: Any) -> tuple[float, Any, Any]:
    if not seen.rows:
        return rows[0] / 2, np.zeros(DRAWS), rows[2]
    return _binomial(rows, seen.accepted, seen.rows, draw, np)


def _binomial(rows: tuple[float, Any, Any], k: int, n: int, draw: Any, np: Any) -> tuple[float, Any, Any]:
    low = draw.beta(k, n - k + 1, DRAWS) if k else np.zeros(DRAWS)
    high = draw.beta(k + 1, n - k, DRAWS) if k < n else np.ones(DRAWS)
    counts = [draw.binomial(np.round(r).astype(np.int64), share) for r, share in ((rows[1], low), (rows[2], high))]
    return rows[0] * k / n, counts[0].astype(float), counts[1].astype(float)


def _range(values: tuple[float, Any, Any], np: Any) -> Range:
    middle = float(values[0])
    low, high = float(np.percentile(values[1], INTERVAL[0])), float(np.percentile(values[2], INTERVAL[1]))
    return Range(middle, min(low, middle), max(high, middle))


def _say(one: StepForecast, seen: StepPilot, step: Step) -> None:
    if not seen.rows:
        one.notes.append("the pilot had no row here: anything from none to all")
    elif not seen.accepted:
        one.notes.append(f"the pilot kept none of {seen.rows}: at most {100 * _upper_of_none(seen.rows):.2g} % (95 %)")
    if step.stage in SETS:
        one.notes.append("duplicates grow with the number of rows: an upper bound")


def _upper_of_none(n: int) -> float:
    """The upper end of Clopper and Pearson's 95 % interval for none out of n."""
    return 1 - 0.025 ** (1 / n)


def _tokens(one: StepForecast, rows: tuple[float, Any, Any], seen: StepPilot, draw: Any, np: Any) -> None:
    if not any(seen.tokens) or not seen.rows:
        return
    for position, name in ((1, "prompt_tokens"), (2, "completion_tokens")):
        total = sum(part[position] for part in seen.parts)
        mean = total / seen.rows
        parts = [(part[0], part[position]) for part in seen.parts if part[0]]
        if len(parts) >= 5:  # the error of a ratio over clusters
            spread = sum((tokens - mean * count) ** 2 for count, tokens in parts) * len(parts) / (len(parts) - 1)
            error = math.sqrt(spread) / seen.rows
        else:
            error = mean / math.sqrt(seen.rows)
        means = np.maximum(0, draw.normal(mean, error, DRAWS))
        setattr(one, name, _range((rows[0] * mean, rows[1] * means, rows[2] * means), np))


def _machines(one: StepForecast, run: Run, step: Step, rows: tuple, seen: StepPilot, np: Any) -> None:
    engine = getattr(step.config, "engine", "")
    prices = run.recipe.prices
    stated = prices.engines[engine].tokens_per_second if engine in prices.engines else None
    tokens = one.prompt_tokens + one.completion_tokens
    if stated and tokens.high:
        one.hours = Range(*(value / stated / 3600 for value in (tokens.middle, tokens.low, tokens.high)))
        one.speed = "stated"
    elif seen.seconds is not None and seen.rows:
        per_row = seen.seconds / seen.rows / 3600
        made = _range(rows, np)
        one.hours = Range(made.middle * per_row, made.low * per_row, made.high * per_row)
        one.speed = "pilot"
    if one.hours is None:
        one.notes.append("the pilot has no times: no hours" if not seen.rows else "no time was measured")
        hours = ZERO
    else:
        hours = one.hours
    gpus, held = prices.gpus(engine, run.recipe.engines), cores(run.recipe.workers)
    one.gpu_hours, one.cpu_hours = _scaled(hours, gpus), _scaled(hours, held)
    one.cost = Range(
        *(
            prices.of_hours(gpus * h, held * h) + prices.of_tokens(engine, prompt, completion)
            for h, prompt, completion in zip(
                _ends(hours), _ends(one.prompt_tokens), _ends(one.completion_tokens), strict=True
            )
        )
    )


def _training(run: Run, step: Step, accepted: dict[str, tuple]) -> StepForecast:
    """A training step: its tokens by the recipe's epochs; hours where its speed is stated under prices.engines."""
    import numpy as np

    one = StepForecast(step.name, step.stage)
    known = [accepted[name] for name in step.inputs if name in accepted]
    rows = (sum(item[0] for item in known), sum(item[1] for item in known), sum(item[2] for item in known))
    if not known:
        one.notes.append("its rows come from a step that is not forecast")
        return one
    one.rows = _range(rows, np)
    keys, launch = load_yaml(step.config.recipe), load_yaml(step.config.accelerate_config)
    epochs = float(step.config.overrides.get("num_train_epochs") or keys.get("num_train_epochs") or 3)
    per_row = TRAINING_TOKENS.get(str(keys.get("text_format")), TRAINING_TOKENS["instruction"])
    one.prompt_tokens = _scaled(one.rows, epochs * per_row)
    one.notes.append(f"{epochs:g} epochs at about {per_row} tokens a row")
    stated = run.recipe.prices.engines.get(step.name)
    if stated is None or not stated.tokens_per_second:
        one.notes.append(f"no hours: state prices.engines.{step.name}.tokens_per_second")
        return one
    one.speed = "stated"
    one.hours = _scaled(one.prompt_tokens, 1 / stated.tokens_per_second / 3600)
    cpu_only = bool(launch.get("use_cpu"))
    gpus = stated.gpus if stated.gpus is not None else 0 if cpu_only else int(launch.get("num_processes", 1))
    one.gpu_hours, one.cpu_hours = _scaled(one.hours, gpus), _scaled(one.hours, cores(run.recipe.workers))
    price = run.recipe.prices
    one.cost = Range(*(price.of_hours(g, c) for g, c in zip(_ends(one.gpu_hours), _ends(one.cpu_hours), strict=True)))
    return one


def _is_read(run: Run, name: str) -> bool:
    return any(name in step.inputs for step in run.steps if not step.whole_run)


def _ends(made: Range) -> tuple[float, float, float]:
    return made.middle, made.low, made.high


def _scaled(made: Range, factor: float) -> Range:
    return Range(made.middle * factor, made.low * factor, made.high * factor)


def _sum(ranges: Any) -> Range:
    total = ZERO
    for item in ranges:
        total += item
    return total
