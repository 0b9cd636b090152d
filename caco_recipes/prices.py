"""What machines and tokens cost, as a recipe states it under `prices:`, and what a piece of work then costs.

    prices:
      currency: USD
      gpu_hour: 2.5                              # one GPU for one hour
      cpu_hour: 0.05                             # one CPU core for one hour
      engines:
        teacher: {prompt: 0.4, completion: 0.8}  # per million tokens: an engine that is paid by the token
        solver: {gpus: 8, tokens_per_second: 40000}

The defaults are round figures of on-demand clouds, stated so that a forecast is never without a price; they are no offer.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from caco_recipes.generation.config import EngineConfig


@dataclass(kw_only=True)
class EnginePrice:
    """What is known of one engine's cost and speed."""

    prompt: float = field(default=0.0, metadata={"help": "Price of a million prompt tokens; 0 where hours are paid."})
    completion: float = field(default=0.0, metadata={"help": "Price of a million new tokens."})
    gpus: int | None = field(
        default=None,
        metadata={"help": "GPUs that the engine holds; by default those that its configuration asks for."},
    )
    tokens_per_second: float | None = field(
        default=None,
        metadata={"help": "Prompt and new tokens per second of the whole engine, for forecasts; else the pilot's."},
    )

    def __post_init__(self) -> None:
        if min(self.prompt, self.completion, self.gpus or 0, self.tokens_per_second or 0) < 0:
            raise ValueError("a price, a number of GPUs or a speed can't be negative")


@dataclass(kw_only=True)
class Prices:
    """The prices of a recipe."""

    currency: str = field(default="USD", metadata={"help": "Only a name; nothing is converted."})
    gpu_hour: float = field(default=2.5, metadata={"help": "One GPU for one hour."})
    cpu_hour: float = field(default=0.05, metadata={"help": "One CPU core for one hour."})
    engines: dict[str, EnginePrice] = field(
        default_factory=dict, metadata={"help": "Per engine (or training step): token prices, GPUs, speed."}
    )

    def __post_init__(self) -> None:
        if min(self.gpu_hour, self.cpu_hour) < 0:
            raise ValueError("a price can't be negative")

    def of_tokens(self, engine: str, prompt: float, completion: float) -> float:
        """The price of tokens of an engine; 0 for one without token prices."""
        price = self.engines.get(engine)
        return (prompt * price.prompt + completion * price.completion) / 1e6 if price else 0.0

    def of_hours(self, gpu_hours: float, cpu_hours: float) -> float:
        return gpu_hours * self.gpu_hour + cpu_hours * self.cpu_hour

    def gpus(self, engine: str, engines: Mapping[str, EngineConfig]) -> int:
        """How many GPUs an engine holds while it works; 0 for none, recordings and servers of others."""
        stated = self.engines.get(engine)
        if stated is not None and stated.gpus is not None:
            return stated.gpus
        config = engines.get(engine)
        if config is None or config.engine == "recorded":
            return 0
        if config.engine == "openai":
            return config.servers * config.tensor_parallel_size
        if config.engine == "vllm":
            return config.tensor_parallel_size  # on the CPU build of vLLM, state gpus: 0
        return 1 if config.device.startswith("cuda") or (config.device == "auto" and _has_gpu()) else 0


def cores(workers: int | None) -> int:
    """CPU cores that a run keeps: its workers, or all."""
    return workers or os.cpu_count() or 1


def _has_gpu() -> bool:
    return Path("/dev/nvidiactl").exists()
