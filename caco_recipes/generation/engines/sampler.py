"""Draws the next token of every row of a batch, each row with random numbers of its own.

Temperature, then top-k, top-p and min-p, then the Gumbel-max trick: the noise of a row comes from a generator seeded by
the row's own request and belongs to token ids, so that a row's draw depends on nothing but its own logits.
"""

import torch

from caco_recipes.generation.requests import SamplingParams

# A nucleus is looked for among this many likeliest tokens before the whole vocabulary is sorted.
_SHORT_LIST = 1024


class RowSampler:
    """The random numbers of one request."""

    def __init__(self, sampling: SamplingParams, seed: int, device: torch.device) -> None:
        self.sampling = sampling
        self._generator = torch.Generator(device).manual_seed(seed)

    def fill_uniform(self, row: torch.Tensor) -> None:
        """Fills `row` [vocabulary] with this request's next uniform numbers."""
        torch.rand(row.shape, generator=self._generator, out=row)


def next_tokens(logits: torch.Tensor, samplers: list[RowSampler]) -> list[int]:
    """Token ids for `logits` [rows, vocabulary], one sampler per row."""
    tokens = logits.argmax(-1).tolist()
    drawing = [i for i, sampler in enumerate(samplers) if sampler.sampling.temperature > 0]
    if not drawing:
        return tokens
    chosen = logits[drawing].float()
    settings = [samplers[i].sampling for i in drawing]
    scaled = chosen / torch.tensor([[s.temperature] for s in settings], device=chosen.device)
    scaled = _cut(scaled, settings)
    noise = torch.empty_like(scaled)
    for row, i in enumerate(drawing):
        samplers[i].fill_uniform(noise[row])
    # The smallest positive float32 step of `rand` is 2**-24: zero stands for "less than that".
    gumbel = noise.clamp_min_(2**-25).log_().neg_().log_().neg_()
    for i, token in zip(drawing, (scaled + gumbel).argmax(-1).tolist()):
        tokens[i] = token
    return tokens


def _cut(logits: torch.Tensor, settings: list[SamplingParams]) -> torch.Tensor:
    """`logits` with every token outside a row's top-k, top-p and min-p set to -inf."""
    for row, sampling in enumerate(settings):
        if sampling.top_k > 0:
            kept = logits[row].topk(min(sampling.top_k, logits.shape[1])).values[-1]
            logits[row].masked_fill_(logits[row] < kept, -torch.inf)
    nucleus = [row for row, sampling in enumerate(settings) if sampling.top_p < 1]
    if nucleus:
        probabilities = logits[nucleus].softmax(-1)
        wanted = torch.tensor([[settings[row].top_p] for row in nucleus], device=logits.device)
        likeliest = probabilities.topk(min(_SHORT_LIST, logits.shape[1])).values
        if (likeliest.sum(-1, keepdim=True) < wanted).any():
            likeliest = probabilities.sort(-1, descending=True).values
        # The token that crosses the threshold still belongs to the nucleus.
        inside = likeliest.cumsum(-1) - likeliest < wanted
        smallest = likeliest.masked_fill(~inside, torch.inf).amin(-1, keepdim=True)
        logits[nucleus] = logits[nucleus].masked_fill(probabilities < smallest, -torch.inf)
    for row, sampling in enumerate(settings):
        if sampling.min_p > 0:
            threshold = logits[row].max() + torch.log(torch.tensor(sampling.min_p))
            logits[row].masked_fill_(logits[row] < threshold, -torch.inf)
    return logits


def first_logprobs(logits: torch.Tensor, tokenizer, count: int = 20) -> dict[str, float]:
    """Token text -> log probability of the `count` likeliest tokens of `logits` [vocabulary], before any cut."""
    values, ids = logits.float().log_softmax(-1).topk(min(count, logits.shape[-1]))
    logprobs: dict[str, float] = {}
    for value, token in zip(values.tolist(), ids.tolist()):
        logprobs.setdefault(tokenizer.decode([token]), value)  # of tokens with the same text, the likeliest
    return logprobs
