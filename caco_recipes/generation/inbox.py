"""Requests on their way into an engine: filled while the engine runs, so that it is never drained between batches.

A plain iterable would have to block when nothing is waiting, and an engine that decodes other requests can't block. An
`Inbox` says "nothing right now" (`take(..., wait=False)` gives an empty list) apart from "nothing more" (`finished`).
"""

import threading
from collections import deque
from collections.abc import Hashable, Iterable, Iterator

from caco_recipes.generation.requests import Request

Item = tuple[Hashable, Request]


class Inbox:
    """A thread-safe queue of `(key, request)`; `source` is an iterable that is pulled only as far as the engine asks."""

    def __init__(self, source: Iterable[Item] | None = None) -> None:
        self._items: deque[Item] = deque()
        self._source: Iterator[Item] | None = iter(source) if source is not None else None
        self._closed = source is not None
        self._changed = threading.Condition()

    @classmethod
    def of(cls, requests: "Iterable[Item] | Inbox") -> "Inbox":
        """`requests` itself if it is an inbox, otherwise one that is filled from it."""
        return requests if isinstance(requests, Inbox) else cls(requests)

    def put(self, items: Iterable[Item]) -> None:
        """Adds requests. Raises `RuntimeError` after `close`."""
        with self._changed:
            if self._closed:
                raise RuntimeError("the inbox is closed")
            self._items.extend(items)
            self._changed.notify_all()

    def close(self) -> None:
        """No more requests will come; what waits is still handed out."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def discard(self, keys: set[Hashable]) -> set[Hashable]:
        """Takes requests back that no engine has taken yet. Returns their keys."""
        with self._changed:
            withdrawn = {key for key, _ in self._items if key in keys}
            self._items = deque(item for item in self._items if item[0] not in withdrawn)
            return withdrawn

    @property
    def finished(self) -> bool:
        """Closed and empty: `take` will never give anything again."""
        with self._changed:
            return self._closed and not self._items and self._source is None

    @property
    def waiting(self) -> bool:
        """Whether there is, or may be, a request to take."""
        with self._changed:
            return bool(self._items) or self._source is not None

    def take(self, limit: int, wait: bool) -> list[Item]:
        """Up to `limit` waiting requests; with `wait`, blocks until there is one or the inbox is finished."""
        with self._changed:
            while True:
                self._pull(limit)
                taken = [self._items.popleft() for _ in range(min(limit, len(self._items)))]
                if taken or not wait or limit <= 0 or self._closed:
                    return taken
                self._changed.wait()

    def _pull(self, limit: int) -> None:
        while self._source is not None and len(self._items) < limit:
            try:
                self._items.append(next(self._source))
            except StopIteration:
                self._source = None
