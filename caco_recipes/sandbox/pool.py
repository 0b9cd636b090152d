"""The pool: programs in, results out.

    with Pool(rules="caco") as pool:
        for result in pool.run(codes):
            ...

One thread (coordinator.py) talks to the fork servers; every public method may be called from any thread, from `async`
code (through `asyncio.wrap_future(pool.submit(code))`) and in a process that was forked after the pool was made. No
program text is parsed here, no result is trusted.

What is covered, per level, and what is not: docs/execution.md.
"""

import collections
import itertools
import os
import queue
import threading
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import Future

from caco_recipes.sandbox import codec
from caco_recipes.sandbox.coordinator import Coordinator, Job, ShareMismatch, usable_cores
from caco_recipes.sandbox.levels import IsolationError, reach
from caco_recipes.sandbox.results import Limits, Result
from caco_recipes.sandbox.warmup import kind_of

VARIANTS_PER_PROCESS = 400


class Pool:
    """Executes untrusted programs, each in a fresh confined process.

    Args:
        workers: programs at a time; None for the number of usable cores.
        limits: what a program may use.
        isolation: `auto` (the best of strict, standard and basic that this machine has), or a level by name.
        minimum_isolation: the least level to accept; otherwise `IsolationError` says what is missing.
        rules: `"caco"` applies the paper's content rules to programs that run; None applies none.
        share: up to this many programs per process, for those that pass a strict screen; 0 for a process each.
        share_audit: share of the shared programs that are run again in a process of their own and compared.
        seed: of the hash function and the random generators that programs see.

    Raises:
        IsolationError: the asked level is not to be had here; the text says which feature is missing.
    """

    def __init__(
        self,
        workers: int | None = None,
        limits: Limits | None = None,
        isolation: str = "auto",
        minimum_isolation: str | None = None,
        rules: str | None = None,
        share: int = 0,
        share_audit: float = 0.01,
        seed: int = 0,
    ):
        if workers is not None and workers < 1:
            raise ValueError(f"workers must be at least 1, got {workers}")
        if rules not in (None, "caco"):
            raise ValueError(f"rules must be None or 'caco', got {rules!r}")
        self.workers = workers or usable_cores()
        self.limits = limits or Limits()
        self.rules, self.share, self.share_audit, self.seed = rules, share, share_audit, seed
        self._asked = (isolation, minimum_isolation)
        self._portable = isolation == "unsafe" and not hasattr(os, "memfd_create")
        self.isolation = ""
        self._reset()

    def _reset(self) -> None:
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._incoming: collections.deque[Job] = collections.deque()
        self._numbers = itertools.count()
        self._closing = False
        self._ended = False  # the coordinator has answered its last program
        self._failure: BaseException | None = None
        self.restarts = 0

    # -------------------------------------------------------------------------------------------- life

    def start(self) -> "Pool":
        """Finds the isolation level and starts the coordinator's thread. Called by `with` and by the first program."""
        if self._owner != os.getpid():
            self._reset()  # a forked copy: the servers belong to the parent
        with self._lock:
            if self._thread is not None:
                return self
            if self._closing:
                raise RuntimeError("this pool is closed")
            if not self.isolation:
                self.isolation, self.isolation_reasons = reach(*self._asked)
                if self.isolation == "unsafe":
                    warnings.warn(
                        "isolation 'unsafe': programs run with your own rights; only their resources are limited",
                        stacklevel=3,
                    )
            self._ended = False
            self._coordinator = Coordinator(self)
            self._thread = threading.Thread(target=self._coordinator.serve, name="caco-sandbox", daemon=True)
            self._thread.start()
        return self

    def close(self) -> None:
        """Ends the servers and everything they run. Programs still under way get `infrastructure:closed`."""
        if self._owner != os.getpid() or self._thread is None:
            self._closing = True
            return
        self._closing = True
        self._coordinator.wake()
        self._thread.join()
        self._thread = None

    def __enter__(self) -> "Pool":
        self._closing = False
        return self.start()

    def __exit__(self, *_) -> None:
        self.close()

    def __getstate__(self) -> dict:
        # the configuration alone: a copy in another process starts servers of its own
        return {
            "workers": self.workers, "limits": self.limits, "isolation": self._asked[0], "rules": self.rules,
            "minimum_isolation": self._asked[1], "share": self.share, "share_audit": self.share_audit,
            "seed": self.seed,
        }  # fmt: skip

    def __setstate__(self, state: dict) -> None:
        self.__init__(**state)

    # -------------------------------------------------------------------------------------------- programs

    def submit(self, code: str) -> "Future[Result]":
        """Queues one program; the future's result is its `Result`. Cancelling has an effect until it starts."""
        future: Future[Result] = Future()

        def deliver(result: Result) -> None:
            if future.set_running_or_notify_cancel():
                future.set_result(result)

        self._put(code, deliver)
        return future

    def run_one(self, code: str) -> Result:
        """Runs one program and waits for its result."""
        return self.submit(code).result()

    def run(self, codes: Iterable[str]) -> Iterator[Result]:
        """Runs programs from any iterable; yields their results in the order of the programs.

        Reads ahead of the results by a bounded number, so an endless iterable is fine.
        """
        waiting: dict[int, Result] = {}
        following = 0
        for index, result in self.run_unordered(codes, ordered=True):
            waiting[index] = result
            while following in waiting:
                yield waiting.pop(following)
                following += 1

    def run_unordered(self, codes: Iterable[str], ordered: bool = False) -> Iterator[tuple[int, Result]]:
        """Runs programs; yields (index, result) as they end, those of the slow lane last.

        `ordered` keeps the distance between the oldest unfinished program and the newest started one bounded too.
        """
        self.start()
        finished: queue.SimpleQueue = queue.SimpleQueue()
        window = max(128, self.workers * 16, self.workers * self.share * 8)
        source = enumerate(codes)
        open_indices: dict[int, None] = {}  # in order of submission
        exhausted = False
        while True:
            # the slow lane may hold back a thousand programs, which must not keep the others from running
            while not exhausted and len(open_indices) < window + min(self._coordinator.held_back, 1000):
                if ordered and open_indices and self._span(open_indices) > 8 * window:
                    break
                try:
                    index, code = next(source)
                except StopIteration:
                    exhausted = True
                    break
                open_indices[index] = None
                self._put(code, lambda result, index=index: finished.put((index, result)))
            if not open_indices:
                return
            index, result = self._take(finished)
            del open_indices[index]
            yield index, result
            while not finished.empty():
                index, result = finished.get()
                if index is None:
                    raise result
                del open_indices[index]
                yield index, result

    @staticmethod
    def _span(indices: dict[int, None]) -> int:
        return next(reversed(indices)) - next(iter(indices))

    def _take(self, finished: queue.SimpleQueue):
        while True:
            try:
                return finished.get(timeout=1.0)
            except queue.Empty:
                if self._failure is not None:
                    raise self._failure from None

    def run_variants(self, code: str, inputs: Iterable[str], cpu_seconds: float | None = None) -> list[Result]:
        """Runs one program on many inputs, in one process; `inputs` are tagged JSON texts that replace `input`'s value.

        Results come in the order of the inputs, each with its own verdict. A run that ends abnormally costs a new
        process for it and those after it. CPU seconds are the mean over the runs of a process. `cpu_seconds` bounds
        each run instead of `limits.cpu_seconds`.

        Raises:
            caco_recipes.sandbox.codec.NotTagged: an input is not tagged JSON within the limits.
        """
        self.start()
        limits = self.limits
        bounds = codec.Bounds(limits.value_depth, limits.value_items, limits.value_digits, limits.value_kb * 1024)
        texts = [codec.check(text, bounds) for text in inputs]
        futures = []
        for start in range(0, len(texts), VARIANTS_PER_PROCESS):
            future: Future = Future()
            self._put(code, future.set_result, texts[start : start + VARIANTS_PER_PROCESS], cpu_seconds)
            futures.append(future)
        return [result for future in futures for result in future.result()]

    def _put(self, code: str, deliver, inputs: list | None = None, cpu_seconds: float | None = None) -> None:
        if type(code) is not str:
            raise TypeError(f"a program is text, got {type(code).__name__}")
        self.start()
        if self._failure is not None:
            raise self._failure
        cpu_seconds = cpu_seconds or self.limits.cpu_seconds
        job = Job(next(self._numbers), code, kind_of(code), deliver, cpu_seconds, inputs=inputs)
        job.shareable = self.share > 1 and inputs is None
        with self._lock:
            # Behind the last look of a coordinator that ends, nobody would answer it.
            if self._ended:
                raise self._failure or RuntimeError("this pool is closed")
            self._incoming.append(job)
            self._coordinator.wake()


__all__ = ["IsolationError", "Pool", "ShareMismatch"]
