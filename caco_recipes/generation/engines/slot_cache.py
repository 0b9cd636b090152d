"""Keys and values of a batch whose rows come and go: each row is a slot, and starts at position 0 of it.

Rows are never padded on the left, so a row's numbers lie at the same places whatever its neighbours are. Prompts are
read in chunks of fixed length, and the state after each chunk is remembered under the tokens read so far: a system
prompt, a worked example or a prompt that many samples share is read once. Because the chunks are the same with and
without a remembered one, so are the numbers.
"""

import hashlib
from array import array
from collections import OrderedDict

import torch
from transformers import Cache

GROWTH = 256  # positions; capacity grows by this much


class SlotCache(Cache):
    """transformers' cache interface over slots [slots, heads, capacity, head dimension] per layer.

    Before a forward pass, `at_prompt` or `at_step` says where the new keys and values go and what attention sees.
    """

    def __init__(self, slots: int) -> None:
        super().__init__(layers=[])
        self.slots = slots
        self.capacity = 0
        self._keys: list[torch.Tensor] = []
        self._values: list[torch.Tensor] = []
        self._slot = 0
        self._start = 0
        self._positions: torch.Tensor | None = None
        self._visible = 0

    def at_prompt(self, slot: int, start: int) -> None:
        """The next forward pass reads one row of tokens for `slot`, the first of them at position `start`."""
        self._slot, self._start, self._positions = slot, start, None

    def at_step(self, positions: torch.Tensor, visible: int) -> None:
        """The next forward pass reads one token for each of the first slots, at `positions` [rows]."""
        self._positions, self._visible = positions, visible

    def reserve(self, length: int) -> None:
        """Makes room for `length` positions in every slot."""
        if length <= self.capacity:
            return
        self.capacity = -(-length // GROWTH) * GROWTH
        for tensors in (self._keys, self._values):
            for layer, old in enumerate(tensors):
                new = old.new_zeros(self.slots, old.shape[1], self.capacity, old.shape[3])
                new[:, :, : old.shape[2]] = old
                tensors[layer] = new

    def _make_layer(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """The first time a layer is met, memory for it; `keys` and `values` [heads, new, head dimension] show its shape."""
        if len(self._keys) > layer:
            return
        for tensors, new in ((self._keys, keys), (self._values, values)):
            # Zeros: what is masked is still multiplied, and must not be NaN.
            tensors.append(new.new_zeros(self.slots, new.shape[0], self.capacity, new.shape[2]))

    def update(self, key_states, value_states, layer_idx, *args, **kwargs):
        """Called by each attention layer: stores new keys and values, returns what attention sees."""
        self._make_layer(layer_idx, key_states[0], value_states[0])
        keys, values = self._keys[layer_idx], self._values[layer_idx]
        if self._positions is None:
            end = self._start + key_states.shape[2]
            keys[self._slot, :, self._start : end] = key_states[0]
            values[self._slot, :, self._start : end] = value_states[0]
            return keys[self._slot : self._slot + 1, :, :end], values[self._slot : self._slot + 1, :, :end]
        rows = len(self._positions)
        index = torch.arange(rows, device=self._positions.device)
        keys[index, :, self._positions] = key_states[:, :, 0]
        values[index, :, self._positions] = value_states[:, :, 0]
        return keys[:rows, :, : self._visible], values[:rows, :, : self._visible]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self._start if self._positions is None else self._visible - 1

    def copy_out(self, slot: int, start: int, end: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """A copy of a slot's keys and values at positions `start` to `end`, per layer."""
        return [
            (k[slot, :, start:end].clone(), v[slot, :, start:end].clone()) for k, v in zip(self._keys, self._values)
        ]

    def copy_in(self, slot: int, start: int, chunk: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Puts a copy from `copy_out` into a slot."""
        for layer, (k, v) in enumerate(chunk):
            self._make_layer(layer, k, v)
            self._keys[layer][slot, :, start : start + k.shape[1]] = k
            self._values[layer][slot, :, start : start + v.shape[1]] = v

    def move(self, source: int, target: int, length: int) -> None:
        """Copies a row of `length` positions into another slot."""
        for tensor in (*self._keys, *self._values):
            tensor[target, :, :length] = tensor[source, :, :length]


class PrefixCache:
    """What reading a prompt's chunks gave (keys and values, logits after the chunk), by the tokens read so far."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._used = 0
        self._entries: OrderedDict[bytes, tuple[list, torch.Tensor, int]] = OrderedDict()

    @staticmethod
    def key(tokens: list[int], end: int) -> bytes:
        return hashlib.sha256(array("q", tokens[:end]).tobytes()).digest()

    def get(self, key: bytes) -> tuple[list, torch.Tensor] | None:
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        chunk, logits, _ = self._entries[key]
        return chunk, logits

    def put(self, key: bytes, chunk: list[tuple[torch.Tensor, torch.Tensor]], logits: torch.Tensor) -> None:
        if key in self._entries:
            return
        size = sum(t.numel() * t.element_size() for pair in chunk for t in pair)
        size += logits.numel() * logits.element_size()
        self._entries[key] = (chunk, logits, size)
        self._used += size
        while self._used > self._budget and self._entries:
            _, (_, _, freed) = self._entries.popitem(last=False)
            self._used -= freed
