"""Generation with transformers in this process: CPU or one GPU, for small models and for machines without vLLM.

Rows of a batch come and go: as soon as one ends, the next request takes its slot, so that the processor never waits for
the longest row. A request's text does not depend on its neighbours: it has random numbers of its own (sampler.py), its
tokens lie at the same places of the cache whoever is beside it (slot_cache.py), and matrix shapes are kept to those for
which the kernels add up a row's numbers in the same order.
"""

import inspect
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from caco_recipes.generation import chat
from caco_recipes.generation.config import EngineConfig
from caco_recipes.generation.engine import EngineError
from caco_recipes.generation.inbox import Inbox, Item
from caco_recipes.generation.model import find_model
from caco_recipes.generation.requests import Completion, Request

if TYPE_CHECKING:
    import torch

    from caco_recipes.generation.engines.sampler import RowSampler
    from caco_recipes.generation.engines.stops import TextWatcher

# With one to three rows, CPU kernels add up in another order than with more; from four on, in fours, they don't.
CPU_ROWS = 4
# The reach of attention grows in these steps, so that a row's blocks are cut the same way beside longer neighbours.
REACH = 64
CPU_CHUNK, GPU_CHUNK = 128, 512  # prompt tokens that are read at once
CPU_PREFIX_BYTES, GPU_PREFIX_BYTES = 512 << 20, 2 << 30


@dataclass(slots=True)
class _Waiting:
    key: Hashable
    request: Request
    tokens: list[int]


@dataclass(slots=True)
class _Row:
    """One request in its slot."""

    key: Hashable
    request: Request
    sampler: "RowSampler"
    ends: set[int]
    watcher: "TextWatcher | None"
    prompt_tokens: int
    room: int  # new tokens that it may have
    tokens: list[int] = field(default_factory=list)
    logprobs: dict[str, float] = field(default_factory=dict)

    @property
    def position(self) -> int:
        """Where the newest token, not yet read by the model, belongs."""
        return self.prompt_tokens + len(self.tokens) - 1


