"""What a stage talks to: requests in, completions out in the same order, each paid for once.

A request is looked up in the store, otherwise sent to the engine; its answer is stored the moment it arrives, whatever
becomes of the call that wanted it. Several threads (shards) may call at once: they feed one engine, which is never
drained between their batches, and a request that two of them want is asked once.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from caco_recipes.budget import BudgetReached
from caco_recipes.generation.engine import Engine
from caco_recipes.generation.inbox import Inbox
from caco_recipes.generation.requests import Completion, Request
from caco_recipes.generation.store import Store

_REFRESH_SECONDS = 5.0  # how often the store is asked for what other processes have answered
_CHECK_SECONDS = 1.0  # how often free space is looked at while answers arrive


@dataclass(slots=True)
class Usage:
    """What a session has used. Tokens are as the engine counted them; reused ones were paid for earlier."""

    requests_paid: int = 0
    requests_reused: int = 0
    prompt_tokens_paid: int = 0
    completion_tokens_paid: int = 0
    completion_tokens_reused: int = 0
    errors: int = 0


@dataclass(slots=True)
class _Call:
    """One `complete` under way."""

    missing: set[str]
    answers: dict[str, Completion] = field(default_factory=dict)
    failure: BaseException | None = None


class Session:
    """An engine and the store of its answers.

    Args:
        engine: see `generation.engine`; the session closes it.
        store: the run's store; the session closes it.
        events: anything with `write(event, **facts)`, or None.

    Attributes:
        usage: requests and tokens so far.
        on_answer: called with the prompt and new tokens of each answer as it arrives, from another thread.
        halt: asked while answers are waited for; a text that it gives (which budget is used up) ends the session's
            work: what no engine has begun is not begun, what is under way is finished and stored, and every
            `complete` that lacks an answer raises `BudgetReached` with the text.
    """

    def __init__(self, engine: Engine, store: Store, events: Any = None) -> None:
        self.usage = Usage()
        self.on_answer: Callable[[int, int], None] | None = None
        self.halt: Callable[[], str] | None = None
        self._engine = engine
        self._store = store
        self._events = events
        self._changed = threading.Condition()
        self._calls: list[_Call] = []
        self._stages: dict[str, str] = {}  # keys under way -> stage that asked first
        self._inbox: Inbox | None = None
        self._pump: threading.Thread | None = None
        self._refreshed = time.monotonic()
        self._checked = 0.0
        self._counts: dict[int, Counter[str]] = {}  # by the thread that called
        self._halted = ""

    @property
    def identity(self) -> str:
        """Which model answers."""
        return self._engine.identity

    def render(self, messages: list[dict[str, str]], **template_arguments: Any) -> str:
        """Messages -> prompt text by the model's chat template, thinking off."""
        return self._engine.render(messages, **template_arguments)

    def request_key(self, request: Request) -> str:
        """The key that a request is stored under, as it goes into receipts."""
        return request.key(self._engine.identity)

    def complete(
        self, requests: Iterable[Request], progress: Callable[[int, int, int], None] | None = None
    ) -> list[Completion]:
        """Completions in the order of `requests`.

        `progress(tokens, done, total)` is called as answers arrive. Raises `EngineError`, `StoreError` or
        `BudgetReached`; what was answered by then is stored, as it is after Ctrl-C.
        """
        wanted = [(self.request_key(request), request) for request in requests]
        call = _Call(missing=set())
        new: dict[str, Request] = {}
        if time.monotonic() - self._refreshed > _REFRESH_SECONDS:
            self._store.refresh()
            self._refreshed = time.monotonic()
        for key, request in wanted:
            if key in call.answers or key in new:
                continue
            if (known := self._store.get(key)) is not None:
                call.answers[key] = known
                self.usage.requests_reused += 1
                self.usage.completion_tokens_reused += known.completion_tokens
            else:
                new[key] = request
        reused = len(call.answers)
        if new:
            self._ask(call, new, progress, total=len(new) + reused)
        if self._events is not None:
            tokens = sum(call.answers[key].completion_tokens for key in new)
            self._events.write("generation", requests=len(wanted), reused=reused, asked=len(new), new_tokens=tokens)
        with self._changed:
            counts = self._counts.setdefault(threading.get_ident(), Counter())
            for completion in call.answers.values():
                counts["requests"] += 1
                counts["prompt_tokens"] += completion.prompt_tokens
                counts["completion_tokens"] += completion.completion_tokens
        return [call.answers[key] for key, _ in wanted]

    def take_counts(self) -> dict[str, int]:
        """Requests and tokens of the answers given to this thread since its last call, whether new or from the store.

        They go into the records of a run's parts, one thread to a part, so they don't depend on what a killed run had
        paid for already, nor on which parts were at work beside it.
        """
        with self._changed:
            return dict(self._counts.pop(threading.get_ident(), {}))

    def close(self) -> None:
        """Stops the engine, wherever it stands, and closes the store. What was answered is stored."""
        with self._changed:
            inbox, pump = self._inbox, self._pump
        if inbox is not None:
            inbox.close()
        self._engine.close()
        if pump is not None:
            pump.join()
        self._store.close()

    def _ask(self, call: _Call, new: dict[str, Request], progress: Any, total: int) -> None:
        if self._halted or (self.halt is not None and (why := self.halt())):
            raise BudgetReached(self._halted or why)
        self._store.check_writable()
        with self._changed:
            mine: dict[str, Request] = {}
            for key, request in new.items():
                if key in self._stages:
                    call.missing.add(key)  # another call has asked it
                elif (known := self._store.get(key)) is not None:
                    call.answers[key] = known  # and this one was answered a moment ago
                else:
                    call.missing.add(key)
                    mine[key] = request
            self._calls.append(call)
            self._start_pump()
            self._stages.update({key: request.stage for key, request in mine.items()})
            self._inbox.put(mine.items())
        try:
            with self._changed:
                seen = -1
                while call.missing and call.failure is None:
                    if not self._halted and self.halt is not None and (why := self.halt()):
                        self._begin_no_more(why)
                        continue
                    if progress is not None and len(call.answers) != seen:
                        seen = len(call.answers)
                        progress(sum(answer.completion_tokens for answer in call.answers.values()), seen, total)
                    # With a timeout, so that Ctrl-C gets through.
                    self._changed.wait(timeout=0.5)
            if call.failure is not None:
                raise call.failure
            if any(key not in call.answers for key in new):
                raise BudgetReached(self._halted)
            if progress is not None:
                progress(sum(answer.completion_tokens for answer in call.answers.values()), len(call.answers), total)
        finally:
            self._leave(call)

    def _leave(self, call: _Call) -> None:
        """Ends a call; what it alone wanted and no engine has begun is not asked any more."""
        with self._changed:
            self._calls.remove(call)
            others = {key for other in self._calls for key in other.missing}
            if self._inbox is not None and (unwanted := call.missing - others):
                for key in self._inbox.discard(unwanted):
                    self._stages.pop(key, None)

    def _begin_no_more(self, why: str) -> None:
        """Takes back what no engine has begun, from every call; what is under way goes on. Holds the lock."""
        self._halted = why
        wanted = {key for call in self._calls for key in call.missing}
        withdrawn = self._inbox.discard(wanted) if self._inbox is not None else set()
        for key in withdrawn:
            self._stages.pop(key, None)
        for call in self._calls:
            call.missing -= withdrawn
        self._changed.notify_all()

    def _start_pump(self) -> None:
        if self._pump is None or not self._pump.is_alive() or self._inbox is None:
            self._inbox = Inbox()
            self._pump = threading.Thread(target=self._run, args=(self._inbox,), name="generation", daemon=True)
            self._pump.start()

    def _run(self, inbox: Inbox) -> None:
        """The pump: hands requests to the engine and its answers to store and calls, until the session is closed."""
        failure: BaseException | None = None
        try:
            for key, completion in self._engine.generate(inbox):
                self._arrived(key, completion)
        except BaseException as error:
            failure = error
        with self._changed:
            for call in self._calls:
                call.failure = call.failure or failure or RuntimeError("the session was closed")
            self._stages.clear()
            if self._inbox is inbox:
                self._inbox = None
            self._changed.notify_all()

    def _arrived(self, key: str, completion: Completion) -> None:
        if not completion.transient:
            self._store.put(key, completion, self._stages.get(key, ""), self._engine.identity)
        if self.on_answer is not None:
            self.on_answer(completion.prompt_tokens, completion.completion_tokens)
        with self._changed:
            self._stages.pop(key, None)
            self.usage.requests_paid += 1
            self.usage.prompt_tokens_paid += completion.prompt_tokens
            self.usage.completion_tokens_paid += completion.completion_tokens
            self.usage.errors += completion.finish_reason == "error"
            for call in self._calls:
                if key in call.missing:
                    call.answers[key] = completion
                    call.missing.discard(key)
            self._changed.notify_all()
        if time.monotonic() - self._checked > _CHECK_SECONDS:
            self._checked = time.monotonic()
            self._store.check_writable()
