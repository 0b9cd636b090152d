"""The thread behind a pool: it starts fork servers, keeps them busy, and survives what they don't.

A queue per kind of program, two lanes, shared processes and their audit, retries. No program text is parsed here, no
result is trusted.
"""

import collections
import dataclasses
import heapq
import itertools
import json
import math
import os
import selectors
import socket
import time
import zlib

from caco_recipes.sandbox.asleep import is_asleep
from caco_recipes.sandbox.engine import ENGINE_VERSION
from caco_recipes.sandbox.outcome import Reader, split_records
from caco_recipes.sandbox.results import Result, infrastructure
from caco_recipes.sandbox.worker import Worker, split_reply, start_worker

ATTEMPTS = 4  # of a program whose server died or that could not be started


class ShareMismatch(RuntimeError):
    """A program gave another result in a shared process than in one of its own: `--share` can't be trusted here."""


@dataclasses.dataclass(slots=True, eq=False)
class Job:
    """A program on its way. `deliver` is called once, from the coordinator's thread, with its result."""

    number: int
    source: str
    kind: str
    deliver: object
    cpu: float
    slow: bool = False
    attempts: int = 0
    shareable: bool = False
    expected: Result | None = None  # of the shared run, when this is its audit
    inputs: list | None = None  # variants: tagged texts
    done: list = dataclasses.field(default_factory=list)
    batch: list | None = None  # the programs of a shared process
    patience: float = 0.0  # seconds without a word from its server after which that is taken for stuck


def usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Coordinator:
    """The thread behind a pool. All state below is touched by that thread alone."""

    def __init__(self, pool):
        self.pool, self.limits = pool, pool.limits
        self.reader = Reader(pool.limits, pool.rules, pool.isolation, ENGINE_VERSION)
        self.selector = selectors.DefaultSelector()
        self.bell, self.ringer = socket.socketpair()
        self.bell.setblocking(False)
        self.ringer.setblocking(False)
        self.rung = False
        self.selector.register(self.bell, selectors.EVENT_READ, None)
        self.workers: dict[str, list[Worker]] = {}
        self.fast: dict[str, collections.deque[Job]] = {}
        self.slow: collections.deque[Job] = collections.deque()
        self.later: list[tuple[float, int, Job]] = []
        self.failures: dict[str, int] = {}
        self.not_before: dict[str, float] = {}
        self.held_back = 0
        self.batches = itertools.count(1 << 60)
        self.per_kind = -(-pool.workers // 4)
        self.at_once = -(-(pool.workers + max(2, pool.workers // 2)) // self.per_kind)  # programs of one server
        self.capacity = 4 * pool.workers  # with those that wait in a server, compiled: so that no core waits for us

    def wake(self) -> None:
        if not self.rung:
            self.rung = True
            try:
                self.ringer.send(b"!")
            except OSError:
                pass

    # -------------------------------------------------------------------------------------------- the loop

    def serve(self) -> None:
        try:
            self.workers_of("plain")
            while not self.pool._closing:
                self.step()
        except BaseException as error:
            self.pool._failure = error
        finally:
            self.end()

    def step(self) -> None:
        for key, events in self.selector.select(self.pause()):
            if key.data is None:
                self.rung = False
                self.bell.recv(4096)
            else:
                if events & selectors.EVENT_WRITE and key.data.flush():
                    self.selector.modify(key.data.control, selectors.EVENT_READ, key.data)
                if events & selectors.EVENT_READ:
                    self.hear(key.data)
        now = time.monotonic()
        while self.later and self.later[0][0] <= now:
            self.enqueue(heapq.heappop(self.later)[2])
        while self.pool._incoming:
            self.accept(self.pool._incoming.popleft())
        self.dispatch()
        self.check_deadlines(now)

    def pause(self) -> float:
        if self.pool._incoming:
            return 0.0
        if self.later:
            return max(0.0, min(self.later[0][0] - time.monotonic(), 0.5))
        return 0.5 if any(self.workers.values()) else 0.05

    def accept(self, job: Job) -> None:
        if len(job.source) > self.limits.source_kb * 1024:
            result = self.reader.result(
                "output_limit", "output_limit:source", None, None, "", "", False, (0.0, 0.0, 0.0), None
            )
            job.deliver([result] * len(job.inputs) if job.inputs is not None else result)
        elif job.inputs == []:
            job.deliver([])
        else:
            self.enqueue(job)

    def enqueue(self, job: Job) -> None:
        if job.slow:
            self.slow.append(job)
            self.held_back = len(self.slow)
        else:
            self.fast.setdefault(job.kind, collections.deque()).append(job)

    # -------------------------------------------------------------------------------------------- sending

    def dispatch(self) -> None:
        active = sum(worker.active for group in self.workers.values() for worker in group)
        parked = sum(len(worker.parked) for group in self.workers.values() for worker in group)
        if parked > 4 * self.pool.workers:  # sleepers free their place, up to a point: they still hold memory
            active += parked - 4 * self.pool.workers
        while active < self.capacity:
            job = self.next_job(active)
            if job is None:
                return
            worker = min(self.workers[job.kind], key=lambda w: (w.ready is None, len(w.jobs)))
            self.send(worker, job)
            active += 1

    def next_job(self, active: int) -> Job | None:
        """The oldest program whose kind of server is ready; one of the slow lane when there is nothing else."""
        best: Job | None = None
        for kind, jobs in self.fast.items():
            if jobs and (best is None or jobs[0].number < best.number) and self.is_ready(kind):
                best = jobs[0]
        if best is not None:
            if best.shareable and self.pool.share > 1:
                return self.gather(best.kind)
            return self.fast[best.kind].popleft()
        if self.slow and (active == 0 or (active < self.pool.workers and self.only_slow()) or len(self.slow) > 1000):
            if any(self.fast.values()) or not self.is_ready(self.slow[0].kind):
                return None
            job = self.slow.popleft()
            self.held_back = len(self.slow)
            return job
        return None

    def only_slow(self) -> bool:
        return all(job.slow for group in self.workers.values() for worker in group for job in worker.jobs.values())

    def gather(self, kind: str) -> Job:
        """Several screened-later programs as one job."""
        jobs, batch = self.fast[kind], []
        while jobs and len(batch) < self.pool.share and jobs[0].shareable:
            batch.append(jobs.popleft())
        if len(batch) == 1:
            return batch[0]
        return Job(next(self.batches), "", kind, None, self.limits.cpu_seconds, batch=batch)

    def is_ready(self, kind: str) -> bool:
        return any(worker.ready for worker in self.workers_of(kind))

    def workers_of(self, kind: str) -> list[Worker]:
        """The fork servers of a kind; starts those that are missing. May be empty for a while when that fails."""
        group = self.workers.setdefault(kind, [])
        while len(group) < self.per_kind and time.monotonic() >= self.not_before.get(kind, 0.0):
            try:
                slots = min(self.pool.workers, 4) * 6 + 2
                worker = start_worker(
                    kind,
                    self.pool.isolation,
                    self.limits,
                    slots,
                    self.at_once,
                    self.pool.seed,
                    usable_cores(),
                    self.pool._portable,
                )
            except OSError as error:
                self.failed(kind, str(error))
                break
            group.append(worker)
            self.selector.register(worker.control, selectors.EVENT_READ, worker)
        return group

    def failed(self, kind: str, why: str) -> None:
        """A server of `kind` did not start: try again later; after some tries its programs are undecided."""
        self.failures[kind] = count = self.failures.get(kind, 0) + 1
        self.not_before[kind] = time.monotonic() + min(0.1 * 2**count, 3.0)
        if count >= 6 and not any(worker.ready for worker in self.workers.get(kind, ())):
            waiting = self.fast.get(kind, collections.deque())
            slow = [job for job in self.slow if job.kind == kind]
            for job in [*waiting, *slow]:
                self.give_up(job, f"no fork server: {why}"[:200])
            waiting.clear()
            self.slow = collections.deque(job for job in self.slow if job.kind != kind)
            self.held_back = len(self.slow)
            self.failures[kind] = 0

    def send(self, worker: Worker, job: Job) -> None:
        cpu = self.limits.slow_cpu_seconds if job.slow else job.cpu
        idle = self.limits.idle_of(cpu)
        if not worker.jobs:
            worker.heard = time.monotonic()
        worker.jobs[job.number] = job
        runs = 1
        if job.batch is not None:
            runs = len(job.batch)
            mode, sources, inputs = "shared", [inner.source for inner in job.batch], []
        elif job.inputs is not None:
            rest = job.inputs[len(job.done) :]
            runs = len(rest)
            mode, sources, inputs = "variants", [job.source], rest
        else:
            mode, sources, inputs = "single", [job.source], []
        job.patience = runs * (cpu * 60 + idle) + 10
        worker.queue(job.number, mode, cpu, idle, self.pool.rules is not None, sources, inputs)
        self.flush_later(worker)

    def flush_later(self, worker: Worker) -> None:
        if worker.outgoing:
            self.selector.modify(worker.control, selectors.EVENT_READ | selectors.EVENT_WRITE, worker)

    # -------------------------------------------------------------------------------------------- hearing

    def hear(self, worker: Worker) -> None:
        frames = worker.receive()
        if frames is None:
            self.lost(worker)
            return
        worker.heard = time.monotonic()
        for frame in frames:
            if worker.ready is None:
                self.greet(worker, frame)
                continue
            reply = split_reply(frame)
            job = worker.jobs.get(reply.job)
            if job is None:
                continue
            if reply.kind == "I":
                worker.parked.add(reply.job)
                continue
            if reply.kind == "W":
                self.look_whether_asleep(worker, job, int(reply.facts))
                continue
            del worker.jobs[reply.job]
            worker.parked.discard(reply.job)
            if reply.kind == "F":
                self.again(job, "start: " + reply.facts.decode("utf-8", "replace"))
            elif job.batch is not None:
                self.end_batch(job, reply)
            elif job.inputs is not None:
                self.end_variants(job, reply)
            else:
                self.end_single(job, reply)

    def look_whether_asleep(self, worker: Worker, job: Job, pid: int) -> None:
        """A program that waits for a CPU is not judged by the wall, however long others keep it waiting."""
        asleep = is_asleep(worker.process.pid, pid)
        worker.answer(job.number, "asleep" if asleep else "awake")
        self.flush_later(worker)

    def greet(self, worker: Worker, frame: bytes) -> None:
        told = json.loads(frame)
        if "refused" in told:
            self.drop(worker)
            self.failed(worker.kind, told["refused"])
            return
        worker.ready = told
        self.failures[worker.kind] = 0

    def end_single(self, job: Job, reply) -> None:
        result = self.reader.single(reply)
        if result.status == "infrastructure":
            self.again(job, result.reason.partition(":")[2])
            return
        if result.status == "timeout" and result.reason == "timeout:cpu" and not job.slow:
            slow = self.limits.slow_cpu_seconds
            if slow is not None and slow > job.cpu and job.expected is None:
                job.slow, job.shareable = True, False
                self.enqueue(job)
                return
        if job.expected is not None:
            self.compare(job, result)
            return
        job.deliver(result)

    def end_variants(self, job: Job, reply) -> None:
        rest = len(job.inputs) - len(job.done)
        facts = self.reader.facts(reply.facts)
        records = split_records(reply.results, self.limits, rest)
        if (facts is not None and "syntax" in facts) or not records:
            result = self.reader.single(reply)  # of the first run, or of the program as a whole
            if result.status == "infrastructure" and job.attempts < ATTEMPTS:
                self.again(job, result.reason.partition(":")[2])
                return
            count = rest if result.reason == "syntax_error" else 1
            for _ in range(count):
                job.done.append(dataclasses.replace(result, input=job.inputs[len(job.done)]))
        elif facts is None:
            self.again(job, "facts missing")
            return
        else:
            measured = (reply.cpu / len(records), reply.wall / len(records), reply.peak_kb / 1024)
            start = 0
            for record in records:
                written = facts | {"input": job.inputs[len(job.done)]}
                stdout, cut = self.reader.stdout(reply.stdout[start : record.stdout_end], record.stdout_end - start)
                start = record.stdout_end
                job.done.append(self.reader.of_record(record, stdout, cut, measured, written))
        if len(job.done) == len(job.inputs):
            job.deliver(job.done)
        else:
            self.enqueue(job)

    def end_batch(self, job: Job, reply) -> None:
        """Results of a shared process; whatever is not plainly fine is run again in a process of its own."""
        records = split_records(reply.results, self.limits, len(job.batch))
        ended_well = reply.killed == 0 and reply.wait_status == 0
        measured = (reply.cpu / max(1, len(records)), reply.wall / max(1, len(records)), reply.peak_kb / 1024)
        start = 0
        for place, inner in enumerate(job.batch):
            record = records[place] if place < len(records) else None
            if record is None:
                # the one that broke the process runs alone, those behind it may share again
                inner.shareable = place > len(records) and ended_well is False
                self.fast[inner.kind].appendleft(inner)
                continue
            if record.status not in ("ok", "error"):
                inner.shareable = False
                self.fast[inner.kind].appendleft(inner)
                start = max(start, record.stdout_end)
                continue
            facts = self.reader.facts(record.input.encode("ascii", "replace"))
            end = max(record.stdout_end, start)
            stdout, cut = self.reader.stdout(reply.stdout[start:end], end - start)
            start = end
            record.input = ""
            result = self.reader.of_record(record, stdout, cut, measured, facts)
            if result.status == "infrastructure":  # its facts are missing or malformed: alone it may have others
                inner.shareable = False
                self.fast[inner.kind].appendleft(inner)
            elif self.is_audited(inner.source):
                audit = Job(next(self.batches), inner.source, inner.kind, inner.deliver, inner.cpu, expected=result)
                self.fast[inner.kind].appendleft(audit)
            else:
                inner.deliver(result)

    def is_audited(self, source: str) -> bool:
        return zlib.crc32(source.encode("utf-8", "surrogatepass")) % 10_000 < self.pool.share_audit * 10_000

    def compare(self, job: Job, alone: Result) -> None:
        shared = job.expected
        for name in ("status", "reason", "input", "output", "output_text", "stdout"):
            if getattr(shared, name) != getattr(alone, name):
                raise ShareMismatch(
                    f"{name} differs between a shared and an own process: {getattr(shared, name)!r:.200} and "
                    f"{getattr(alone, name)!r:.200}; run without share. Program:\n{job.source[:2000]}"
                )
        job.deliver(alone)

    # -------------------------------------------------------------------------------------------- trouble

    def again(self, job: Job, why: str) -> None:
        """Runs a program again after a fault of ours, a little later each time; in the end it is undecided."""
        if job.batch is not None:
            for inner in job.batch:
                self.again(inner, why)
            return
        job.attempts += 1
        if job.attempts >= ATTEMPTS:
            self.give_up(job, why)
        else:
            heapq.heappush(self.later, (time.monotonic() + 0.05 * 4**job.attempts, job.number, job))

    def give_up(self, job: Job, why: str) -> None:
        result = infrastructure(why, self.pool.isolation, ENGINE_VERSION)
        if job.inputs is not None:
            job.done += [result] * (len(job.inputs) - len(job.done))
            job.deliver(job.done)
        elif job.batch is not None:
            for inner in job.batch:
                self.give_up(inner, why)
        else:
            job.deliver(result)

    def lost(self, worker: Worker) -> None:
        """A fork server is gone; its programs died with it and are run again on another."""
        jobs = list(worker.jobs.values())
        was_ready = worker.ready is not None
        code = self.drop(worker)
        self.pool.restarts += 1
        if not was_ready:
            self.failed(worker.kind, f"it ended with code {code} before it was ready")
        for job in jobs:
            self.again(job, f"fork server lost (code {code})")

    def drop(self, worker: Worker) -> int | None:
        self.selector.unregister(worker.control)
        self.workers[worker.kind].remove(worker)
        worker.jobs.clear()
        worker.stop(0.5)
        return worker.process.returncode

    def check_deadlines(self, now: float) -> None:
        for group in self.workers.values():
            for worker in list(group):
                patience = max((job.patience for job in worker.jobs.values()), default=math.inf)
                if now - worker.heard > patience or (worker.ready is None and now - worker.started > 120):
                    worker.process.kill()
                    self.lost(worker)

    def end(self) -> None:
        with self.pool._lock:
            self.pool._ended = True
        workers = [worker for group in self.workers.values() for worker in group]
        waiting = [job for worker in workers for job in worker.jobs.values()]
        waiting += [job for jobs in self.fast.values() for job in jobs]
        waiting += [*self.slow, *(entry[2] for entry in self.later), *self.pool._incoming]
        for worker in workers:
            worker.control.close()
        for worker in workers:
            worker.stop()
        for job in waiting:
            try:
                self.give_up(job, "closed" if self.pool._failure is None else "stopped")
            except Exception:  # a cancelled future
                pass
        self.selector.close()
        self.bell.close()
        self.ringer.close()
