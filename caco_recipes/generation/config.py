"""The configuration of a generation engine, as it stands in a recipe under `engines:`."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(kw_only=True)
class EngineConfig:
    """One named engine. Which keys matter depends on `engine`."""

    engine: Literal["transformers", "vllm", "openai", "recorded"] = field(
        metadata={"help": "The generation backend."},
    )
    model: str = field(default="", metadata={"help": "Hub name or local folder (openai: the served model's name)."})
    revision: str | None = field(default=None, metadata={"help": "Hub revision; by default the newest commit."})
    path: str = field(default="", metadata={"help": "recorded: JSON Lines with stage, subject, text."})
    dtype: str = field(default="auto", metadata={"help": "auto, float32, bfloat16 or float16."})
    device: str = field(default="auto", metadata={"help": "transformers: auto, cpu, cuda or cuda:N."})
    batch_size: int = field(default=16, metadata={"help": "transformers: sequences decoded together."})
    max_model_len: int | None = field(default=None, metadata={"help": "Longest prompt plus answer, in tokens."})
    tensor_parallel_size: int = field(default=1, metadata={"help": "vllm: GPUs that one model is split over."})
    gpu_memory_utilization: float = field(default=0.9, metadata={"help": "vllm: share of GPU memory to take."})
    engine_args: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "vllm (and servers): further arguments, e.g. enforce_eager: true."}
    )
    base_url: list[str] = field(default_factory=list, metadata={"help": "openai: one or more server addresses."})
    servers: int = field(
        default=0,
        metadata={"help": "openai: start and supervise this many local vLLM servers, one per GPU (or group)."},
    )
    api_key_env: str = field(default="OPENAI_API_KEY", metadata={"help": "openai: variable that holds the key."})
    endpoint: Literal["completions", "chat"] = field(
        default="completions",
        metadata={"help": "openai: completions takes rendered prompts; chat leaves the template to the server."},
    )
    tokenizer: str | None = field(
        default=None, metadata={"help": "openai: Hub name or folder whose template renders prompts; by default model."}
    )
    extra_body: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": "openai: further keys of each request's JSON, as the server knows them."},
    )
    actors: int | None = field(
        default=None, metadata={"help": "executor ray: actors that hold this engine each; by default the GPUs decide."}
    )
    num_gpus: float | None = field(
        default=None, metadata={"help": "executor ray: GPUs of each actor; by default tensor_parallel_size."}
    )
    max_in_flight: int = field(default=256, metadata={"help": "Requests under way at once, at the most."})
    timeout: float = field(default=600.0, metadata={"help": "openai: seconds that one request may take."})
    retries: int = field(default=5, metadata={"help": "openai: further tries of a request that failed on its way."})
    server_wait: float = field(
        default=120.0, metadata={"help": "openai: seconds to wait for a server when none answers, before giving up."}
    )
    chat_template: str | None = field(
        default=None, metadata={"help": "Jinja file (or shipped name) in place of the model's own."}
    )
    trust_remote_code: bool = field(default=False, metadata={"help": "Run code that a model repository carries."})
