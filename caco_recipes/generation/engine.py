"""What an engine is: rendered prompts go in as they come, completions come out as they finish.

| `engine:` | file | runs |
|---|---|---|
| transformers | engines/transformers_engine.py | in this process, CPU or one GPU |
| vllm | engines/vllm_engine.py | vLLM's engine on this machine's GPUs |
| openai | engines/openai_engine.py | requests to one or more OpenAI-compatible servers |
| recorded | engines/recorded_engine.py | nothing: replays recorded texts, and says so |
"""

from collections.abc import Hashable, Iterable, Iterator
from typing import Any, Protocol

from caco_recipes.generation.config import EngineConfig
from caco_recipes.generation.inbox import Inbox, Item
from caco_recipes.generation.requests import Completion


class EngineError(RuntimeError):
    """An engine that can't be opened or can't go on: the message names the recipe key and what to do.

    What was answered before has been handed out already.
    """


class Engine(Protocol):
    """A generation backend.

    Attributes:
        identity: which model answers: Hub name and commit, or a hash of a local model's files. Part of every request's
            key; the backend, its batch size and its place are not.
    """

    identity: str

    def render(self, messages: list[dict[str, str]], **template_arguments: Any) -> str:
        """Messages (`role`, `content`) -> prompt text that ends where the assistant's turn begins, thinking off."""
        ...

    def generate(self, requests: Iterable[Item] | Inbox) -> Iterator[tuple[Hashable, Completion]]:
        """`(key, request)` -> `(key, completion)`, as they finish, in any order, each exactly once.

        Given an `Inbox`, goes on until it is closed and empty. A request's text depends on its own content only.
        Failures that another try may mend are tried again by the engine; what still fails is a completion with
        `transient=True`. Raises `EngineError` when the engine itself can't go on.
        """
        ...

    def close(self) -> None:
        """Stops `generate`, wherever it stands, and gives memory and processes back."""
        ...


def open_engine(config: EngineConfig, name: str = "") -> Engine:
    """The engine that a recipe describes; `name` is its key under `engines:`, for messages. Raises `EngineError`."""
    key = f"engines.{name}" if name else "engine"
    if config.engine == "transformers":
        from caco_recipes.generation.engines.transformers_engine import TransformersEngine

        return TransformersEngine(config, key)
    if config.engine == "vllm":
        from caco_recipes.generation.engines.vllm_engine import VllmEngine

        return VllmEngine(config, key)
    if config.engine == "openai":
        from caco_recipes.generation.engines.openai_engine import OpenAIEngine

        return OpenAIEngine(config, key)
    if config.engine == "recorded":
        from caco_recipes.generation.engines.recorded_engine import RecordedEngine

        return RecordedEngine(config, key)
    raise EngineError(f"{key}.engine: {config.engine!r} is not one of transformers, vllm, openai, recorded")


def model_identity(config: EngineConfig, name: str = "") -> str:
    """The identity of an engine's model without loading its weights. Raises `EngineError`."""
    from caco_recipes.generation.model import find_model, recorded_identity, served_identity

    key = f"engines.{name}" if name else "engine"
    if config.engine == "recorded":
        return recorded_identity(config, key)
    if config.engine == "openai":
        return served_identity(config, key)
    return find_model(config, key).identity
