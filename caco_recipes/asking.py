"""How a stage asks a model: its decoding parameters, its session, and what a completion's end means for the row."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from caco_recipes.configs import StageConfig, option
from caco_recipes.generation import Completion, Request, SamplingParams
from caco_recipes.prompts import Prompt, load
from caco_recipes.recipe import RecipeError
from caco_recipes.verdicts import ACCEPTED, REJECTED, UNDECIDED

_DEFAULTS = SamplingParams()


@dataclass(kw_only=True)
class ModelConfig(StageConfig):
    """The keys of every step that asks a model."""

    engine: str = option("The engine that answers, by its name under engines.", "")
    temperature: float = option("0 is greedy.", 0.0)
    top_p: float = option("Nucleus sampling; 1 is off.", 1.0)
    top_k: int = option("Sample among the K likeliest tokens; 0 is off.", 0)
    min_p: float = option("Leave out tokens below this share of the likeliest one's probability; 0 is off.", 0.0)
    max_tokens: int = option("New tokens at the most; an answer that is cut off there is rejected.", 2048)
    stop: list[str] = option("Texts that end an answer.", default_factory=list)
    seed: int = option("Seed of the sampler.", 42)
    json_schema: dict[str, Any] = option(
        "JSON schema that every answer has to match (engines vllm and openai); by default answers are free text.",
        default_factory=dict,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.temperature < 0 or not 0 < self.top_p <= 1 or not 0 <= self.min_p <= 1 or self.top_k < 0:
            raise ValueError("temperature, top_k and min_p can't be negative, top_p lies between 0 and 1")
        if self.max_tokens < 1:
            raise ValueError("max_tokens must be at least 1")

    def sampling(self, **changes: Any) -> SamplingParams:
        """The decoding parameters of a request."""
        values = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "min_p": self.min_p,
            "max_tokens": self.max_tokens,
            "stop": tuple(self.stop),
            "seed": self.seed,
            "json_schema": json.dumps(self.json_schema, sort_keys=True) if self.json_schema else "",
        }
        return SamplingParams(**(values | changes))

    def need_engine(self) -> None:
        """Raises `ValueError` when no engine is named."""
        if not self.engine:
            raise ValueError("engine: name the engine that answers (a key of engines)")


@dataclass
class Resources:
    """What a stage that asks a model holds.

    Attributes:
        session: the engine and its store; None where nothing is asked.
        seed: the run's seed, for draws of the stage's own.
        recorded: with `only: recorded`, whether the recorded engine has an answer for a subject; otherwise None.
    """

    session: Any
    seed: int = 42
    recorded: Callable[[str], bool] | None = None


@contextmanager
def open_session(config: ModelConfig, context: Any) -> Iterator[Resources]:
    """The session of the step's engine; None where the step names no engine."""
    session = context.session(config.engine) if config.engine else None
    recorded = None
    if getattr(config, "only", "") == "recorded":
        recorded = _recordings(context.recipe.engines.get(config.engine), config.engine, context.step.stage)
    yield Resources(session, context.recipe.seed, recorded)


def _recordings(engine: Any, name: str, stage: str) -> Callable[[str], bool]:
    from caco_recipes.generation.engines.recorded_engine import RecordedEngine

    if engine is None or engine.engine != "recorded":
        kind = f"{name} is {engine.engine}" if engine else "the step names no engine"
        raise RecipeError(f"only: recorded asks for a recorded engine; {kind}")
    index = RecordedEngine(engine, f"engines.{name}")
    return lambda subject: index.has(stage, subject)


def message(prompt: Prompt, **values: str) -> list[dict[str, str]]:
    """The prompt as the one message of a chat."""
    return [{"role": "user", "content": prompt.render(**values)}]


def request_facts(session: Any, request: Request) -> dict[str, Any]:
    """What a receipt says of a request: the model, the request's key, and how it was decoded."""
    sampling = sampling_facts(request.sampling)
    return {"model": session.identity, "request_key": session.request_key(request), "sampling": sampling}


def sampling_facts(sampling: SamplingParams) -> dict[str, Any]:
    """Decoding parameters for a receipt: temperature, limit and seed, and whatever else is not switched off."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(sampling).items()
        if name in ("temperature", "max_tokens", "seed") or value != getattr(_DEFAULTS, name)
    }


def ending(completion: Completion) -> tuple[str, str]:
    """Verdict and reason of how a completion ended: only one that came to its end can be used.

    A text that was cut off is rejected, whatever it holds; a failure of the machinery leaves the row undecided.
    """
    if completion.finish_reason == "stop":
        return ACCEPTED, ""
    if completion.finish_reason == "length":
        return REJECTED, "truncated"
    if completion.finish_reason == "refusal":
        return REJECTED, "no_answer"
    what = " ".join(completion.error.split())[:80] or completion.finish_reason
    return UNDECIDED, f"infrastructure:{what}"


def prompt_facts(*names: str) -> dict[str, str]:
    """The prompts' hashes, for a step's fingerprint."""
    return {f"prompt {name}": load(name).sha256 for name in names}


def first_row(context: Any) -> dict[str, Any] | None:
    """The first row that a step would get, if the steps that it reads are finished: for previews."""
    for folder in context.inputs:
        for row in folder.read():
            return row
    return None
