"""Shards in this process: some at once, in threads that share the stage's resources, or one after the other.

Threads are there so that an engine or a sandbox always has rows of the next shard to work on when one ends; the stage's
own Python still runs one thread at a time.
"""

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType

from caco_recipes.map_step import MapWork
from caco_recipes.run_folder import PartRecord
from caco_recipes.shards import Shard


class LocalExecutor:
    """Runs up to `at_once` shards; see `map_step.Executor`."""

    def __init__(self, work: MapWork, at_once: int) -> None:
        self._work = work
        self._at_once = at_once
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="shard") if at_once > 1 else None
        self._under_way: set[Future[PartRecord]] = set()
        self._done: list[PartRecord] = []

    def __enter__(self) -> "LocalExecutor":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):
            # Ctrl-C: what runs is ended where it stands; answers are stored, parts are not written.
            self._work.stop()
            self._work.context.release_engines()
            self._work.close()
        if self._threads is not None:
            # After a failure the shards that have begun are finished: they may have been paid for.
            self._threads.shutdown(wait=True, cancel_futures=True)
        self._work.close()

    def has_room(self) -> bool:
        return len(self._under_way) < self._at_once and not self._done

    def start(self, shard: Shard) -> None:
        self._work.open()
        if self._threads is None:
            self._done.append(self._work.do(shard))
        else:
            self._under_way.add(self._threads.submit(self._work.do, shard))

    def busy(self) -> bool:
        return bool(self._under_way or self._done)

    def finished(self) -> list[PartRecord]:
        records, self._done = self._done, []
        if not records:
            done, self._under_way = wait(self._under_way, return_when=FIRST_COMPLETED)
            records = [future.result() for future in sorted(done, key=id)]
        return sorted(records, key=lambda record: record.index)

    def replay(self, index: int) -> None:
        self._work.replay(index)
