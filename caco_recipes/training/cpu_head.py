"""The language-model head on a CPU: loss from the tokens that count, every matrix product in the weights' own type.

TRL's fused head is written for GPUs. On a CPU it scores padding too, computes the logits a second time in the backward
pass and multiplies in float32: for a model of 135M parameters that is 40 % of a training step. This one scores only
positions with a label, keeps their logits (tokens × vocabulary in the type of the weights) and multiplies three times.
"""

import types
from dataclasses import dataclass
from typing import Any

import torch

ROWS = 64  # tokens whose logits are turned to float32 at a time: with 50,000 words they stay in the cache
# Models that change their logits after the head; they keep TRL's.
CHANGES_LOGITS = (
    "final_logit_softcapping",
    "logit_scale",
    "output_multiplier",
    "lm_head_multiplier",
    "logits_scaling",
    "output_router_logits",
)


@dataclass
class HeadOutput:
    """What TRL's `compute_loss` reads: (batch, tokens - 1) each, zero where there is no label; the loss is a scalar."""

    loss: torch.Tensor
    log_probs: torch.Tensor
    entropy: torch.Tensor
    is_top1: torch.Tensor
    label_mask: torch.Tensor
    aux_loss: None = None


class LogProbs(torch.autograd.Function):
    """Log-probability, entropy and "is it the likeliest" of each target: (tokens,) from (tokens, hidden) and weights."""

    @staticmethod
    def forward(context: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> Any:
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            products = hidden.to(dtype), weight.to(dtype)
        else:
            products = hidden, weight
        logits = torch.mm(products[0], products[1].t())
        log_probs, log_sums, entropy, top = (torch.empty(len(targets), dtype=torch.float32) for _ in range(4))
        for start in range(0, len(targets), ROWS):
            part = slice(start, start + ROWS)
            scores = logits[part].float()
            log_sum = torch.logsumexp(scores, dim=-1)
            target = scores.gather(1, targets[part, None]).squeeze(1)
            log_probs[part], log_sums[part] = target - log_sum, log_sum
            top[part] = target >= scores.amax(dim=-1)
            # H = log Z - sum(p * z); the probabilities overwrite nothing that is still needed
            entropy[part] = log_sum - (torch.exp(scores - log_sum[:, None]).mul_(scores)).sum(dim=-1)
        context.save_for_backward(*products, targets, logits, log_sums)
        context.types = hidden.dtype, weight.dtype
        top = top.bool()
        context.mark_non_differentiable(entropy, top)
        context.set_materialize_grads(False)
        return log_probs, entropy, top

    @staticmethod
    def backward(context: Any, grad: torch.Tensor | None, *_: Any) -> tuple[torch.Tensor | None, ...]:
        if grad is None:
            return None, None, None
        hidden, weight, targets, logits, log_sums = context.saved_tensors
        change = torch.empty_like(logits)  # d loss / d logits = grad * (one-hot - p)
        for start in range(0, len(targets), ROWS):
            part = slice(start, start + ROWS)
            scores = torch.exp(logits[part].float() - log_sums[part, None]).mul_(-grad[part, None])
            scores[torch.arange(len(scores)), targets[part]] += grad[part]
            change[part] = scores
        to_hidden = torch.mm(change, weight).to(context.types[0]) if context.needs_input_grad[0] else None
        to_weight = torch.mm(change.t(), hidden).to(context.types[1]) if context.needs_input_grad[1] else None
        return to_hidden, to_weight, None


def use(model: Any) -> bool:
    """Replaces TRL's fused head of `model` (after `add_fused_lm_head`); returns whether it could.

    It can't when the model changes its logits, has a bias or an adapter on the head, or isn't on a CPU. For a run on a CPU
    only: the caller looks at the device that will be trained on.
    """
    config, head = model.config.get_text_config(), model.get_output_embeddings()
    changed = [name for name in CHANGES_LOGITS if getattr(config, name, None)]
    if changed or type(head) is not torch.nn.Linear or head.bias is not None or head.weight.device.type != "cpu":
        return False
    theirs = model.forward

    def forward(self: Any, *arguments: Any, fused_lm_head: bool = False, labels: Any = None, **keywords: Any) -> Any:
        if not fused_lm_head or labels is None or keywords.get("shift_labels") is not None:
            return theirs(*arguments, fused_lm_head=fused_lm_head, labels=labels, **keywords)
        count = keywords.pop("num_items_in_batch", None)
        keywords["use_cache"] = False
        hidden = self.base_model(*arguments, **keywords).last_hidden_state[:, :-1]
        mask = labels[:, 1:] != -100
        found = LogProbs.apply(hidden[mask], self.get_output_embeddings().weight, labels[:, 1:][mask])
        log_probs, entropy, top = (part.new_zeros(mask.shape).masked_scatter(mask, part) for part in found)
        loss = -log_probs.sum() / (mask.sum().clamp(min=1) if count is None else count)
        return HeadOutput(loss=loss, log_probs=log_probs, entropy=entropy, is_top1=top, label_mask=mask)

    forward.__wrapped__ = theirs  # generation reads the signature of the model's own forward
    model.forward = types.MethodType(forward, model)
    return True