class TransformersEngine:
    """See the module. Raises `EngineError` for a model that is not there or can't be run this way."""

    def __init__(self, config: EngineConfig, key: str = "engine") -> None:
        import torch
        from transformers import AutoModelForCausalLM

        self._key = key
        model = find_model(config, key)
        self.identity = model.identity
        self.tokenizer = chat.load_tokenizer(model.name, model.revision, config, key)
        if config.device != "auto":
            device = config.device
        else:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise EngineError(f"{key}.device: {device} is not here: set {key}.device to auto or cpu")
        try:
            self._device = torch.device(device)
            self._model = AutoModelForCausalLM.from_pretrained(
                model.name,
                revision=model.revision,
                dtype=config.dtype,
                trust_remote_code=config.trust_remote_code,
            ).to(self._device)
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            raise EngineError(f"{key}.model: {config.model} can't be loaded on {device}: {error}") from None
        self._model.eval()
        self._masks = _mask_kinds(self._model, key)
        text_config = self._model.config.get_text_config()
        self._window = getattr(text_config, "sliding_window", None) or 0
        longest = getattr(text_config, "max_position_embeddings", None) or 4096
        self.max_model_len = min(config.max_model_len or longest, longest)
        self._ends = _end_tokens(self._model, self.tokenizer)
        on_cpu = self._device.type == "cpu"
        self._rows_step = CPU_ROWS if on_cpu else max(1, config.batch_size)
        self._slots = -(-max(1, config.batch_size) // self._rows_step) * self._rows_step
        self._batch_size = max(1, config.batch_size)
        self._chunk = CPU_CHUNK if on_cpu else GPU_CHUNK
        self._prefix_bytes = CPU_PREFIX_BYTES if on_cpu else GPU_PREFIX_BYTES
        parameters = inspect.signature(self._model.forward).parameters
        self._cache_argument = "cache" if "cache" in parameters else "past_key_values"
        self._prefixes: Any = None
        self._closed = False

    def render(self, messages: list[dict[str, str]], **template_arguments: Any) -> str:
        return chat.render(self.tokenizer, messages, self._key, **template_arguments)

    def close(self) -> None:
        self._closed = True

    def generate(self, requests: Iterable[Item] | Inbox) -> Iterator[tuple[Hashable, Completion]]:
        import torch

        from caco_recipes.generation.engines.slot_cache import PrefixCache, SlotCache

        inbox = Inbox.of(requests)
        cache = SlotCache(self._slots)
        self._prefixes = self._prefixes or PrefixCache(self._prefix_bytes)
        rows: list[_Row] = []  # row i is in slot i
        waiting: list[_Waiting] = []
        try:
            while not self._closed:
                if len(waiting) < self._batch_size:
                    idle = not rows and not waiting
                    for item in inbox.take(4 * self._batch_size - len(waiting), wait=idle):
                        if item[1].sampling.json_schema:
                            raise EngineError(
                                f"{self._key}.engine: transformers can't hold answers to a JSON schema; "
                                "use vllm or openai, or leave json_schema out"
                            )
                        tokens = self.tokenizer.encode(item[1].prompt, add_special_tokens=False)
                        if refused := self._refusal(tokens):
                            yield item[0], refused
                        else:
                            waiting.append(_Waiting(*item, tokens))
                    # Neighbours of like length waste the least attention, and the long ones should not come last.
                    waiting.sort(key=lambda entry: len(entry.tokens))
                with torch.inference_mode():
                    done: list[_Row] = []
                    while waiting and len(rows) < self._batch_size and not done:
                        row = self._admit(waiting.pop(), len(rows), cache)
                        (done if self._has_ended(row) else rows).append(row)
                    if not done and rows:
                        self._step(rows, cache)
                        done = self._take_ended(rows, cache)
                    answers = [(row.key, self._completion(row)) for row in done]
                yield from answers
                if not rows and not waiting and inbox.finished:
                    return
        except torch.OutOfMemoryError:
            raise EngineError(
                f"{self._key}: out of memory with {len(rows)} rows: lower {self._key}.batch_size or max_model_len"
            ) from None

    def _refusal(self, tokens: list[int]) -> Completion | None:
        """The answer to a prompt that can't be read."""
        if tokens and len(tokens) < self.max_model_len:
            return None
        error = "the prompt is empty"
        if tokens:
            error = f"the prompt has {len(tokens)} tokens; max_model_len is {self.max_model_len}"
        # Another max_model_len would take it, so it is not an answer for good.
        return Completion("", "error", prompt_tokens=len(tokens), error=error, transient=True)

    def _admit(self, entry: _Waiting, slot: int, cache: Any) -> _Row:
        """Reads a prompt into a slot and draws the first token."""
        from caco_recipes.generation.engines.sampler import RowSampler, first_logprobs, next_tokens
        from caco_recipes.generation.engines.stops import TextWatcher, stop_tokens

        request = entry.request
        logits = self._read_prompt(entry.tokens, slot, cache)
        stop_ids, stop_texts = stop_tokens(self.tokenizer, request.sampling.stop)
        row = _Row(
            key=entry.key,
            request=request,
            sampler=RowSampler(request.sampling, request.sampler_seed(), self._device),
            ends=self._ends | stop_ids,
            watcher=TextWatcher(self.tokenizer, stop_texts) if stop_texts else None,
            prompt_tokens=len(entry.tokens),
            room=min(request.sampling.max_tokens, self.max_model_len - len(entry.tokens)),
        )
        if request.sampling.logprobs:
            row.logprobs = first_logprobs(logits[0], self.tokenizer)
        row.tokens = next_tokens(logits, [row.sampler])
        return row

    def _read_prompt(self, tokens: list[int], slot: int, cache: Any) -> "torch.Tensor":
        """Fills a slot with a prompt. Returns the logits [1, vocabulary] after its last token."""
        import torch

        cache.reserve(len(tokens) + 1)
        logits = None
        for start in range(0, len(tokens), self._chunk):
            end = min(start + self._chunk, len(tokens))
            key = self._prefixes.key(tokens, end)
            if known := self._prefixes.get(key):
                chunk, logits = known
                cache.copy_in(slot, start, chunk)
                continue
            positions = torch.arange(start, end, device=self._device)
            cache.at_prompt(slot, start)
            visible = torch.arange(end, device=self._device)
            logits = self._forward(
                torch.tensor([tokens[start:end]], device=self._device), positions[None], visible, cache
            )
            self._prefixes.put(key, cache.copy_out(slot, start, end), logits)
        return logits

    def _step(self, rows: list[_Row], cache: Any) -> None:
        """One more token for every row."""
        import torch

        from caco_recipes.generation.engines.sampler import next_tokens

        count = -(-len(rows) // self._rows_step) * self._rows_step
        # Slots past the rows are computed and thrown away: the shape is what matters.
        newest = [row.tokens[-1] for row in rows] + [0] * (count - len(rows))
        places = [row.position for row in rows] + [0] * (count - len(rows))
        reach = -(-(max(places) + 1) // REACH) * REACH
        cache.reserve(reach)
        positions = torch.tensor(places, device=self._device)
        cache.at_step(positions, reach)
        visible = torch.arange(reach, device=self._device)
        logits = self._forward(torch.tensor(newest, device=self._device)[:, None], positions[:, None], visible, cache)
        for row, token in zip(rows, next_tokens(logits[: len(rows)], [row.sampler for row in rows])):
            row.tokens.append(token)

    def _forward(self, tokens, positions, visible, cache) -> "torch.Tensor":
        """Logits [rows, vocabulary] after the last of `tokens` [rows, new], at `positions` [rows, new]."""
        import torch

        distance = positions[:, None, :, None] - visible  # [rows, 1, new, visible]
        lowest = torch.finfo(self._model.dtype).min
        masks = {}
        for kind in self._masks:
            hidden = distance < 0
            if kind == "sliding_attention":
                hidden = hidden | (distance >= self._window)
            mask = torch.zeros(hidden.shape, dtype=self._model.dtype, device=self._device)
            masks[kind] = mask.masked_fill_(hidden, lowest)
        output = self._model(
            input_ids=tokens,
            position_ids=positions,
            attention_mask=masks if len(masks) > 1 else next(iter(masks.values())),
            use_cache=True,
            logits_to_keep=1,
            **{self._cache_argument: cache},
        )
        return output.logits[:, -1]

    def _has_ended(self, row: _Row) -> bool:
        """Whether the newest token ends the row. To be asked once per token."""
        stopped = row.watcher is not None and row.watcher.push(row.tokens[-1])
        return stopped or row.tokens[-1] in row.ends or len(row.tokens) >= row.room

    def _take_ended(self, rows: list[_Row], cache: Any) -> list[_Row]:
        """Removes the rows that have ended; the last row moves into the slot that became free."""
        ended = []
        for slot in range(len(rows) - 1, -1, -1):
            if not self._has_ended(rows[slot]):
                continue
            ended.append(rows[slot])
            last = rows.pop()
            if slot < len(rows):
                cache.move(len(rows), slot, last.position)
                rows[slot] = last
        return ended

    def _completion(self, row: _Row) -> Completion:
        ended = row.tokens[-1] in row.ends
        if row.watcher is not None and row.watcher.stopped:
            text, ended = row.watcher.text, True
        else:
            text = self.tokenizer.decode(row.tokens[:-1] if ended else row.tokens, skip_special_tokens=True)
        return Completion(
            text=text,
            finish_reason="stop" if ended else "length",
            prompt_tokens=row.prompt_tokens,
            completion_tokens=len(row.tokens),
            first_token_logprobs=row.logprobs,
        )


def _mask_kinds(model: Any, key: str) -> list[str]:
    """The kinds of attention that the model's layers use. Raises `EngineError` for what this engine does not do."""
    config = model.config.get_text_config()
    kinds = sorted(set(getattr(config, "layer_types", None) or []))
    if not kinds:
        kinds = ["sliding_attention"] if getattr(config, "sliding_window", None) else ["full_attention"]
    other = set(kinds) - {"full_attention", "sliding_attention"}
    if other or model.config.is_encoder_decoder or getattr(model, "_is_stateful", False):
        what = ", ".join(sorted(other)) or model.config.model_type
        raise EngineError(f"{key}.engine: transformers can't batch this model ({what}) here; use engine: vllm")
    return kinds


def _end_tokens(model: Any, tokenizer: Any) -> set[int]:
    """Ids that end a text: the generation configuration's, and the tokenizer's."""
    ends = model.generation_config.eos_token_id
    ends = set(ends) if isinstance(ends, list) else {ends}
    return (ends | {tokenizer.eos_token_id}) - {None}
