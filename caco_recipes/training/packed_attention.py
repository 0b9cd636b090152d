"""Attention of packed rows, row by row: `attn_implementation: packed_sdpa`.

With `sdpa`, a pack of 2048 tokens is one matrix of 2048 × 2048 scores in which a mask blots out what lies between rows.
With ten rows in it nine tenths of that is thrown away, and on a CPU it costs more than the rest of the layer. Flash
attention's variable-length kernels skip it, but need their GPU package. This is the same for every device: the pack is
cut at the rows' borders (`cu_seq_lens_q`, which TRL's collator gives) and each row attends to itself. A batch without
borders (padded, or generation) is left to transformers' own sdpa, mask and all.
"""

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

NAME = "packed_sdpa"
# Up to here the scores of a bfloat16 row are made as matrices: on a CPU faster than the fused kernel (2x at 170 tokens).
SHORT = 512
# What some models add to attention; their layers get transformers' sdpa with its mask.
SPECIAL = ("position_bias", "sliding_window", "s_aux")


def register() -> None:
    """Makes `attn_implementation: packed_sdpa` known to transformers."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    AttentionInterface.register(NAME, packed_sdpa)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def packed_sdpa(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **keywords: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' attention interface.

    Args:
        query, key, value: (1, heads, tokens of the pack, head size); keys and values may have fewer heads.
        attention_mask: not read when `cu_seq_lens_q` (int32, row borders from 0 to the pack's length) is given.

    Returns:
        (1, tokens, heads, head size), and None for the weights. Raises `ValueError` for a model with a softcap.
    """
    if keywords.get("softcap") is not None:
        raise ValueError("this model's softcap needs attn_implementation: eager (sdpa may leave it out silently)")
    borders = keywords.get("cu_seq_lens_q")
    special = dropout or any(keywords.get(name) is not None for name in SPECIAL) or keywords.get("is_causal") is False
    if borders is None or query.shape[0] != 1 or special:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **keywords
        )
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    lengths = borders.diff().tolist()
    rows = zip(*(part.split(lengths, dim=2) for part in (query, key, value)))
    return torch.cat([_row(q, k, v, scaling) for q, k, v in rows], dim=2).transpose(1, 2).contiguous(), None


def _row(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float) -> torch.Tensor:
    length = query.shape[2]
    if query.device.type != "cpu" or query.dtype == torch.float32 or length > SHORT:
        return scaled_dot_product_attention(query, key, value, scale=scaling, is_causal=True)
    future = torch.ones(length, length, dtype=torch.bool, device=query.device).triu(1)
    scores = (torch.matmul(query, key.transpose(2, 3)) * scaling).masked_fill(future, float("-inf"))
    return torch.matmul(torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype), value)
