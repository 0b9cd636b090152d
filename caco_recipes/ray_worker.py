"""The worker's side of Ray (ray_executor.py): a step's resources in a worker process, and shards through them.

Tasks keep their resources for the next shard of the same step that comes to the same process; an actor keeps an engine
for as long as the step lasts. What happens is noted and goes to the driver with the next result.
"""

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from caco_recipes.map_step import MapWork, run_map_step_here
from caco_recipes.run_context import Context, Engines, Run
from caco_recipes.run_folder import PartRecord, RunError
from caco_recipes.shards import Shard


@dataclass(frozen=True)
class Job:
    """What a worker is told of a step."""

    run: Run
    step: str
    fingerprint: str
    folder: str  # the working folder that the recipe's paths are relative to
    at_once: int


@dataclass
class Told:
    """What happened in a worker that the driver passes on: events, and the tokens of each new answer."""

    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    answers: list[tuple[int, int]] = field(default_factory=list)


class _Notes:
    """A worker's events and progress: kept until the next result goes to the driver."""

    session = ""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told = Told()

    def write(self, event: str, **facts: Any) -> None:
        with self._lock:
            self._told.events.append((event, facts))

    def answered(self, prompt_tokens: int, completion_tokens: int) -> None:
        with self._lock:
            self._told.answers.append((prompt_tokens, completion_tokens))

    def part(self, record: PartRecord, reused: bool = False) -> None:
        """The driver counts parts itself."""

    def take(self) -> Told:
        with self._lock:
            told, self._told = self._told, Told()
            return told


class Worker:
    """A step's resources in a worker process, and shards through them."""

    def __init__(self, job: Job) -> None:
        if not Path(job.folder).is_dir():
            raise RunError(f"{job.folder} is not on this node: all nodes need the file system that the run lies on")
        os.chdir(job.folder)
        self.notes = _Notes()
        step = job.run.step(job.step)
        self._engines = Engines(job.run)
        self.context = Context(job.run, step, self._engines, self.notes)
        self.context.progress = self.notes
        self.work = MapWork(job.run, step, self.context, job.fingerprint)

    def do(self, shard: Shard) -> tuple[PartRecord, Told]:
        """Maps a shard and writes its part."""
        return self.work.do(shard), self.notes.take()

    def rows(self, shard: Shard, start: int, stop: int) -> tuple[pa.Table, dict[str, int], Told]:
        """Maps some of a shard's rows and writes nothing."""
        table = self.work.map(shard.read().slice(start, stop - start))
        return table, self.work.counts(), self.notes.take()

    def close(self) -> None:
        self.work.close()
        self._engines.close()


class EngineActor:
    """A worker for as long as the step lasts: an engine's model is loaded once."""

    def __init__(self, job: Job) -> None:
        self._failure: BaseException | None = None
        try:
            self._worker = Worker(job)
            self._worker.work.open()
        except Exception as error:
            self._failure = error  # raised by `ready`: what is raised here reaches the driver without its message

    def ready(self) -> None:
        if self._failure is not None:
            raise self._failure

    def do(self, shard: Shard) -> tuple[PartRecord, Told]:
        return self._worker.do(shard)

    def rows(self, shard: Shard, start: int, stop: int) -> tuple[pa.Table, dict[str, int], Told]:
        return self._worker.rows(shard, start, stop)

    def close(self) -> None:
        if self._failure is None:
            self._worker.close()


_kept: list[tuple[tuple[str, str, str], Worker]] = []  # a task's process is used again: so are the resources


def _worker(job: Job) -> Worker:
    name = (str(job.run.folder), job.step, job.fingerprint)
    if _kept and _kept[0][0] == name:
        return _kept[0][1]
    if _kept:
        _kept.pop()[1].close()
    worker = Worker(job)
    worker.work.open()
    _kept.append((name, worker))
    return worker


def do_shard(job: Job, shard: Shard) -> tuple[PartRecord, Told]:
    return _worker(job).do(shard)


def do_rows(job: Job, shard: Shard, start: int, stop: int) -> tuple[pa.Table, dict[str, int], Told]:
    return _worker(job).rows(shard, start, stop)


def do_step(job: Job) -> tuple[list[PartRecord], Told]:
    worker = Worker(job)
    try:
        return run_map_step_here(worker.work, job.at_once), worker.notes.take()
    finally:
        worker.close()
