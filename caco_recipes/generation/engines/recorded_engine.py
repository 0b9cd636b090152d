"""Replays recorded texts: for tests and for showing a stage that a small model can't. Always called recorded.

In:  JSON Lines with `stage`, `subject`, `text`, and `source` and `licence` of the text. Out: the text recorded for a
request's stage and subject (white space folded), or an error "no recording". Further texts of the same stage and
subject answer higher sample indices.
"""

import json
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import Any

from caco_recipes.generation.config import EngineConfig
from caco_recipes.generation.engine import EngineError
from caco_recipes.generation.inbox import Inbox, Item
from caco_recipes.generation.model import recorded_identity
from caco_recipes.generation.requests import Completion
from caco_recipes.identity import fold_whitespace

_KEYS = ("stage", "subject", "text", "source", "licence")


class RecordedEngine:
    """See the module. Raises `EngineError` for a file that is missing, empty or not in the format."""

    def __init__(self, config: EngineConfig, key: str = "engine") -> None:
        if not config.path:
            raise EngineError(f"{key}.path: name the JSON Lines file with the recordings")
        self.identity = recorded_identity(config, key)
        self._texts: dict[tuple[str, str], list[str]] = {}
        self._closed = False
        for number, line in enumerate(Path(config.path).read_bytes().splitlines(), start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise EngineError(f"{key}.path: {config.path}, line {number}: not JSON: {error}") from None
            missing = [name for name in _KEYS if not isinstance(row, dict) or not isinstance(row.get(name), str)]
            if missing:
                raise EngineError(f"{key}.path: {config.path}, line {number}: no text under {', '.join(missing)}")
            self._texts.setdefault((row["stage"], fold_whitespace(row["subject"])), []).append(row["text"])
        if not self._texts:
            raise EngineError(f"{key}.path: {config.path} has no recordings")

    def has(self, stage: str, subject: str) -> bool:
        """Whether there is a recording."""
        return (stage, fold_whitespace(subject)) in self._texts

    def render(self, messages: list[dict[str, str]], **template_arguments: Any) -> str:
        """The messages in a plain layout: part of the request's key, so a changed prompt is a changed request."""
        return "\n\n".join(f"{message['role']}: {message['content']}" for message in messages) + "\n\nassistant: "

    def generate(self, requests: Iterable[Item] | Inbox) -> Iterator[tuple[Hashable, Completion]]:
        inbox = Inbox.of(requests)
        while not self._closed:
            items = inbox.take(256, wait=True)
            if not items:
                return
            for key, request in items:
                texts = self._texts.get((request.stage, fold_whitespace(request.subject)), [])
                if request.sample_index < len(texts):
                    yield key, Completion(text=texts[request.sample_index], finish_reason="stop")
                else:
                    yield key, Completion(text="", finish_reason="error", error="no recording")

    def close(self) -> None:
        self._closed = True
