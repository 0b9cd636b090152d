"""What is asked of a model and what comes back.

A request's key is its content: model identity, rendered prompt, sampling parameters and sample index. Position, shard,
run and worker are not part of it, so that editing anything around a request never pays for it twice.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """Decoding parameters; `temperature=0` is greedy. `max_tokens` counts new tokens. `top_k=0` means off."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()
    seed: int = 42
    logprobs: bool = False  # ask for the first token's alternatives (judges)
    json_schema: str = ""  # JSON text of the schema that the answer has to match; empty: any text


@dataclass(frozen=True, slots=True)
class Request:
    """One generation.

    Attributes:
        prompt: the rendered text, chat template already applied; special tokens are written out and none is added.
        sampling: decoding parameters.
        sample_index: which of several samples of the same prompt; the sampler's seed is derived from it.
        stage: the stage that asks (`unify`, `back_translate`, …); the recorded engine looks answers up by it.
        subject: what the request is about (seed problem, program, question); key of the recorded engine, and not part
            of the request's key.
    """

    prompt: str
    sampling: SamplingParams
    sample_index: int = 0
    stage: str = ""
    subject: str = ""

    def key(self, model_identity: str) -> str:
        """sha256 (hex) over model identity, prompt, sampling parameters and sample index."""
        sampling = asdict(self.sampling)
        if not self.sampling.json_schema:
            del sampling["json_schema"]  # younger than stores that are in use: without one, a request keeps its key
        content = [model_identity, self.prompt, sampling, self.sample_index]
        text = json.dumps(content, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def sampler_seed(self) -> int:
        """The seed of this request's own random numbers: from seed, sample index and prompt, never from its neighbours.

        53 bits, so that it survives JSON. Samples of one prompt differ, and so do different prompts under one seed.
        """
        content = json.dumps([self.sampling.seed, self.sample_index, self.prompt], ensure_ascii=False)
        return int.from_bytes(hashlib.sha256(content.encode("utf-8", "surrogatepass")).digest()[:7], "big") >> 3


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer.

    Attributes:
        text: the generated text, without the stop sequence or end token.
        finish_reason: `stop`, `length` (cut off: not a solution), `refusal`, or `error` (see `error`).
        prompt_tokens, completion_tokens: as the engine counted them.
        error: what went wrong when `finish_reason` is `error`.
        transient: an error that another try, or another setting of the engine, may mend: it is never stored.
        first_token_logprobs: token text -> log probability of the first generated token, when asked for.
    """

    text: str
    finish_reason: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str = ""
    transient: bool = False
    first_token_logprobs: dict[str, float] = field(default_factory=dict)
