"""Generation with vLLM's own engine on this machine: requests stream in and results stream out, never in batches.

vLLM's scheduler always has up to `max_in_flight` requests to choose from, also while a stage prepares its next shard.
Many samples of one prompt are separate requests with seeds of their own; prefix caching reads the prompt once.
"""

from collections.abc import Hashable, Iterable, Iterator
from typing import Any

from caco_recipes.generation import chat
from caco_recipes.generation.config import EngineConfig
from caco_recipes.generation.engine import EngineError
from caco_recipes.generation.inbox import Inbox, Item
from caco_recipes.generation.model import find_model
from caco_recipes.generation.requests import Completion, Request

FIRST_LOGPROBS = 20


class VllmEngine:
    """See the module. Raises `EngineError` where vLLM is not installed or does not take the model."""

    def __init__(self, config: EngineConfig, key: str = "engine") -> None:
        self._key = key
        model = find_model(config, key)
        self.identity = model.identity
        try:
            from vllm import EngineArgs, LLMEngine
            from vllm.platforms import current_platform
        except ImportError as error:
            raise EngineError(
                f"{key}.engine: vllm can't be imported ({error}); it has an environment of its own, see docs/engines.md"
            ) from None
        self.tokenizer = chat.load_tokenizer(model.name, model.revision, config, key)
        self._max_in_flight = config.max_in_flight
        self._closed = False
        arguments: dict[str, Any] = {
            "model": model.name,
            "revision": model.revision,
            "dtype": config.dtype,
            "tensor_parallel_size": config.tensor_parallel_size,
            "gpu_memory_utilization": config.gpu_memory_utilization,
            "trust_remote_code": config.trust_remote_code,
            "enable_prefix_caching": True,
            "disable_log_stats": True,
        }
        if config.max_model_len is not None:
            arguments["max_model_len"] = config.max_model_len
        if current_platform.is_cpu():
            # On a CPU, vLLM dies of a seeded request whose prompt is read in parts ("CPU Generator does not use offset").
            arguments["enable_chunked_prefill"] = False
        arguments |= config.engine_args
        try:
            self._engine = LLMEngine.from_engine_args(EngineArgs(**arguments))
        except Exception as error:  # whatever kind vLLM raises, the recipe's key belongs beside it
            raise EngineError(f"{key}: vLLM does not start with {config.model}: {error}") from error
        self.max_model_len = self._engine.model_config.max_model_len

    def render(self, messages: list[dict[str, str]], **template_arguments: Any) -> str:
        return chat.render(self.tokenizer, messages, self._key, **template_arguments)

    def generate(self, requests: Iterable[Item] | Inbox) -> Iterator[tuple[Hashable, Completion]]:
        from vllm.v1.engine.exceptions import EngineDeadError

        inbox = Inbox.of(requests)
        under_way: dict[str, tuple[Hashable, Request]] = {}
        number = 0
        try:
            while not self._closed:
                for key, request in inbox.take(self._max_in_flight - len(under_way), wait=not under_way):
                    tokens = self.tokenizer.encode(request.prompt, add_special_tokens=False)
                    if not 0 < len(tokens) < self.max_model_len:
                        yield key, _unreadable(tokens, self.max_model_len)
                        continue
                    try:
                        self._add(str(number), request, tokens)
                    except Exception as error:  # what kind, differs between vLLM's versions
                        if not request.sampling.json_schema:
                            raise
                        # A schema that its grammar can't express: an answer for good.
                        yield key, Completion("", "error", prompt_tokens=len(tokens), error=f"vLLM refused: {error}")
                        continue
                    under_way[str(number)] = (key, request)
                    number += 1
                if under_way:
                    for output in self._engine.step():
                        if output.finished and (entry := under_way.pop(output.request_id, None)) is not None:
                            yield entry[0], self._completion(output, entry[1])
                elif inbox.finished:
                    return
        except EngineDeadError as error:
            raise EngineError(
                f"{self._key}: vLLM's engine died ({error}); its last words are in the log above"
            ) from error
        finally:
            if under_way and not self._closed:
                self._engine.abort_request(list(under_way))

    def close(self) -> None:
        """Ends vLLM's processes."""
        if not self._closed:
            self._closed = True
            self._engine.engine_core.shutdown()

    def _add(self, request_id: str, request: Request, tokens: list[int]) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        from caco_recipes.generation.engines.stops import stop_tokens

        wanted = request.sampling
        stop_ids, stop_texts = stop_tokens(self.tokenizer, wanted.stop)
        parameters = SamplingParams(
            temperature=wanted.temperature,
            top_p=wanted.top_p,
            top_k=wanted.top_k,
            min_p=wanted.min_p,
            max_tokens=min(wanted.max_tokens, self.max_model_len - len(tokens)),
            stop=stop_texts,
            stop_token_ids=sorted(stop_ids),
            # A greedy request needs no random numbers, and one without a seed is cheaper.
            seed=request.sampler_seed() if wanted.temperature > 0 else None,
            logprobs=FIRST_LOGPROBS if wanted.logprobs else None,
            structured_outputs=StructuredOutputsParams(json=wanted.json_schema) if wanted.json_schema else None,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        self._engine.add_request(request_id, {"prompt_token_ids": tokens}, parameters)

    def _completion(self, output: Any, request: Request) -> Completion:
        result = output.outputs[0]
        if result.finish_reason not in ("stop", "length"):
            error = f"vLLM ended the request: {result.finish_reason}"
            return Completion("", "error", prompt_tokens=len(output.prompt_token_ids), error=error, transient=True)
        logprobs: dict[str, float] = {}
        if request.sampling.logprobs and result.logprobs:
            for token in sorted(result.logprobs[0].values(), key=lambda entry: -entry.logprob):
                logprobs.setdefault(token.decoded_token or "", token.logprob)
        return Completion(
            text=result.text,
            finish_reason=result.finish_reason,
            prompt_tokens=len(output.prompt_token_ids),
            completion_tokens=len(result.token_ids),
            first_token_logprobs=logprobs,
        )


def _unreadable(tokens: list[int], max_model_len: int) -> Completion:
    error = (
        f"the prompt has {len(tokens)} tokens; max_model_len is {max_model_len}" if tokens else "the prompt is empty"
    )
    # Another max_model_len would take it, so it is not an answer for good.
    return Completion("", "error", prompt_tokens=len(tokens), error=error, transient=True)
